/**
 * Unsigned 64-bit nanoseconds, given by their halves, as seconds and the rest. Times since 1970 do not fit a double, so
 * the division is done by hand in steps of 16 bits, each exact.
 */

const SECOND = 1_000_000_000;

/** Whole seconds. */
export function wholeSeconds(high: number, low: number): number {
  const top = Math.floor(high / SECOND);
  const upper = (high - top * SECOND) * 0x10000 + (low >>> 16);
  const middle = Math.floor(upper / SECOND);
  const rest = (upper - middle * SECOND) * 0x10000 + (low & 0xffff);
  return top * 0x100000000 + middle * 0x10000 + Math.floor(rest / SECOND);
}

/** Nanoseconds beyond the whole seconds, 0 to 999 999 999. */
export function subsecondNanoseconds(high: number, low: number): number {
  const upper = remainder(high) * 0x10000 + (low >>> 16);
  return remainder(remainder(upper) * 0x10000 + (low & 0xffff));
}

/** As `%`, which for doubles is a call of fmod. */
const remainder = (value: number): number => value - Math.floor(value / SECOND) * SECOND;
