const QUOTE = 0x22;
const DELETE = 0x7f;
const HEX = '0123456789ABCDEF';
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
 * Writes bytes as a JSON string with its quotes. UTF-8 passes as it is but for controls; a byte that is no UTF-8 becomes U+FFFD, or, when
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
      } else if (!strict && isControl(from, i)) {
        to = writeEscape(bytes, to, size === 2 ? from[i + 1]! : 0x2000 | (from[i + 2]! & 0x3f));
        i += size;
      } else {
        for (const next = i + size; i < next; i++) bytes[to++] = from[i]!;
      }
      continue;
    }
    i++;
    if (byte >= 0x20 && byte !== QUOTE && byte !== BACKSLASH && (byte !== DELETE || strict)) {
      bytes[to++] = byte;
    } else if (byte < 0x20 ? SHORT_ESCAPE[byte] === 0 : byte === DELETE) {
      to = writeEscape(bytes, to, byte);
    } else {
      bytes[to++] = BACKSLASH;
      bytes[to++] = byte < 0x20 ? SHORT_ESCAPE[byte]! : byte;
    }
  }
  bytes[to++] = QUOTE;
  return to;
}

/** `\u001B`: upper case, as jansson has it. */
function writeEscape(bytes: Uint8Array, at: number, code: number): number {
  bytes[at] = BACKSLASH;
  bytes[at + 1] = 0x75;
  for (let i = 0; i < 4; i++) bytes[at + 2 + i] = HEX.charCodeAt((code >> (12 - 4 * i)) & 15);
  return at + 6;
}

/**
 * Whether the UTF-8 sequence at `at` is one that a terminal or a reader of lines may obey: C1 controls (U+0080 to U+009F)
 * and the separators of lines and paragraphs (U+2028, U+2029).
 */
export function isControl(from: Uint8Array, at: number): boolean {
  if (from[at] === 0xc2) return from[at + 1]! < 0xa0;
  return from[at] === 0xe2 && from[at + 1] === 0x80 && (from[at + 2]! & 0xfe) === 0xa8;
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
