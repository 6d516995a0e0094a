// Rows into real SQLite files, over the writer that the thread of a database runs.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Driver } from '../../../src/database/driver.ts';
import { openSqlite } from '../../../src/database/sqlite.ts';
import type { DatabaseTarget } from '../../../src/database/target.ts';
import { DatabaseWriter } from '../../../src/database/writer.ts';
import type { KeyType } from '../../../src/pipeline/key.ts';
import { KIND, rowBatchHeader, seal } from '../../../src/wire/row-batch.ts';
import { TestRows } from '../../support/rows.ts';

const TYPES: Readonly<Record<string, KeyType>> = {
  'oob.prefix': 'string',
  'raw.mac_len': 'u16',
  'ct.mark': 'u32',
  'orig.raw.pktlen': 'u64',
  'tcp.syn': 'bool',
  'ip.saddr': 'ip',
  'ip.saddr.bin': 'rawstr',
  'ip.saddr.str': 'string',
};
const LARGEST = 2n ** 64n - 1n;

let folder = '';
let path = '';
let writers: DatabaseWriter[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'flowlogd-sqlite-'));
  path = join(folder, 'rows.db');
});
afterEach(async () => {
  for (const writer of writers) await writer.close();
  writers = [];
  rmSync(folder, { recursive: true });
});

/** Runs a statement as another program would, and returns its rows. */
async function sql(text: string): Promise<readonly (readonly unknown[])[]> {
  const { DatabaseSync } = (await import('@photostructure/sqlite')) as unknown as {
    DatabaseSync: new (
      path: string,
    ) => { exec(text: string): void; prepare(text: string): { all(): Record<string, unknown>[] }; close(): void };
  };
  const database = new DatabaseSync(path);
  try {
    if (!/^select/i.test(text)) {
      database.exec(text);
      return [];
    }
    return database
      .prepare(text)
      .all()
      .map((row) => Object.values(row));
  } finally {
    database.close();
  }
}

async function open(rows: TestRows, settings: Partial<DatabaseTarget> = {}): Promise<DatabaseWriter> {
  const target: DatabaseTarget = {
    kind: 'sqlite3',
    connection: { database: path },
    table: 't',
    procedure: 'INSERT',
    skipFirst: 'never',
    fields: rows.fields,
    output: 'out:SQLITE3',
    compat: false,
    ...settings,
  };
  const driver: Driver = await openSqlite(target);
  const writer = new DatabaseWriter(driver, target);
  writers.push(writer);
  await writer.open(() => {});
  return writer;
}

describe('values', () => {
  test('of every type are read back as they were, and absent keys are NULL', async () => {
    await sql(
      `CREATE TABLE t (id INTEGER PRIMARY KEY, oob_prefix VARCHAR(64), raw_mac_len INT UNSIGNED, ct_mark INT UNSIGNED,
       orig_raw_pktlen, tcp_syn BOOLEAN, ip_saddr INT UNSIGNED, ip_saddr_bin BLOB, ip_saddr_str TEXT)`,
    );
    const rows = new TestRows(TYPES);
    const writer = await open(rows);
    await writer.write([
      rows.batch(
        {
          'oob.prefix': 'dropped: ',
          'raw.mac_len': 14,
          'ct.mark': 0xfffffffe,
          'orig.raw.pktlen': 2n ** 53n + 1n,
          'tcp.syn': 1,
          'ip.saddr': '10.0.0.1',
          'ip.saddr.bin': '0x00000000000000000000ffff0a000001',
          'ip.saddr.str': '10.0.0.1',
        },
        { 'ip.saddr': '2001:db8::1', 'orig.raw.pktlen': LARGEST },
        {},
      ),
    ]);
    expect(
      await sql(
        `SELECT id, oob_prefix, raw_mac_len, ct_mark, CAST(orig_raw_pktlen AS TEXT), typeof(orig_raw_pktlen), tcp_syn,
         ip_saddr, hex(ip_saddr_bin), ip_saddr_str FROM t`,
      ),
    ).toEqual([
      // IP2HBIN turns addresses round for those who want to sort them; without it the number is ulogd's.
      [
        1,
        'dropped: ',
        14,
        0xfffffffe,
        '9007199254740993',
        'integer',
        1,
        0x0100000a,
        '00000000000000000000FFFF0A000001',
        '10.0.0.1',
      ],
      [2, null, null, null, String(LARGEST), 'text', null, '2001:db8::1', '', null],
      [3, null, null, null, null, 'null', null, null, '', null],
    ]);
  });

  test('keep their digits in columns of text and without a type', async () => {
    await sql('CREATE TABLE t (raw_mac_len, ct_mark TEXT, ip_saddr TEXT, orig_raw_pktlen TEXT, ip_saddr_bin TEXT)');
    const rows = new TestRows(TYPES);
    const writer = await open(rows);
    const bin = '0x20010db8000000000000000000000001';
    await writer.write([
      rows.batch({
        'raw.mac_len': 14,
        'ct.mark': 7,
        'ip.saddr': '10.0.0.1',
        'orig.raw.pktlen': LARGEST,
        'ip.saddr.bin': bin,
      }),
    ]);
    expect(
      await sql('SELECT raw_mac_len, typeof(raw_mac_len), ct_mark, ip_saddr, orig_raw_pktlen, ip_saddr_bin FROM t'),
    ).toEqual([[14, 'integer', '7', '10.0.0.1', String(LARGEST), bin]]);
  });

  test('have the sign of ulogd 2.0.8 under compat', async () => {
    await sql('CREATE TABLE t (ct_mark INT UNSIGNED)');
    const rows = new TestRows(TYPES);
    const writer = await open(rows, { compat: true });
    await writer.write([rows.batch({ 'ct.mark': 0xdeadbeef })]);
    expect(await sql('SELECT ct_mark FROM t')).toEqual([[-559038737]]);
  });

  test('are never read as SQL, and need not be UTF-8', async () => {
    await sql('CREATE TABLE t (oob_prefix TEXT)');
    const rows = new TestRows(TYPES);
    const writer = await open(rows);
    const hostile = `'); DROP TABLE t; --\\'"{},NULL`;
    await writer.write([
      rows.batch(
        { 'oob.prefix': hostile },
        { 'oob.prefix': Buffer.from([0x61, 0xff, 0x00, 0x62]) },
        { 'oob.prefix': 'é' },
      ),
    ]);
    expect(await sql('SELECT oob_prefix FROM t')).toEqual([[hostile], ['a\\xff\\x00b'], ['é']]);
  });
});

describe('batches', () => {
  const rows = () => new TestRows({ 'ct.id': 'u32' });
  const ids = async () => (await sql('SELECT ct_id FROM t ORDER BY ct_id')).flat();

  test('that are sent again, over the same or another connection, are written once', async () => {
    await sql('CREATE TABLE t (ct_id INT)');
    const stack = rows();
    const writer = await open(stack);
    const first = stack.batch({ 'ct.id': 1 });
    const second = stack.batch({ 'ct.id': 2 });
    const third = stack.batch({ 'ct.id': 3 });
    await writer.write([first, second]);
    await writer.write([second]);
    expect(await (await open(stack)).write([first, second, third])).toEqual({ refused: [0, 0, 0], refusals: [] });
    expect(await ids()).toEqual([1, 2, 3]);
  });

  test('of two processes do not meet', async () => {
    await sql('CREATE TABLE t (ct_id INT)');
    const one = new TestRows({ 'ct.id': 'u32' }, Buffer.alloc(16, 1));
    const other = new TestRows({ 'ct.id': 'u32' }, Buffer.alloc(16, 2));
    await (await open(one)).write([one.batch({ 'ct.id': 1 }), other.batch({ 'ct.id': 2 })]);
    expect(await ids()).toEqual([1, 2]);
  });

  test('over a connection that another one has overtaken are not written', async () => {
    await sql('CREATE TABLE t (ct_id INT)');
    const stack = rows();
    const slow = await open(stack);
    await slow.write([stack.batch({ 'ct.id': 1 })]);
    const again = stack.batch({ 'ct.id': 2 });
    await (await open(stack)).write([again]);
    await expect(slow.write([again])).rejects.toThrow('an earlier connection has written meanwhile');
    expect(await ids()).toEqual([1, 2]);
  });

  test('lose only the rows that the table refuses, counted by batch and by reason', async () => {
    await sql('CREATE TABLE t (ct_id INT CHECK (ct_id % 10 <> 3) CHECK (ct_id <> 20))');
    const stack = rows();
    const writer = await open(stack);
    const batch = (from: number) => stack.batch(...Array.from({ length: 20 }, (_, i) => ({ 'ct.id': from + i })));
    const { refused, refusals } = await writer.write([batch(0), batch(20)]);
    expect(refused).toEqual([2, 3]);
    expect(refusals.map(({ rows: count }) => count).sort()).toEqual([1, 4]);
    expect(refusals[0]?.message).toContain('CHECK constraint failed');
    expect(await ids()).toEqual(Array.from({ length: 40 }, (_, i) => i).filter((i) => i % 10 !== 3 && i !== 20));
  });

  test('with fields that the table no longer has, as a spool may hold them, fill the columns that there are', async () => {
    await sql('CREATE TABLE t (ct_mark INT, ct_id INT)');
    const before = new TestRows({ 'oob.prefix': 'string', 'ct.id': 'u32' });
    const now = new TestRows({ 'ct.id': 'u32', 'ct.mark': 'u32' });
    await (await open(now)).write([before.batch({ 'oob.prefix': 'gone', 'ct.id': 1 })]);
    expect(await sql('SELECT * FROM t')).toEqual([[null, 1]]);
  });

  test('that are none, or are cut, are refused whole, and the others are written', async () => {
    await sql('CREATE TABLE t (ct_id INT)');
    const stack = rows();
    const writer = await open(stack);
    const whole = stack.batch({ 'ct.id': 1 });
    const text = Buffer.from('a line of text that some spool held, and long enough');
    const cut = whole.slice(0, whole.length - 2);
    const { refused, refusals } = await writer.write([text, cut, whole]);
    expect(refused.map((count) => count > 0)).toEqual([true, true, false]);
    expect(refusals).toMatchObject([{ message: 'these bytes are no rows for a database', rows: 2 }]);
    expect(await ids()).toEqual([1]);
  });
});

describe('a table', () => {
  test('that is missing is named', async () => {
    await sql('CREATE TABLE other (x)');
    await expect(open(new TestRows(TYPES))).rejects.toThrow('there is no table or view "t"');
  });

  test('in a file that is missing is not made', async () => {
    await expect(open(new TestRows(TYPES))).rejects.toThrow(`there is no database ${path}`);
  });

  test('in a file that is no database is an error', async () => {
    await expect(open(new TestRows(TYPES), { connection: { database: '/etc/hostname' } })).rejects.toThrow();
  });

  test('with columns for which there is no key names each, and what would give it', async () => {
    await sql('CREATE TABLE t (ct_mark, ct_mork, ip_daddr_str, oob_in, tcp_sport)');
    await expect(open(new TestRows(TYPES))).rejects.toThrow(
      'table "t": no key of the stack fits the columns "ct_mork"; did you mean "ct_mark"?, "ip_daddr_str" (IP2STR in the stack would give it), "oob_in" (IFINDEX in the stack would give it), "tcp_sport" (BASE in the stack would give it)',
    );
  });
});

test('gaps are rows of the table of gaps, where there is one', async () => {
  await sql(readFileSync('etc/sql/sqlite3/flowlogd.sql', 'utf8'));
  await sql(readFileSync('etc/sql/sqlite3/flowlogd.sql', 'utf8')); // a second time is no error
  const header = rowBatchHeader(KIND.gap, Buffer.alloc(16, 9), []);
  seal(new DataView(header.buffer, header.byteOffset), 1, 0);
  const gap = { input: 'log1:NFLOG', from: 1500, to: 2000, lost: 7, exact: true, cause: 'overrun' };
  const batch = Buffer.concat([header, Buffer.from(JSON.stringify(gap))]);
  const stack = new TestRows({
    'sum.name': 'string',
    'sum.pkts': 'u64',
    'sum.bytes': 'u64',
    'oob.time.sec': 'u32',
    'oob.time.usec': 'u32',
  });
  const writer = await open(stack, { table: 'nfacct' });
  await writer.write([batch]);
  await writer.write([batch]);
  expect(await sql('SELECT * FROM flowlogd_gap')).toEqual([['log1:NFLOG', 1.5, 2, 7, 1, 'overrun']]);
});
