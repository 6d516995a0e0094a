/**
 * Numbers and fixed text as bytes, written at an offset of a buffer that has room; each writer returns the offset after.
 * They are what every line is made of, so they make no string and no object.
 */

const ZERO = 0x30;
const HEX = Uint8Array.from('0123456789abcdef', (digit) => digit.charCodeAt(0));
/** Two digits of each number below 100, and of each byte, the first one in the low byte. */
const PAIRS = Uint16Array.from({ length: 100 }, (_, n) => (ZERO + Math.floor(n / 10)) | ((ZERO + (n % 10)) << 8));
const HEX_PAIRS = Uint16Array.from({ length: 256 }, (_, byte) => HEX[byte >> 4]! | (HEX[byte & 15]! << 8));
const encoder = new TextEncoder();

/** Bytes that a Literal may write after its own end: buffers keep that much room to spare. */
export const SLACK = 4;

/** Text known when a stack is linked, kept as 32-bit words: written four bytes at a time, it costs a fraction of a copy call. */
export class Literal {
  readonly length: number;
  readonly #words: Int32Array;

  constructor(text: string) {
    const bytes = encoder.encode(text);
    this.length = bytes.length;
    this.#words = new Int32Array((bytes.length + 3) >> 2);
    const padded = new Uint8Array(this.#words.length * 4);
    padded.set(bytes);
    const view = new DataView(padded.buffer);
    for (let i = 0; i < this.#words.length; i++) this.#words[i] = view.getInt32(i * 4, true);
  }

  writeTo(view: DataView, at: number): number {
    const words = this.#words;
    for (let i = 0, to = at; i < words.length; i++, to += 4) view.setInt32(to, words[i]!, true);
    return at + this.length;
  }
}

/**
 * Writes an unsigned 32-bit number in decimal. On the hot path pass `value | 0`, which means the same here: V8 puts a
 * number from 2^31 on into an object of its own when it is passed to a function.
 */
export function writeDecimal(bytes: Uint8Array, at: number, value: number): number {
  let rest = value | 0;
  if (rest >= 0 && rest < 10) {
    bytes[at] = ZERO + rest;
    return at + 1;
  }
  let end = at + (rest < 0 ? 10 : decimalLength(rest));
  const after = end;
  if (rest < 0) {
    // From 2^31 on, the remainder is taken in floating point once; after that all arithmetic is on small integers.
    const unsigned = rest >>> 0;
    const hundredth = Math.floor(unsigned / 100);
    const pair = PAIRS[unsigned - hundredth * 100]!;
    bytes[--end] = pair >> 8;
    bytes[--end] = pair;
    rest = hundredth;
  }
  while (rest >= 100) {
    const hundredth = (rest / 100) | 0;
    const pair = PAIRS[rest - hundredth * 100]!;
    bytes[--end] = pair >> 8;
    bytes[--end] = pair;
    rest = hundredth;
  }
  const pair = PAIRS[rest]!;
  bytes[--end] = pair >> 8;
  if (rest >= 10) bytes[--end] = pair;
  return after;
}

function decimalLength(value: number): number {
  if (value < 1e5) return value < 1e2 ? (value < 10 ? 1 : 2) : value < 1e3 ? 3 : value < 1e4 ? 4 : 5;
  return value < 1e7 ? (value < 1e6 ? 6 : 7) : value < 1e8 ? 8 : value < 1e9 ? 9 : 10;
}

/** Writes an unsigned 64-bit number, given by its halves, in decimal. */
export function writeWideDecimal(bytes: Uint8Array, at: number, high: number, low: number): number {
  if (high === 0) return writeDecimal(bytes, at, low);
  if (high < 0x200000) {
    // Exact in a double up to 2^53.
    const value = high * 0x100000000 + low;
    const upper = Math.floor(value / 1e9);
    const middle =
      upper >= 1e9
        ? writeWideDecimal(bytes, at, Math.floor(upper / 0x100000000), upper >>> 0)
        : writeDecimal(bytes, at, upper);
    return writePadded(bytes, middle, value - upper * 1e9, 9);
  }
  // More than 9 PB in one flow: rare enough for BigInt.
  return writeText(bytes, at, ((BigInt(high) << 32n) | BigInt(low)).toString());
}

/** Writes a number below 10^digits in decimal, with leading zeros. */
export function writePadded(bytes: Uint8Array, at: number, value: number, digits: number): number {
  let rest = value;
  for (let to = at + digits - 1; to >= at; to--) {
    const tenth = (rest / 10) | 0;
    bytes[to] = ZERO + (rest - tenth * 10);
    rest = tenth;
  }
  return at + digits;
}

/** Writes an unsigned 32-bit number in lower-case hexadecimal without leading zeros, as `%x`. */
export function writeHex(bytes: Uint8Array, at: number, value: number): number {
  const digits = value === 0 ? 1 : 8 - (Math.clz32(value) >> 2);
  return writePaddedHex(bytes, at, value, digits);
}

/** Writes the low `digits` hexadecimal digits of a number. */
export function writePaddedHex(bytes: Uint8Array, at: number, value: number, digits: number): number {
  let rest = value;
  for (let to = at + digits - 1; to >= at; to--) {
    bytes[to] = HEX[rest & 15]!;
    rest >>>= 4;
  }
  return at + digits;
}

/** Writes bytes as pairs of lower-case hexadecimal digits with colons between, as hardware addresses are shown. */
export function writeHardwareAddress(
  bytes: Uint8Array,
  at: number,
  from: Uint8Array,
  start: number,
  length: number,
): number {
  let to = at;
  for (let i = start; i < start + length; i++) {
    const pair = HEX_PAIRS[from[i]!]!;
    bytes[to] = pair;
    bytes[to + 1] = pair >> 8;
    bytes[to + 2] = 0x3a;
    to += 3;
  }
  // The last colon is written too: what follows overwrites it.
  return length === 0 ? at : to - 1;
}

/** Copies bytes. A loop beats the call of TypedArray.set up to some 64 bytes; longer runs take the call. */
export function writeBytes(bytes: Uint8Array, at: number, from: Uint8Array, start: number, length: number): number {
  if (length > 64) bytes.set(from.subarray(start, start + length), at);
  else for (let i = 0; i < length; i++) bytes[at + i] = from[start + i]!;
  return at + length;
}

/** Writes a string: for what is rare, never for every event. */
export function writeText(bytes: Uint8Array, at: number, text: string): number {
  return at + encoder.encodeInto(text, bytes.subarray(at)).written;
}
