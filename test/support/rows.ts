// Batches of rows as an output sends them, of values by key.

import { RowWriter, rowFields } from '../../src/output/row-writer.ts';
import type { KeySpecs, KeyType } from '../../src/pipeline/key.ts';
import { Memory } from '../../src/pipeline/memory.ts';
import { FIRST_SLOT, Record as Values } from '../../src/pipeline/record.ts';
import type { Field } from '../../src/wire/row-batch.ts';
import { address } from './packets.ts';

/** A number; 64 bits as bigint; text, or an address as text; a buffer is text that need not be UTF-8. */
export type Given = Readonly<Record<string, number | bigint | string | Buffer>>;

/** The rows of one stack. */
export class TestRows {
  readonly fields: readonly Field[];
  readonly writer: RowWriter;
  readonly #keys: KeySpecs;
  readonly #record: Values;
  readonly #slots: ReadonlyMap<string, number>;
  #number = 0;

  constructor(types: Readonly<Record<string, KeyType>>, stream = Buffer.alloc(16, 7)) {
    this.#keys = Object.fromEntries(Object.entries(types).map(([key, type]) => [key, { type, doc: 'A key.' }]));
    const upstream = Object.entries(this.#keys).map(([name, spec], i) => ({
      name,
      spec,
      slot: FIRST_SLOT + i,
      places: [i],
    }));
    this.#slots = new Map(upstream.map(({ name, slot }) => [name, slot]));
    this.#record = new Values(new Memory(1 << 20), FIRST_SLOT + upstream.length);
    this.fields = rowFields(upstream);
    this.writer = new RowWriter(stream, upstream);
  }

  /** A batch of these events, with the next number of the stream. */
  batch(...events: readonly Given[]): Uint8Array {
    for (const event of events) this.#write(event);
    return this.writer.take(++this.#number);
  }

  #write(given: Given): void {
    const record = this.#record;
    record.clear();
    let at = 64 << 10; // behind the record
    for (const [key, value] of Object.entries(given)) {
      const slot = this.#slots.get(key);
      const spec = this.#keys[key];
      if (slot === undefined || spec === undefined) throw new Error(`the test declares no key ${key}`);
      if (typeof value === 'number') record.setNumber(slot, value);
      else if (typeof value === 'bigint') record.setWide(slot, Number(value >> 32n), Number(value & 0xffffffffn));
      else {
        const bytes = spec.type === 'ip' ? address(String(value)) : Buffer.from(value as string);
        record.bytes.set(bytes, at);
        record.setBytes(slot, at, bytes.length);
        at += bytes.length;
      }
    }
    this.writer.write(record);
  }
}
