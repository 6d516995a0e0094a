/**
 * Numbers and fixed text as bytes, written at an offset of a buffer that has room; each writer returns the offset after.
 * They are what every line is made of, so they make no string and no object.
 */

const ZERO = 0x30;
const HEX = Uint8Array.from('0123456789abcdef', (digit) => digit.charCodeAt(0));
/** Two digits of each byte, the first one in the low half. */
const HEX_PAIRS = Uint16Array.from({ length: 256 }, (_, byte) => HEX[byte >> 4]! | (HEX[byte & 15]! << 8));
const encoder = new TextEncoder();

/** Bytes that a Literal may write behind its own end: buffers keep that much room to spare. */
export const SLACK = 32;

/** Bytes of a literal that are written without looking at its length: longer ones are few. */
const BLOCK = 24;
/** The text of all literals in 64-bit words, a block each: one constant for the compiler, wherever a literal is written. */
const POOL = new Float64Array(1 << 16);
const pooled = new Map<string, number>();
let poolUsed = 0;

/**
 * Text known when a stack is linked. It is written eight bytes at a time and always a whole block, because a loop of a
 * length that changes from one literal to the next costs more, in mispredicted branches, than the bytes too many.
 */
export class Literal {
  readonly length: number;
  readonly #word: number;

  constructor(text: string) {
    this.length = Buffer.byteLength(text);
    this.#word = pooled.get(text) ?? intern(text, this.length);
  }

  /** Writes it. */
  writeTo(view: DataView, at: number): number {
    const word = this.#word;
    view.setFloat64(at, POOL[word]!, true);
    view.setFloat64(at + 8, POOL[word + 1]!, true);
    view.setFloat64(at + 16, POOL[word + 2]!, true);
    if (this.length > BLOCK) writeRest(view, at, word, this.length);
    return at + this.length;
  }
}

function writeRest(view: DataView, at: number, word: number, length: number): void {
  for (let i = BLOCK; i < length; i += 8) view.setFloat64(at + i, POOL[word + (i >> 3)]!, true);
}

/** Puts a text into the pool and returns its first word. */
function intern(text: string, length: number): number {
  const word = poolUsed;
  poolUsed += Math.max(BLOCK, (length + 7) & ~7) >> 3;
  if (poolUsed > POOL.length) throw new RangeError('too many literals: a configuration of this size was not foreseen');
  const bytes = new Uint8Array((poolUsed - word) * 8);
  encoder.encodeInto(text, bytes);
  const view = new DataView(bytes.buffer);
  for (let i = word; i < poolUsed; i++) POOL[i] = view.getFloat64((i - word) * 8, true);
  pooled.set(text, word);
  return word;
}

/** Numbers below 10 000 as text in 32 bits, first digit in the low byte: from the left, and their lengths; with zeros. */
const LEFT = Int32Array.from({ length: 10_000 }, (_, n) => packed(String(n)));
const LENGTH = Uint8Array.from({ length: 10_000 }, (_, n) => String(n).length);
const PADDED = Int32Array.from({ length: 10_000 }, (_, n) => packed(String(n).padStart(4, '0')));

function packed(text: string): number {
  let bits = 0;
  for (let i = 0; i < text.length; i++) bits |= text.charCodeAt(i) << (8 * i);
  return bits;
}

/**
 * Writes an unsigned 32-bit number in decimal. On the hot path pass `value | 0`, which means the same here: V8 puts a
 * number from 2^31 on into an object of its own when it is passed to a function.
 */
export function writeDecimal(view: DataView, at: number, value: number): number {
  const small = value | 0;
  if (small >= 0 && small < 10_000) {
    view.setInt32(at, LEFT[small]!, true);
    return at + LENGTH[small]!;
  }
  if (small >= 0 && small < 100_000_000) {
    const upper = (small / 10_000) | 0;
    view.setInt32(at, LEFT[upper]!, true);
    const middle = at + LENGTH[upper]!;
    view.setInt32(middle, PADDED[small - upper * 10_000]!, true);
    return middle + 4;
  }
  const unsigned = small >>> 0;
  const top = Math.floor(unsigned / 100_000_000) | 0;
  const rest = (unsigned - top * 100_000_000) | 0;
  const upper = (rest / 10_000) | 0;
  view.setInt32(at, LEFT[top]!, true);
  const middle = at + LENGTH[top]!;
  view.setInt32(middle, PADDED[upper]!, true);
  view.setInt32(middle + 4, PADDED[rest - upper * 10_000]!, true);
  return middle + 8;
}

/** Writes an unsigned 64-bit number, given by its halves, in decimal. */
export function writeWideDecimal(bytes: Uint8Array, view: DataView, at: number, high: number, low: number): number {
  if (high === 0) return writeDecimal(view, at, low | 0);
  if (high < 0x200000) {
    // Exact in a double up to 2^53.
    const value = high * 0x100000000 + low;
    const upper = Math.floor(value / 1e9);
    const middle =
      upper >= 1e9
        ? writeWideDecimal(bytes, view, at, Math.floor(upper / 0x100000000), upper >>> 0)
        : writeDecimal(view, at, upper);
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

/**
 * Copies bytes eight at a time, and up to seven too many: a loop of double words beats both one of bytes and, up to a few
 * hundred bytes, the call of TypedArray.set. V8 moves the bits of a double as they are, NaN or not; ascii.test.ts holds it
 * to that in all its compilers.
 */
export function writeBytes(view: DataView, at: number, from: DataView, start: number, length: number): number {
  for (let i = 0; i < length; i += 8) view.setFloat64(at + i, from.getFloat64(start + i, true), true);
  return at + length;
}

/** writeBytes for text that is mostly 9 to 16 bytes long, such as an IPv4 address: no branch that goes now here, now there. */
export function writeShort(view: DataView, at: number, from: DataView, start: number, length: number): number {
  view.setFloat64(at, from.getFloat64(start, true), true);
  view.setFloat64(at + 8, from.getFloat64(start + 8, true), true);
  if (length > 16) writeBytes(view, at + 16, from, start + 16, length - 16);
  return at + length;
}

/** Writes a string: for what is rare, never for every event. */
export function writeText(bytes: Uint8Array, at: number, text: string): number {
  return at + encoder.encodeInto(text, bytes.subarray(at)).written;
}
