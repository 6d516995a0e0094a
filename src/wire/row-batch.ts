/**
 * Rows on their way to a database: a header that says whose they are, how many and which fields they have, then the rows.
 * It explains itself, because what the spool holds may be read by a later process with another configuration. All numbers
 * are little-endian.
 *
 *     u8 magic, u8 version, u8 kind, u8 0 · 16 bytes stream · f64 number · u32 rows · u16 fields
 *     for each field: u8 type, u8 length, name · then the rows
 *
 * A row is a bit for each field that says whether it is there, and the values of those that are.
 */

const MAGIC = 0x52;
const VERSION = 1;
const STREAM = 4;
const STREAM_LENGTH = 16;
const NUMBER_AT = 20;
const ROWS_AT = 28;
const FIELDS_AT = 32;
const FIXED = 34;

/** What a field holds: 4 bytes; 8 bytes, the low half first; u32 and so many bytes (text, or a literal); u8 and an address. */
export const FIELD = { number: 0, wide: 1, text: 2, literal: 3, address: 4 } as const;
export type FieldType = (typeof FIELD)[keyof typeof FIELD];

/** What a batch holds: rows of events, or one gap as JSON. */
export const KIND = { rows: 0, gap: 1 } as const;

/** A field of every row of a batch. */
export interface Field {
  readonly name: string;
  readonly type: FieldType;
}

/** A batch as it was sent. */
export interface RowBatch {
  readonly kind: number;
  /** Who sent it: 32 hexadecimal digits. */
  readonly stream: string;
  /** Counts the batches of a stream, from 1. */
  readonly number: number;
  readonly rows: number;
  readonly fields: readonly Field[];
  /** What follows the header. */
  readonly body: Buffer;
}

/** The header of batches with these fields. `seal` gives each its number and count. `stream` is 16 bytes. */
export function rowBatchHeader(kind: number, stream: Uint8Array, fields: readonly Field[]): Buffer {
  const names = fields.map(({ name, type }) =>
    Buffer.concat([Buffer.from([type, Buffer.byteLength(name)]), Buffer.from(name)]),
  );
  const head = Buffer.alloc(FIXED);
  head.set([MAGIC, VERSION, kind], 0);
  head.set(stream, STREAM);
  head.writeUInt16LE(fields.length, FIELDS_AT);
  return Buffer.concat([head, ...names]);
}

/** Writes number and count into a header. */
export function seal(view: DataView, number: number, rows: number): void {
  view.setFloat64(NUMBER_AT, number, true);
  view.setUint32(ROWS_AT, rows, true);
}

/** Bytes that are no batch, or not all of one: a spool may hold anything. */
export class UnreadableBatch extends Error {}

/** Reads a batch; throws UnreadableBatch. */
export function readRowBatch(bytes: Uint8Array): RowBatch {
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (all.length < FIXED || all[0] !== MAGIC) throw new UnreadableBatch('these bytes are no rows for a database');
  if (all[1] !== VERSION) throw new UnreadableBatch(`rows of version ${all[1]}, which this flowlogd does not know`);
  const fields: Field[] = [];
  let at = FIXED;
  for (let left = all.readUInt16LE(FIELDS_AT); left > 0; left--) {
    if (at + 2 > all.length) throw new UnreadableBatch('the fields of these rows end too soon');
    const length = all.readUInt8(at + 1);
    const name = all.toString('utf8', at + 2, at + 2 + length);
    fields.push({ name, type: all.readUInt8(at) as FieldType });
    at += 2 + length;
  }
  return {
    kind: all[2]!,
    stream: all.toString('hex', STREAM, STREAM + STREAM_LENGTH),
    number: all.readDoubleLE(NUMBER_AT),
    rows: all.readUInt32LE(ROWS_AT),
    fields,
    body: all.subarray(at),
  };
}
