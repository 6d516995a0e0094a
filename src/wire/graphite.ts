import { type Literal, writeBytes, writeDecimal, writeWideDecimal } from './ascii.ts';

/** Graphite's plaintext protocol: `path value seconds`, a line each. */

const SPACE = 0x20;
const NEWLINE = 0x0a;
const TILDE = 0x7e;
const SEMICOLON = 0x3b;
const UNDERSCORE = 0x5f;

/** Most bytes that writeGraphiteLine writes beside the prefix, the name and the counter. */
export const GRAPHITE_ROOM = 40;

/**
 * Writes one counter: `prefix` (which ends with a dot), a name of `length` bytes at `start` of `from`, `counter` (`.pkts `
 * or `.bytes `), its value by halves and the time in seconds since 1970 (`| 0`). Unless `raw`, a name cannot break its line:
 * blanks, line ends, bytes beyond ASCII and `;`, which begins a tag, become `_`. Returns the offset behind the line.
 */
export function writeGraphiteLine(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  prefix: Literal,
  from: DataView,
  start: number,
  length: number,
  counter: Literal,
  high: number,
  low: number,
  seconds: number,
  raw: boolean,
): number {
  const name = prefix.writeTo(view, at);
  let to = writeBytes(view, name, from, start, length);
  if (!raw) makeSafe(bytes, name, to);
  to = writeWideDecimal(bytes, view, counter.writeTo(view, to), high, low);
  bytes[to] = SPACE;
  to = writeDecimal(view, to + 1, seconds);
  bytes[to] = NEWLINE;
  return to + 1;
}

function makeSafe(bytes: Uint8Array, start: number, end: number): void {
  for (let i = start; i < end; i++) {
    const byte = bytes[i]!;
    if (byte <= SPACE || byte > TILDE || byte === SEMICOLON) bytes[i] = UNDERSCORE;
  }
}
