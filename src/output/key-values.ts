import type { UpstreamKey } from '../pipeline/plugin.ts';
import type { Record } from '../pipeline/record.ts';
import { Literal, writeBytes, writeDecimal, writeWideDecimal } from '../wire/ascii.ts';
import { IP_TEXT_LENGTH, writeIp } from '../wire/ip-text.ts';
import { printableRoom, writePrintable } from '../wire/printable.ts';

/** How a value is rendered. */
const NUMBER = 0;
const WIDE = 1;
const PLAIN_TEXT = 2;
const TEXT = 3;
const ADDRESS = 4;
const FIXED = 5;

const FORM = { bool: NUMBER, u8: NUMBER, u16: NUMBER, u32: NUMBER, u64: WIDE, ip: ADDRESS } as const;

/** What differs between outputs of `key=value`. */
export interface KeyValueStyle {
  /** What follows each value. */
  readonly separator: number;
  /** Stands for bytes that are no text; without it such keys are left out. */
  readonly bytesAs?: string;
  /** Writes the address of `length` bytes at `start`; returns the offset behind it. */
  readonly address: (bytes: Uint8Array, at: number, from: Uint8Array, start: number, length: number) => number;
  readonly compat: boolean;
}

/** The keys of a stack as `key=value`, each as often as plugins write it, as ulogd does. Only valid ones are written. */
export class KeyValues {
  readonly #slots: Int32Array;
  readonly #forms: Uint8Array;
  readonly #names: readonly Literal[];
  readonly #fixed: Literal;
  readonly #fixedRoom: number;
  readonly #texts: Int32Array;
  readonly #separator: number;
  readonly #address: KeyValueStyle['address'];
  readonly #compat: boolean;

  constructor(upstream: readonly UpstreamKey[], style: KeyValueStyle) {
    const fields = upstream
      .flatMap((key) => key.places.map((place) => ({ key, place, form: formOf(key) })))
      .filter(({ form }) => form !== FIXED || style.bytesAs !== undefined)
      .sort((a, b) => a.place - b.place);
    this.#slots = Int32Array.from(fields, ({ key }) => key.slot);
    this.#forms = Uint8Array.from(fields, ({ form }) => form);
    this.#names = fields.map(({ key }) => new Literal(`${key.name}=`));
    this.#fixed = new Literal(style.bytesAs ?? '');
    this.#fixedRoom = this.#names.reduce((sum, name) => sum + name.length + IP_TEXT_LENGTH + 1, this.#fixed.length);
    this.#texts = this.#slots.filter((_, i) => this.#forms[i] === TEXT || this.#forms[i] === PLAIN_TEXT);
    this.#separator = style.separator;
    this.#address = style.address;
    this.#compat = style.compat;
  }

  /** Most bytes that the record takes. */
  room(record: Record): number {
    let room = this.#fixedRoom;
    const texts = this.#texts;
    for (let i = 0; i < texts.length; i++) room += printableRoom(record.extra[texts[i]!]!);
    return room;
  }

  /** Writes all that is valid, each value with the separator behind it, and returns the offset behind that. */
  write(bytes: Uint8Array, view: DataView, at: number, record: Record): number {
    const { value, extra, valid } = record;
    const slots = this.#slots;
    const separator = this.#separator;
    let to = at;
    for (let i = 0; i < slots.length; i++) {
      const slot = slots[i]!;
      if (valid[slot] === 0) continue;
      to = this.#names[i]!.writeTo(view, to);
      switch (this.#forms[i]) {
        case NUMBER:
          to = writeDecimal(view, to, value[slot]! | 0);
          break;
        case WIDE:
          to = writeWideDecimal(bytes, view, to, extra[slot]!, value[slot]!);
          break;
        case PLAIN_TEXT:
          to = writeBytes(view, to, record.view, value[slot]!, extra[slot]!);
          break;
        case TEXT:
          to = writePrintable(bytes, to, record.bytes, value[slot]!, extra[slot]!, this.#compat);
          break;
        case ADDRESS:
          to = this.#address(bytes, to, record.bytes, value[slot]!, extra[slot]!);
          break;
        case FIXED:
          to = this.#fixed.writeTo(view, to);
      }
      bytes[to++] = separator;
    }
    return to;
  }
}

function formOf({ name, spec }: UpstreamKey): number {
  if (spec.type === 'raw' || spec.type === 'rawstr') return FIXED;
  // The line of PRINTPKT or PRINTFLOW is made safe already, and its newline belongs to it.
  if (spec.type === 'string') return spec.plain || name === 'print' ? PLAIN_TEXT : TEXT;
  return FORM[spec.type];
}

/** The first four bytes as dotted decimal, whatever the family, as GPRINT of ulogd 2.0.8 shows an address. */
export const writeFirstFour: KeyValueStyle['address'] = (bytes, at, from, start) => writeIp(bytes, at, from, start, 4);
