import { Literal } from './ascii.ts';
import { isControl, utf8Length } from './json-text.ts';

const AMPERSAND = 0x26;
const LESS = 0x3c;
const GREATER = 0x3e;
const QUESTION = 0x3f;
const SPACE = 0x20;
const TAB = 0x09;
const DELETE = 0x7f;
const NAMES: Readonly<Record<number, Literal>> = {
  [AMPERSAND]: new Literal('&amp;'),
  [LESS]: new Literal('&lt;'),
  [GREATER]: new Literal('&gt;'),
};

/** Most bytes that writeXmlText makes of `length` bytes, and of what a Literal writes too many. */
export const xmlTextRoom = (length: number): number => 5 * length + 32;

/**
 * Writes text from outside between two tags. What XML 1.0 does not allow there (controls, bytes that are no UTF-8), C1
 * controls and line separators become question marks. `raw` copies all but control characters as they are: what ulogd2 writes is no XML when a prefix holds `<` or `&`.
 */
export function writeXmlText(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  from: Uint8Array,
  start: number,
  length: number,
  raw: boolean,
): number {
  const end = start + length;
  let to = at;
  for (let i = start; i < end; ) {
    const byte = from[i]!;
    const size = byte < 0x80 || raw ? 1 : isControl(from, i) ? 0 : utf8Length(from, i, end);
    if ((byte < SPACE && byte !== TAB) || byte === DELETE || size === 0) bytes[to++] = QUESTION;
    else if (!raw && (byte === AMPERSAND || byte === LESS || byte === GREATER)) to = NAMES[byte]!.writeTo(view, to);
    else for (let n = 0; n < size; n++) bytes[to++] = from[i + n]!;
    i += Math.max(size, 1);
  }
  return to;
}
