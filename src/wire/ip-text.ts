import { isIP } from 'node:net';
import { writeHex } from './ascii.ts';

/** Most bytes that writeIp writes: as INET6_ADDRSTRLEN without the NUL. */
export const IP_TEXT_LENGTH = 45;
/** Most bytes that it touches: what it stores behind the end does not count. */
export const IP_TEXT_ROOM = IP_TEXT_LENGTH + 3;

const COLON = 0x3a;

/** Octets as text with a dot behind, first digit in the low byte, and their lengths with it. */
const DOTTED = Int32Array.from({ length: 256 }, (_, octet) => Buffer.from(`${octet}.\0\0`).readInt32LE());
const DOTTED_LENGTH = Uint8Array.from({ length: 256 }, (_, octet) => String(octet).length + 1);

/** Writes an address of 4 or 16 bytes as inet_ntop(3) does: IPv6 by RFC 5952. */
export function writeIp(bytes: Uint8Array, at: number, from: Uint8Array, start: number, length: number): number {
  return length === 4 ? writeIpv4(bytes, at, from, start) : writeIpv6(bytes, at, from, start);
}

/** Writes four bytes as dotted decimal. */
export function writeIpv4(bytes: Uint8Array, at: number, from: Uint8Array, start: number): number {
  let to = at;
  for (let i = start; ; i++) {
    const octet = from[i]!;
    const text = DOTTED[octet]!;
    // Stored whether or not they count: what follows overwrites them.
    bytes[to] = text;
    bytes[to + 1] = text >> 8;
    bytes[to + 2] = text >> 16;
    if (i === start + 3) return to + DOTTED_LENGTH[octet]! - 1;
    bytes[to + 3] = text >> 24;
    to += DOTTED_LENGTH[octet]!;
  }
}

const scratch = Buffer.alloc(IP_TEXT_ROOM);

/** An address of 4 or 16 bytes as a string: what writeIp writes, where time does not matter. */
export function ipText(address: Uint8Array): string {
  return scratch.toString('latin1', 0, writeIp(scratch, 0, address, 0, address.length));
}

function writeIpv6(bytes: Uint8Array, at: number, from: Uint8Array, start: number): number {
  // RFC 5952: the first longest run of two or more zero groups becomes `::`.
  let runStart = -1;
  let runLength = 1;
  for (let group = 0; group < 8; ) {
    let end = group;
    while (end < 8 && groupAt(from, start, end) === 0) end++;
    if (end - group > runLength) {
      runStart = group;
      runLength = end - group;
    }
    group = end + 1;
  }
  let to = at;
  for (let group = 0; group < 8; ) {
    if (group === runStart) {
      bytes[to++] = COLON;
      bytes[to++] = COLON;
      group += runLength;
      continue;
    }
    if (group > 0 && group !== runStart + runLength) bytes[to++] = COLON;
    // glibc shows ::a.b.c.d and ::ffff:a.b.c.d with the IPv4 part dotted.
    if (group === 6 && runStart === 0 && (runLength === 6 || (runLength === 5 && groupAt(from, start, 5) === 0xffff))) {
      return writeIpv4(bytes, to, from, start + 12);
    }
    to = writeHex(bytes, to, groupAt(from, start, group));
    group++;
  }
  return to;
}

function groupAt(from: Uint8Array, start: number, group: number): number {
  return (from[start + 2 * group]! << 8) | from[start + 2 * group + 1]!;
}

/** The 4 or 16 bytes of an address; undefined when the text is none, or one of a single link (fe80::1%eth0). */
export function parseIp(text: string): Uint8Array | undefined {
  const family = text.includes('%') ? 0 : isIP(text);
  if (family === 0) return undefined;
  if (family === 4) return Uint8Array.from(text.split('.'), Number);
  // The URL parser knows every way to write an address and gives back hexadecimal groups alone.
  const [head = '', tail] = new URL(`http://[${text}]`).hostname.slice(1, -1).split('::');
  const groups = (part: string | undefined) => (part ? part.split(':').map((group) => Number.parseInt(group, 16)) : []);
  const first = groups(head);
  const last = groups(tail);
  const all = [...first, ...new Array<number>(8 - first.length - last.length).fill(0), ...last];
  return Uint8Array.from(all.flatMap((group) => [group >> 8, group & 0xff]));
}
