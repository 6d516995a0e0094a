import type { KeyType } from '../pipeline/key.ts';
import type { UpstreamKey } from '../pipeline/plugin.ts';
import type { Record } from '../pipeline/record.ts';
import { writeBytes } from '../wire/ascii.ts';
import { LineBuffer } from '../wire/line-buffer.ts';
import { FIELD, type Field, type FieldType, KIND, rowBatchHeader, seal } from '../wire/row-batch.ts';

const TYPE: Readonly<Partial<{ [type in KeyType]: FieldType }>> = {
  bool: FIELD.number,
  u8: FIELD.number,
  u16: FIELD.number,
  u32: FIELD.number,
  u64: FIELD.wide,
  ip: FIELD.address,
  string: FIELD.text,
  rawstr: FIELD.literal,
};
/** An address with its length, or a number: the most that a field without text takes. */
const FIELD_ROOM = 17;

/** The keys that a column can hold: all but raw bytes. */
export function rowFields(upstream: readonly UpstreamKey[]): Field[] {
  return upstream.flatMap(({ name, spec }) => {
    const type = TYPE[spec.type];
    return type === undefined ? [] : [{ name, type }];
  });
}

/** Encodes the events of one stack as batches of rows (`wire/row-batch.ts`). */
export class RowWriter {
  readonly buffer = new LineBuffer();
  /** Rows in the buffer. */
  rows = 0;
  readonly #stream: Uint8Array;
  readonly #all: readonly (Field & { readonly slot: number })[];
  #slots = new Int32Array(0);
  #types = new Uint8Array(0);
  #texts = new Int32Array(0);
  #bitmap = 0;
  #fixedRoom = 0;
  #headerLength = 0;

  /** The keys that it writes; undefined for all. */
  selected: ReadonlySet<string> | undefined;

  constructor(stream: Uint8Array, upstream: readonly UpstreamKey[], selected?: ReadonlySet<string>) {
    this.#stream = stream;
    const slots = new Map(upstream.map(({ name, slot }) => [name, slot]));
    this.#all = rowFields(upstream).map((field) => ({ ...field, slot: slots.get(field.name)! }));
    this.select(selected);
  }

  /** Writes only these keys from now on, or all. Only between batches. */
  select(keys: ReadonlySet<string> | undefined): void {
    this.selected = keys;
    const fields = this.#all.filter(({ name }) => keys?.has(name) ?? true);
    this.#slots = Int32Array.from(fields, ({ slot }) => slot);
    this.#types = Uint8Array.from(fields, ({ type }) => type);
    this.#texts = this.#slots.filter((_, i) => this.#types[i] === FIELD.text || this.#types[i] === FIELD.literal);
    this.#bitmap = (fields.length + 7) >> 3;
    this.#fixedRoom = this.#bitmap + fields.length * FIELD_ROOM;
    const header = rowBatchHeader(KIND.rows, this.#stream, fields);
    this.#headerLength = header.length;
    const { buffer } = this;
    buffer.length = 0;
    buffer.ensure(header.length);
    buffer.bytes.set(header);
    buffer.length = header.length;
  }

  /** Adds an event; returns how many bytes wait. */
  write(record: Record): number {
    const { buffer } = this;
    const { value, extra, valid } = record;
    const texts = this.#texts;
    let room = this.#fixedRoom;
    for (let i = 0; i < texts.length; i++) if (valid[texts[i]!] === 1) room += extra[texts[i]!]!;
    buffer.ensure(room);
    const { bytes, view } = buffer;
    const slots = this.#slots;
    const types = this.#types;
    const bitmapAt = buffer.length;
    let to = bitmapAt + this.#bitmap;
    let bits = 0;
    for (let i = 0; i < slots.length; i++) {
      const slot = slots[i]!;
      if (valid[slot] === 1) {
        bits |= 1 << (i & 7);
        switch (types[i]) {
          case FIELD.number:
            view.setInt32(to, value[slot]! | 0, true);
            to += 4;
            break;
          case FIELD.wide:
            view.setInt32(to, value[slot]! | 0, true);
            view.setInt32(to + 4, extra[slot]! | 0, true);
            to += 8;
            break;
          case FIELD.address:
            bytes[to] = extra[slot]!;
            to = writeBytes(view, to + 1, record.view, value[slot]!, extra[slot]!);
            break;
          default:
            view.setInt32(to, extra[slot]! | 0, true);
            to = writeBytes(view, to + 4, record.view, value[slot]!, extra[slot]!);
        }
      }
      if ((i & 7) === 7 || i === slots.length - 1) {
        bytes[bitmapAt + (i >> 3)] = bits;
        bits = 0;
      }
    }
    buffer.length = to;
    this.rows++;
    return to;
  }

  /** Ends a batch and returns its bytes, which are the caller's. */
  take(number: number): Uint8Array {
    const { buffer } = this;
    seal(buffer.view, number, this.rows);
    const bytes = buffer.bytes.slice(0, buffer.length);
    buffer.length = this.#headerLength;
    this.rows = 0;
    return bytes;
  }
}
