const QUOTE = 0x22;
const ZERO = 0x30;
const BACKSLASH = 0x5c;

/** Second byte of the short escapes (RFC 8259, section 7), by control character; 0 for those that need `\u`. */
const SHORT_ESCAPE = new Uint8Array(32);
for (const [control, letter] of [
  [8, 'b'],
  [9, 't'],
  [10, 'n'],
  [12, 'f'],
  [13, 'r'],
] as const) {
  SHORT_ESCAPE[control] = letter.charCodeAt(0);
}

/** Most bytes that writeJsonString makes of `length` bytes. */
export const jsonStringRoom = (length: number): number => 6 * length + 2;

/**
 * Writes bytes as a JSON string with its quotes. UTF-8 passes as it is; a byte that is no UTF-8 becomes U+FFFD, or, when
 * `strict`, nothing is written and -1 returned.
 */
export function writeJsonString(
  bytes: Uint8Array,
  at: number,
  from: Uint8Array,
  start: number,
  length: number,
  strict: boolean,
): number {
  const end = start + length;
  let to = at;
  bytes[to++] = QUOTE;
  for (let i = start; i < end; ) {
    const byte = from[i]!;
    if (byte >= 0x80) {
      const size = utf8Length(from, i, end);
      if (size === 0) {
        if (strict) return -1;
        bytes[to++] = 0xef;
        bytes[to++] = 0xbf;
        bytes[to++] = 0xbd;
        i++;
      } else {
        for (const next = i + size; i < next; i++) bytes[to++] = from[i]!;
      }
      continue;
    }
    i++;
    if (byte >= 0x20 && byte !== QUOTE && byte !== BACKSLASH) {
      bytes[to++] = byte;
      continue;
    }
    bytes[to++] = BACKSLASH;
    if (byte >= 0x20) bytes[to++] = byte;
    else if (SHORT_ESCAPE[byte] !== 0) bytes[to++] = SHORT_ESCAPE[byte]!;
    else {
      // `\u001B`: upper case, as jansson has it.
      bytes[to++] = 0x75;
      bytes[to++] = ZERO;
      bytes[to++] = ZERO;
      bytes[to++] = ZERO + (byte >> 4);
      bytes[to++] = (byte & 15) < 10 ? ZERO + (byte & 15) : 0x37 + (byte & 15);
    }
  }
  bytes[to++] = QUOTE;
  return to;
}

/** Length of the well-formed UTF-8 sequence that begins at `at` with a byte above 0x7f (Unicode, table 3-7), or 0. */
export function utf8Length(from: Uint8Array, at: number, end: number): number {
  const lead = from[at]!;
  if (lead < 0xc2 || lead > 0xf4) return 0;
  const size = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  if (at + size > end) return 0;
  const second = from[at + 1]!;
  // No overlong forms, no surrogates, nothing above U+10FFFF: all decided by the second byte.
  const lowest = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
  const highest = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
  if (second < lowest || second > highest) return 0;
  for (let i = at + 2; i < at + size; i++) if ((from[i]! & 0xc0) !== 0x80) return 0;
  return size;
}
