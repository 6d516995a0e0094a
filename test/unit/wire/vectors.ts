import { readFileSync } from 'node:fs';
import { align, messageEnd } from '../../../src/wire/netlink.ts';

/** A datagram of the real kernel (scripts/record.js), in a view of its own that ends where it ends. */
export interface Recording<Expected> {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  /** What another program, or how the datagram was caused, says of it. */
  readonly expected: Expected;
}

export function recordings<Expected>(name: string): Recording<Expected>[] {
  const file = readFileSync(new URL(`vectors/${name}.json`, import.meta.url), 'utf8');
  const vectors = JSON.parse(file) as { name: string; hex: string; expected: Expected }[];
  return vectors.map(({ name, hex, expected }) => ({ name, expected, ...datagram(hex) }));
}

/** Bytes given in hex, blanks allowed, with a view of exactly them. */
export function datagram(hex: string): { bytes: Uint8Array; view: DataView } {
  const bytes = Uint8Array.from(Buffer.from(hex.replaceAll(/\s/g, ''), 'hex'));
  return { bytes, view: new DataView(bytes.buffer) };
}

/** Where the messages of a datagram begin and end. Throws when one is malformed. */
export function messages(view: DataView): [start: number, end: number][] {
  const found: [number, number][] = [];
  for (let at = 0; at < view.byteLength; ) {
    const end = messageEnd(view, at, view.byteLength);
    if (end < 0) throw new Error(`malformed message at ${at}`);
    found.push([at, end]);
    at += align(end - at);
  }
  return found;
}

/** Bytes as hex. */
export const hex = (view: DataView, offset: number, length: number): string =>
  Buffer.from(view.buffer, view.byteOffset + offset, length).toString('hex');

/** Bytes as text. */
export const text = (view: DataView, offset: number, length: number): string =>
  Buffer.from(view.buffer, view.byteOffset + offset, length).toString('latin1');

/** An address as inet_ntop(3) shows it; the recordings hold no IPv6 address that needs more than this. */
export function address(view: DataView, offset: number, length: number): string {
  if (length === 4) return Array.from({ length }, (_, i) => view.getUint8(offset + i)).join('.');
  const groups = Array.from({ length: 8 }, (_, i) => view.getUint16(offset + 2 * i).toString(16)).join(':');
  return groups.replace(/(^|:)0(:0)+(:|$)/, '::');
}
