// Rows into the real PostgreSQL and MariaDB, over the writer that the thread of a database runs.
import { readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { MysqlServer, PostgresServer } from '../../scripts/database-servers.js';
import { Lab } from '../../scripts/lab.js';
import { loadCatalog } from '../../src/cli/registry.ts';
import { openMysql } from '../../src/database/mysql.ts';
import { openPostgres } from '../../src/database/postgres.ts';
import type { DatabaseTarget, ServerConnection } from '../../src/database/target.ts';
import { DatabaseWriter } from '../../src/database/writer.ts';
import type { KeyType } from '../../src/pipeline/key.ts';
import { type Given, TestRows } from '../support/rows.ts';

const lab = new Lab();
const postgres = new PostgresServer(lab);
const mysql = new MysqlServer(lab);
const writers: DatabaseWriter[] = [];
beforeAll(() => Promise.all([postgres.start(), mysql.start()]));
afterEach(async () => {
  for (const writer of writers.splice(0)) await writer.close();
  postgres.sql(
    'SET client_min_messages = error; DROP SCHEMA IF EXISTS flowlogd CASCADE; DROP SCHEMA public CASCADE; CREATE SCHEMA public; GRANT ALL ON SCHEMA public TO ulogd',
  );
  mysql.sql('DROP DATABASE ulogd; CREATE DATABASE ulogd');
});
afterAll(async () => {
  await Promise.all([postgres.stop(), mysql.stop()]);
  lab.close();
});

const TYPES: Readonly<Record<string, KeyType>> = {
  'oob.prefix': 'string',
  'raw.mac_len': 'u16',
  'ct.mark': 'u32',
  'orig.raw.pktlen': 'u64',
  'tcp.syn': 'bool',
  'ip.saddr': 'ip',
  'ip.hsaddr': 'ip',
  'ip.saddr.bin': 'rawstr',
  'ip.saddr.str': 'string',
};
const LARGEST = 2n ** 64n - 1n;
const BIN = '0x20010db8000000000000000000000001';
/** What a hostile rule or peer would call itself. */
const HOSTILE = [`'); DROP TABLE t; --`, `\\'"{},NULL,"`, '$1 ? :x \\x00 \\', 'NULL', '{1,2}', '"', "''", '\\', '`'];

/** Every key that a database takes, with its type. */
const KEYS: Readonly<Record<string, KeyType>> = Object.fromEntries(
  (await loadCatalog()).flatMap((plugin) =>
    plugin.role === 'output' ? [] : Object.entries(plugin.writes).map(([key, { type }]) => [key, type] as const),
  ),
);
const LARGEST_OF = { bool: 1, u8: 255, u16: 0xffff, u32: 0xffffffff, u64: LARGEST } as const;
const keyOf = (column: string) => Object.keys(KEYS).find((key) => key.replaceAll('.', '_') === column);

/** The largest value of a key, and how a query shows it in a column of our schemas. */
function sample(column: string, isPostgres: boolean): { key: string; value: Given[string]; shown: string } {
  const key = keyOf(column);
  if (key === undefined) throw new Error(`no plugin writes a key for the column ${column}`);
  const type = KEYS[key]!;
  if (type === 'ip') return { key, value: '10.0.0.1', shown: String(0x0100000a) };
  if (type === 'rawstr') return { key, value: BIN, shown: BIN.slice(2) };
  if (type === 'string') {
    const value = /ip_.addr_str/.test(column) ? '2001:db8::1' : 'a1:b2';
    return { key, value, shown: value };
  }
  if (type === 'raw') throw new Error(`${column} holds raw bytes`);
  const value = LARGEST_OF[type];
  return { key, value, shown: type === 'bool' && isPostgres ? 't' : String(value) };
}

const SERVERS = [
  {
    name: 'PGSQL',
    kind: 'pgsql',
    skipFirst: 'underscore',
    sql: (text: string) => postgres.sql(text),
    connection: { host: postgres.folder, user: 'ulogd', password: 'secret', database: 'ulogd' },
  },
  {
    name: 'MYSQL',
    kind: 'mysql',
    skipFirst: 'always',
    sql: (text: string) => mysql.sql(text),
    connection: { host: mysql.socket, user: 'ulogd', password: 'secret', database: 'ulogd' },
  },
] as const;

async function open(
  {
    kind,
    skipFirst,
    connection,
  }: Pick<DatabaseTarget, 'kind' | 'skipFirst'> & { readonly connection: ServerConnection },
  rows: TestRows,
  settings: Partial<DatabaseTarget> = {},
): Promise<DatabaseWriter & { notice?: string | undefined }> {
  const target: DatabaseTarget = {
    kind,
    connection,
    table: 't',
    procedure: 'INSERT',
    skipFirst,
    fields: rows.fields,
    output: 'out:TEST',
    compat: false,
    ...settings,
  };
  const writer = new DatabaseWriter(await (kind === 'pgsql' ? openPostgres : openMysql)(target), target);
  writers.push(writer);
  const { notice } = await writer.open(() => {});
  return Object.assign(writer, { notice });
}

describe.each(SERVERS)('$name', (server) => {
  const { sql } = server;
  const isPostgres = server.kind === 'pgsql';
  const own = (text: string) => {
    sql(text);
    if (isPostgres)
      sql('GRANT ALL ON ALL TABLES IN SCHEMA public TO ulogd; GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO ulogd');
  };
  const idColumn = isPostgres ? '_id bigserial' : '_id bigint auto_increment primary key';
  const makeIds = (more = '') => own(`CREATE TABLE t (${idColumn}, ct_mark bigint ${more})`);
  /** Loads our schema, twice because that must be no error, and returns its name. */
  const loadSchema = () => {
    for (let time = 0; time < 2; time++) sql(readFileSync(`etc/sql/${server.kind}/flowlogd.sql`, 'utf8'));
    if (!isPostgres) return 'ulogd';
    sql('GRANT ALL ON SCHEMA flowlogd TO ulogd; GRANT ALL ON ALL TABLES IN SCHEMA flowlogd TO ulogd');
    return 'flowlogd';
  };
  const marks = () => sql('SELECT ct_mark FROM t ORDER BY ct_mark').map(Number);

  test('values of every type are read back as they were, and absent keys are NULL', async () => {
    const [flag, bytes, text] = isPostgres ? ['boolean', 'bytea', 'inet'] : ['tinyint', 'binary(16)', 'varchar(64)'];
    own(
      `CREATE TABLE t (${idColumn}, oob_prefix varchar(200), raw_mac_len int, ct_mark ${isPostgres ? 'bigint' : 'int unsigned'},
       orig_raw_pktlen ${isPostgres ? 'numeric' : 'bigint unsigned'}, tcp_syn ${flag}, ip_saddr ${text}, ip_hsaddr bigint, ip_saddr_bin ${bytes}, ip_saddr_str ${text})`,
    );
    const rows = new TestRows(TYPES);
    const writer = await open(server, rows);
    const result = await writer.write([
      rows.batch(
        {
          'oob.prefix': 'dropped é: ',
          'raw.mac_len': 14,
          'ct.mark': 0xfffffffe,
          'orig.raw.pktlen': LARGEST,
          'tcp.syn': 1,
          'ip.saddr': '10.0.0.1',
          'ip.hsaddr': '1.0.0.10',
          'ip.saddr.bin': BIN,
          'ip.saddr.str': '10.0.0.1',
        },
        { 'ip.saddr': '2001:db8::1', 'ip.hsaddr': '2001:db8::1', 'ip.saddr.str': '2001:db8::1' },
        {},
        { 'orig.raw.pktlen': 2n ** 53n + 1n, 'tcp.syn': 0, 'oob.prefix': '' },
      ),
    ]);
    expect(result).toEqual({ refused: [0], refusals: [] });
    const hex = isPostgres ? `upper(encode(ip_saddr_bin, 'hex'))` : 'hex(ip_saddr_bin)';
    const yes = isPostgres ? 't' : '1';
    const no = isPostgres ? 'f' : '0';
    const none = isPostgres ? '' : 'NULL';
    expect(
      sql(
        `SELECT _id, oob_prefix, raw_mac_len, ct_mark, orig_raw_pktlen, tcp_syn, ip_saddr, ip_hsaddr, ${hex}, ip_saddr_str FROM t ORDER BY _id`,
      ).map((line) => line.split('\t')),
    ).toEqual([
      [
        '1',
        'dropped é: ',
        '14',
        '4294967294',
        String(LARGEST),
        yes,
        '10.0.0.1',
        '167772161',
        BIN.slice(2).toUpperCase(),
        '10.0.0.1',
      ],
      ['2', none, none, none, none, none, '2001:db8::1', none, none, '2001:db8::1'],
      ['3', ...Array(9).fill(none)],
      ['4', '', none, none, '9007199254740993', no, none, none, none, none],
    ]);
  });

  test('text is never read as SQL, in rows and in calls of functions', async () => {
    own(`CREATE TABLE t (${idColumn}, oob_prefix varchar(200))`);
    if (isPostgres) {
      sql(
        `CREATE FUNCTION note(p varchar) RETURNS bigint LANGUAGE sql AS $$ INSERT INTO t (oob_prefix) VALUES ($1) RETURNING _id $$`,
      );
    } else {
      sql(
        `CREATE FUNCTION note(p varchar(200)) RETURNS bigint BEGIN INSERT INTO t (oob_prefix) VALUES (p); RETURN 1; END`
          .replace(/^/, 'DELIMITER $$\n')
          .concat('$$\nDELIMITER ;\n'),
      );
    }
    const rows = new TestRows(TYPES);
    const events = HOSTILE.map((prefix) => ({ 'oob.prefix': prefix }));
    await (await open(server, rows)).write([
      rows.batch(...events, { 'oob.prefix': Buffer.from([0x61, 0xff, 0, 0x62]) }),
    ]);
    await (await open(server, rows, { procedure: 'NOTE' })).write([rows.batch(...events)]);
    const hex = isPostgres ? `encode(convert_to(oob_prefix, 'UTF8'), 'hex')` : 'lower(hex(oob_prefix))';
    const read = sql(`SELECT ${hex} FROM t ORDER BY _id`).map((digits) => Buffer.from(digits, 'hex').toString());
    expect(read).toEqual([...HOSTILE, 'a\\xff\\x00b', ...HOSTILE]);
  });

  test('a batch that is sent again is written once, over the same or another connection', async () => {
    makeIds();
    const rows = new TestRows({ 'ct.mark': 'u32' });
    const writer = await open(server, rows);
    const [first, second] = [rows.batch({ 'ct.mark': 1 }), rows.batch({ 'ct.mark': 2 })];
    await writer.write([first, second]);
    await writer.write([second]);
    await (await open(server, rows)).write([first, second, rows.batch({ 'ct.mark': 3 })]);
    expect(marks()).toEqual([1, 2, 3]);
  });

  test('a connection that another one has overtaken writes nothing', async () => {
    makeIds();
    const rows = new TestRows({ 'ct.mark': 'u32' });
    const slow = await open(server, rows);
    await slow.write([rows.batch({ 'ct.mark': 1 })]);
    const again = rows.batch({ 'ct.mark': 2 });
    await (await open(server, rows)).write([again]);
    await expect(slow.write([again])).rejects.toThrow('an earlier connection has written meanwhile');
    expect(marks()).toEqual([1, 2]);
  });

  test('rows that the table refuses are counted by reason, and the others of the batch are written', async () => {
    makeIds(', CONSTRAINT odd CHECK (ct_mark % 10 <> 3)');
    const rows = new TestRows({ 'ct.mark': 'u32' });
    const writer = await open(server, rows);
    const events = Array.from({ length: 300 }, (_, i) => ({ 'ct.mark': i }));
    const { refused, refusals } = await writer.write([rows.batch(...events)]);
    expect(refused).toEqual([30]);
    expect(refusals).toMatchObject([{ rows: 30, message: expect.stringContaining('odd') }]);
    expect(marks()).toEqual(events.map((_, i) => i).filter((i) => i % 10 !== 3));
  });

  test('text after INSERT goes before the columns', async () => {
    makeIds();
    own(`CREATE TABLE other (${idColumn}, ct_mark bigint)`);
    const rows = new TestRows({ 'ct.mark': 'u32' });
    await (await open(server, rows, { procedure: 'INSERT INTO other' })).write([rows.batch({ 'ct.mark': 1 })]);
    expect([marks(), sql('SELECT ct_mark FROM other')]).toEqual([[], ['1']]);
  });

  test('CALL calls a procedure for each row, and a function gets its own types', async () => {
    makeIds();
    const body = 'INSERT INTO t (ct_mark) VALUES (m + 100)';
    if (isPostgres) {
      sql(`CREATE PROCEDURE put(m smallint) LANGUAGE sql AS $$ ${body} $$;
           CREATE FUNCTION add(m smallint) RETURNS void LANGUAGE sql AS $$ ${body} $$`);
    } else {
      sql(
        `CREATE PROCEDURE put(m smallint) ${body};\nDELIMITER $$\nCREATE FUNCTION ulogd.add_mark(m smallint) RETURNS int BEGIN ${body}; RETURN 1; END$$\nDELIMITER ;\n`,
      );
    }
    const rows = new TestRows({ 'ct.mark': 'u32' });
    await (await open(server, rows, { procedure: 'CALL put' })).write([rows.batch({ 'ct.mark': 1 }, { 'ct.mark': 2 })]);
    const procedure = isPostgres ? 'ADD' : 'add_mark';
    await (await open(server, rows, { procedure })).write([
      rows.batch(...Array.from({ length: 20 }, (_, i) => ({ 'ct.mark': 10 + i }))),
    ]);
    expect(marks()).toEqual([101, 102, ...Array.from({ length: 20 }, (_, i) => 110 + i)]);
  });

  test('a missing table, a column without a key, a missing function and a wrong password are named', async () => {
    const rows = new TestRows({ 'ct.mark': 'u32' });
    await expect(open(server, rows)).rejects.toThrow('there is no table or view "t"');
    makeIds(', nothing int');
    await expect(open(server, rows)).rejects.toThrow('no key of the stack fits the column "nothing"');
    sql('ALTER TABLE t DROP COLUMN nothing');
    if (isPostgres) {
      await expect(open(server, rows, { procedure: 'INSERT_CT' })).rejects.toThrow(
        'there is no function INSERT_CT that takes the 1 columns',
      );
    }
    await expect(open(server, rows, { procedure: 'f(); DROP TABLE t' })).rejects.toThrow(
      'neither INSERT nor the name of a function',
    );
    const connection = { ...server.connection, password: 'wrong' };
    await expect(open({ ...server, connection }, rows)).rejects.toThrow(/password|Access denied/);
    expect(marks()).toEqual([]);
  });

  test.each([
    ['ulog2', 'INSERT', 'ulog2'],
    ['ulog', 'INSERT_PACKET_FULL', 'ulog2'],
    ['ulog2_ct', 'INSERT', 'ulog2_ct'],
    ['ulog2_ct', 'INSERT_CT', 'ulog2_ct'],
    ['ulog2_ct', 'INSERT_OR_REPLACE_CT', 'ulog2_ct'],
    ['nfacct', 'INSERT', 'nfacct'],
    ['nfacct', 'INSERT_NFACCT', 'nfacct'],
  ])('our schema takes the largest value of every key by table %s and %s', async (table, procedure, written) => {
    const schema = loadSchema();
    const columns = sql(
      `SELECT column_name FROM information_schema.columns WHERE table_schema = '${schema}' AND table_name = '${table}' ORDER BY ordinal_position`,
    ).filter((name) => !name.startsWith('_'));
    const samples = columns.map((column) => sample(column, isPostgres));
    const rows = new TestRows(KEYS);
    const writer = await open({ ...server, connection: { ...server.connection, schema } }, rows, { table, procedure });
    const event = Object.fromEntries(samples.map(({ key, value }) => [key, value]));
    expect(await writer.write([rows.batch(event)])).toEqual({ refused: [0], refusals: [] });
    const shown = columns.map((column) => (column.endsWith('_bin') ? `lower(hex(${column}))` : column)).join(', ');
    const read = sql(`SELECT ${shown} FROM ${isPostgres ? 'flowlogd.' : ''}${written}`);
    expect(read.map((line) => line.split('\t'))).toEqual([samples.map((one) => one.shown)]);
  });

  test('INSERT_OR_REPLACE_CT keeps one row of a connection from its begin to its end', async () => {
    const schema = loadSchema();
    const rows = new TestRows(KEYS);
    const settings = { table: 'ulog2_ct', procedure: 'INSERT_OR_REPLACE_CT' };
    const writer = await open({ ...server, connection: { ...server.connection, schema } }, rows, settings);
    const tuple = (port: number) => ({
      'orig.ip.saddr.str': '10.0.0.1',
      'orig.ip.saddr.bin': BIN,
      'orig.ip.protocol': 6,
      'orig.l4.sport': port,
    });
    await writer.write([
      rows.batch(
        { ...tuple(1), 'ct.event': 1, 'flow.start.sec': 100 },
        { ...tuple(2), 'ct.event': 1, 'flow.start.sec': 101 },
        { ...tuple(1), 'ct.event': 4, 'flow.end.sec': 200, 'orig.raw.pktlen': LARGEST },
        { ...tuple(1), 'ct.event': 1, 'flow.start.sec': 300 },
      ),
    ]);
    const none = isPostgres ? '' : 'NULL';
    const table = isPostgres ? 'flowlogd.ulog2_ct' : 'ulog2_ct';
    expect(
      sql(
        `SELECT orig_l4_sport, ct_event, flow_start_sec, flow_end_sec, orig_raw_pktlen FROM ${table} ORDER BY _ct_id`,
      ),
    ).toEqual([
      ['1', '4', '100', '200', String(LARGEST)].join('\t'),
      ['2', '1', '101', none, none].join('\t'),
      ['1', '1', '300', none, none].join('\t'),
    ]);
    expect(sql(`SELECT source FROM ${isPostgres ? 'flowlogd.' : ''}flowlogd_connections LIMIT 1`)).toEqual([
      isPostgres ? '10.0.0.1' : '2001:db8::1',
    ]);
  });

  test('without the right to make its table it says what that costs, and writes', async () => {
    makeIds();
    const limited = isPostgres ? 'limited' : 'limited@localhost';
    sql(
      isPostgres
        ? `DROP USER IF EXISTS limited; CREATE USER limited PASSWORD 'secret'; GRANT USAGE ON SCHEMA public TO limited; GRANT INSERT, SELECT ON t TO limited; GRANT USAGE ON SEQUENCE t__id_seq TO limited`
        : `CREATE OR REPLACE USER ${limited} IDENTIFIED BY 'secret'; GRANT INSERT, SELECT ON ulogd.t TO ${limited}`,
    );
    const rows = new TestRows({ 'ct.mark': 'u32' });
    const writer = await open({ ...server, connection: { ...server.connection, user: 'limited' } }, rows);
    expect(writer.notice).toContain('cannot make the table flowlogd_sender');
    await writer.write([rows.batch({ 'ct.mark': 1 })]);
    expect(marks()).toEqual([1]);
  });
});
