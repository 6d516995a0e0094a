import { writePaddedHex } from './ascii.ts';
import { isControl, utf8Length } from './json-text.ts';

const BACKSLASH = 0x5c;
const TAB = 0x09;
const SPACE = 0x20;
const DELETE = 0x7f;

/** Most bytes that writePrintable makes of `length` bytes. */
export const printableRoom = (length: number): number => 4 * length;

/**
 * Writes text from outside (a rule's prefix, an interface name) so that it can neither begin a line of its own nor speak
 * to a terminal: control characters become `\x1b` and the like. UTF-8 passes; C1 controls, line separators and bytes that are no UTF-8 are
 * escaped too. `compat` leaves TAB and everything from 0x80 as it is, as ulogd 2.0.8 writes them.
 */
export function writePrintable(
  bytes: Uint8Array,
  at: number,
  from: Uint8Array,
  start: number,
  length: number,
  compat: boolean,
): number {
  const end = start + length;
  let to = at;
  for (let i = start; i < end; ) {
    const byte = from[i]!;
    if (byte >= SPACE && byte < DELETE) {
      bytes[to++] = byte;
      i++;
      continue;
    }
    let size = 0;
    if (compat) size = byte === TAB || byte > DELETE ? 1 : 0;
    else if (byte > DELETE && !isControl(from, i)) size = utf8Length(from, i, end);
    if (size === 0) {
      bytes[to++] = BACKSLASH;
      bytes[to++] = 0x78; // x
      to = writePaddedHex(bytes, to, byte, 2);
      i++;
    } else for (const next = i + size; i < next; i++) bytes[to++] = from[i]!;
  }
  return to;
}
