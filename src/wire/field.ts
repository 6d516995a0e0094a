import { type Literal, writeDecimal } from './ascii.ts';

/** The `NAME=number ` that lines of text are made of; each writer returns the offset behind what it wrote. Numbers are as in writeDecimal. */

const SPACE = 0x20;

/** Writes a name with a number, and a blank. */
export function writeField(bytes: Uint8Array, view: DataView, at: number, name: Literal, value: number): number {
  const to = writeDecimal(view, name.writeTo(view, at), value);
  bytes[to] = SPACE;
  return to + 1;
}

/** Writes two names with a number each, and a blank; the second name brings the blank between them. */
export function writePair(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  first: Literal,
  firstValue: number,
  second: Literal,
  secondValue: number,
): number {
  return writeField(bytes, view, writeDecimal(view, first.writeTo(view, at), firstValue), second, secondValue);
}
