import { isUtf8 } from 'node:buffer';
import { ipText } from '../wire/ip-text.ts';
import { FIELD, type RowBatch, UnreadableBatch } from '../wire/row-batch.ts';

/** A value on its way into a column. */
export type Cell = number | bigint | string | Buffer | null;
/** The values of a row, in the order of the columns. */
export type Row = readonly Cell[];

/**
 * How addresses and literals are put into a column: as text; as bytes; as a whole number of at most 64 bits, which an IPv6
 * address is none of; as a number of any size; as what fits best (SQLite, whose integer columns take text too).
 */
export type Form = 'text' | 'bytes' | 'integer' | 'numeric' | 'any';

/** A column with the key that it holds. */
export interface Target {
  readonly key: string;
  readonly form: Form;
}

/**
 * Decodes the rows of a batch for these columns. Keys that the batch has not are NULL, and those that no column holds are
 * left out. `signed`: 32-bit numbers as ulogd 2.0.8 gives them to SQLite. Throws UnreadableBatch when the bytes end too soon.
 */
export function decodeRows(batch: RowBatch, targets: readonly Target[], signed = false): Row[] {
  try {
    return decode(batch, targets, signed);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error; // what Buffer throws behind its end
    throw new UnreadableBatch('these rows end too soon');
  }
}

function decode(batch: RowBatch, targets: readonly Target[], signed: boolean): Row[] {
  const { body, fields } = batch;
  const columns = fields.map(({ name }) => targets.findIndex(({ key }) => key === name));
  const forms = columns.map((column) => targets[column]?.form ?? 'text');
  const bitmap = (fields.length + 7) >> 3;
  const rows: Row[] = [];
  let at = 0;
  for (let left = batch.rows; left > 0; left--) {
    const bits = at;
    at += bitmap;
    const row: Cell[] = new Array(targets.length).fill(null);
    for (let i = 0; i < fields.length; i++) {
      if ((body.readUInt8(bits + (i >> 3)) & (1 << (i & 7))) === 0) continue;
      const column = columns[i]!;
      let cell: Cell;
      switch (fields[i]!.type) {
        case FIELD.number:
          cell = signed ? body.readInt32LE(at) : body.readUInt32LE(at);
          at += 4;
          break;
        case FIELD.wide:
          cell = wide(body.readUInt32LE(at + 4), body.readUInt32LE(at));
          at += 8;
          break;
        case FIELD.address: {
          const start = at + 1;
          at = start + body.readUInt8(at);
          if (at > body.length) throw new RangeError();
          cell = column < 0 ? null : address(body.subarray(start, at), forms[i]!, signed);
          break;
        }
        default: {
          const start = at + 4;
          at = start + body.readUInt32LE(at);
          if (at > body.length) throw new RangeError();
          const bytes = body.subarray(start, at);
          if (column < 0) cell = null;
          else cell = fields[i]!.type === FIELD.literal ? literal(bytes, forms[i]!) : text(bytes);
        }
      }
      if (column >= 0) row[column] = cell;
    }
    rows.push(row);
  }
  return rows;
}

const wide = (high: number, low: number): number | bigint =>
  high < 0x200000 ? high * 0x100000000 + low : (BigInt(high) << 32n) | BigInt(low);

/** Text that any database takes: what is no UTF-8, and NUL, which PostgreSQL refuses, as `\xNN`. */
function text(bytes: Buffer): string {
  if (isUtf8(bytes) && !bytes.includes(0)) return bytes.toString('utf8');
  const escaped = (char: string) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`;
  return bytes.toString('latin1').replace(/[\0\x80-\xff]/g, escaped);
}

/** As ulogd2, an IPv4 address as a number is its four bytes read in the machine's order: IP2HBIN puts them right before. */
function address(bytes: Buffer, form: Form, signed: boolean): Cell {
  if (form === 'bytes') return Buffer.from(bytes);
  if (form !== 'text' && bytes.length === 4) return signed ? bytes.readInt32LE() : bytes.readUInt32LE();
  if (form === 'integer') return null;
  if (form === 'numeric') return BigInt(`0x${bytes.toString('hex')}`);
  return ipText(bytes);
}

/** IP2BIN's `0x…`: 16 bytes for a column that holds bytes. */
function literal(bytes: Buffer, form: Form): Cell {
  const all = bytes.toString('latin1');
  if (!/^0x([0-9a-f]{2})+$/.test(all)) return text(bytes);
  if (form === 'bytes') return Buffer.from(all.slice(2), 'hex');
  return form === 'numeric' ? BigInt(all) : all;
}
