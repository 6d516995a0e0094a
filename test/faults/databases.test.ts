// Databases that are killed, full, or not as they should be, under the whole daemon and packets from the kernel.
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { MysqlServer, PostgresServer } from '../../scripts/database-servers.js';
import { Lab, until } from '../../scripts/lab.js';
import { Daemon, killRest, logDatagrams, sendDatagrams } from '../support/daemon.ts';
import { killPeers, Peer } from '../support/peer.ts';

const lab = new Lab();
const namespace = lab.namespace('databases');
logDatagrams(lab, namespace, 5);
const postgres = new PostgresServer(lab);
const mysql = new MysqlServer(lab);
const files = join(lab.directory, 'files');
mkdirSync(files);
const disk = join(lab.directory, 'disk');
mkdirSync(disk);
lab.sh(`mount -t tmpfs -o size=2m tmpfs ${disk}`);
const readOnly = join(lab.directory, 'read-only');
lab.sh(
  `mkdir ${readOnly}; mount -t tmpfs tmpfs ${readOnly}; sqlite3 ${readOnly}/rows.db 'CREATE TABLE t (oob_seq_local)'
   mount -o remount,ro ${readOnly}`,
);
const file = join(files, 'rows.db');
const sqlite = (text: string, path = file): string[] =>
  execFileSync('sqlite3', ['-cmd', '.timeout 5000', '-separator', '\t', path, text], { encoding: 'utf8' })
    .split('\n')
    .filter(Boolean);

beforeAll(() => Promise.all([postgres.start(), mysql.start()]));
afterEach(killRest);
afterEach(killPeers);
afterAll(async () => {
  await Promise.all([postgres.stop(), mysql.stop()]);
  lab.sh(`umount -l ${disk} ${readOnly}`);
  lab.close();
});

const SERVER = 'table="t"\nprocedure="INSERT"\ndb="ulogd"\nuser="ulogd"\npass="secret"';
const PLACES = {
  PGSQL: {
    options: `${SERVER}\nhost="${postgres.folder}"`,
    id: '_id bigserial',
    sql: (text: string) => postgres.sql(text),
    server: postgres,
  },
  MYSQL: {
    options: `${SERVER}\nhost="${mysql.socket}"`,
    id: '_id bigint auto_increment primary key',
    sql: (text: string) => mysql.sql(text),
    server: mysql,
  },
  SQLITE3: { options: `table="t"\ndb="${file}"`, id: '_id integer primary key', sql: sqlite, server: undefined },
} as const;

/** Numbered packets to outputs, `id:PLUGIN` and options of each, and a last one that shows that other stacks go on. */
const stacksTo = (outputs: readonly (readonly [output: string, options: string])[]) => `[global]
${outputs.map(([output]) => `stack=log1:NFLOG,base1:BASE,ip2str1:IP2STR,${output}`).join('\n')}
stack=log1:NFLOG,base1:BASE,ip2str1:IP2STR,json1:JSON
[log1]
group=5
seq_local=1
netlink_socket_buffer_size=16777216
netlink_socket_buffer_maxsize=33554432
[json1]
file="/out/packets.json"
${outputs.map(([output, options]) => `[${output.split(':')[0]}]\n${options}\n`).join('')}`;
const configuration = (plugin: string, options: string) => stacksTo([[`db1:${plugin}`, options]]);

function makeTable({ sql, id, server }: (typeof PLACES)[keyof typeof PLACES], more = '', name = 't'): void {
  sql(`DROP TABLE IF EXISTS ${name}`);
  sql(`CREATE TABLE ${name} (${id}, oob_seq_local bigint ${more})`);
  if (server === postgres) sql(`GRANT ALL ON ${name} TO ulogd; GRANT ALL ON ${name}__id_seq TO ulogd`);
}

/** Each of these places is refused, in one line with this reason, and nothing else comes to harm. */
async function expectRefused(plugin: string, places: readonly (readonly [options: string, reason: RegExp])[]) {
  const outputs = places.map(([options], i) => [`db${i + 1}:${plugin}`, options] as const);
  const daemon = await Daemon.start(lab, stacksTo(outputs), { namespace });
  sendDatagrams(lab, namespace, 5);
  await daemon.lines('packets.json', 5);
  for (const [output] of outputs) await daemon.logged(`${output}: `);
  expect(await daemon.stop()).toBe(0);
  expect(errorsOf(daemon)).toHaveLength(places.length);
  for (const [i, [, reason]] of places.entries()) {
    const output = `db${i + 1}:${plugin}`;
    expect(errorsOf(daemon).find((line) => line.includes(`${output}: `))).toMatch(reason);
    expect(daemon.log).toContain(`${output}: 0 written, 5 dropped: stopped`);
  }
  expect(daemon.log).not.toContain('"wrong"');
}

const errorsOf = ({ log }: Daemon): string[] => log.split('\n').filter((line) => line.includes('<7>'));

describe.each(['PGSQL', 'MYSQL'] as const)('%s', (plugin) => {
  const place = PLACES[plugin];
  const rows = () => Number(place.sql('SELECT count(*) FROM t')[0]);

  test('every row arrives once when the server is killed and comes back, again and again', async () => {
    makeTable(place);
    const daemon = await Daemon.start(lab, configuration(plugin, place.options), { namespace });
    let sent = 0;
    for (let round = 0; round < 3; round++) {
      const load = lab.start(
        ['bash', '-c', `for ((i = 0; i < 6000; i++)); do echo $i > /dev/udp/127.0.0.1/9; done`],
        namespace,
      );
      const ended = new Promise((done) => load.once('exit', done));
      const before = rows();
      await until('rows arrive', () => rows() > before);
      await place.server.kill();
      await ended;
      sent += 6000;
      await place.server.start();
      await until('all rows are there', () => rows() >= sent);
    }
    expect(await daemon.stop()).toBe(0);
    expect(
      place.sql('SELECT count(*), count(DISTINCT oob_seq_local), min(oob_seq_local), max(oob_seq_local) FROM t'),
    ).toEqual([`${sent}\t${sent}\t0\t${sent - 1}`]);
    expect(daemon.log).toContain(`db1:${plugin}: ${sent} written`);
    expect(daemon.log).toContain('until it is connected again');
  });

  test('a server that comes later than the daemon gets the rows of before', async () => {
    makeTable(place);
    await place.server.stop();
    const daemon = await Daemon.start(lab, configuration(plugin, place.options), { namespace });
    sendDatagrams(lab, namespace, 20);
    await daemon.lines('packets.json', 20);
    await place.server.start();
    await until('the rows are there', () => rows() === 20);
    expect(await daemon.stop()).toBe(0);
    expect(daemon.log).toContain(`db1:${plugin}: 20 written`);
  });

  test('what is wrong with a place is one line that names the stack; other stacks go on; what cannot be kept is counted', async () => {
    makeTable(place);
    makeTable(place, ', nothing int', 'odd');
    await expectRefused(plugin, [
      [place.options.replace('pass="secret"', 'pass="wrong"'), /password authentication failed|Access denied/],
      [place.options.replace('db="ulogd"', 'db="nowhere"'), /nowhere/],
      [place.options.replace('table="t"', 'table="nothing"'), /there is no table or view "nothing"/],
      [place.options.replace('table="t"', 'table="odd"'), /table "odd": no key of the stack fits the column "nothing"/],
      [place.options.replace(/host=.*/, 'host="127.0.0.1"\nport=1'), /ECONNREFUSED/],
    ]);
  });

  test('repairing the table is enough: nobody starts the daemon again', async () => {
    makeTable(place, ', nothing int');
    const daemon = await Daemon.start(lab, configuration(plugin, place.options), { namespace });
    sendDatagrams(lab, namespace, 5);
    await daemon.logged('no key of the stack fits the column "nothing"');
    place.sql('ALTER TABLE t DROP COLUMN nothing');
    await until('the rows are there', () => rows() === 5);
    expect(await daemon.stop()).toBe(0);
  });
});

test.each(['PGSQL', 'MYSQL', 'SQLITE3'] as const)(
  '%s: rows that the table refuses are one line and counted, and the others are written',
  async (plugin) => {
    const place = PLACES[plugin];
    makeTable(place, ', CONSTRAINT odd CHECK (oob_seq_local % 10 <> 3)');
    const daemon = await Daemon.start(lab, configuration(plugin, place.options), { namespace });
    sendDatagrams(lab, namespace, 30);
    await until('the rows are there', () => Number(place.sql('SELECT count(*) FROM t')[0]) === 27);
    expect(await daemon.stop()).toBe(0);
    const errors = errorsOf(daemon);
    expect(errors).toHaveLength(1);
    expect(errors[0]).toMatch(/ rows? refused: .*odd/);
    expect(daemon.log).toContain(`db1:${plugin}: 27 written, 3 dropped: refused`);
  },
);

test.each([
  ['PGSQL', 'double precision', 'bigint'],
  ['MYSQL', 'double', 'bigint'],
  ['SQLITE3', 'real', 'integer'],
] as const)('%s: what the kernel dropped is a row of the table of gaps', async (plugin, seconds, number) => {
  const place = PLACES[plugin];
  makeTable(place);
  place.sql('DROP TABLE IF EXISTS flowlogd_gap');
  place.sql(
    `CREATE TABLE flowlogd_gap (input varchar(255), from_sec ${seconds}, to_sec ${seconds}, lost ${number}, exact smallint, cause varchar(255))`,
  );
  if (place.server === postgres) place.sql('GRANT ALL ON flowlogd_gap TO ulogd');
  const text = configuration(plugin, place.options).replaceAll(/(buffer_(?:max)?size)=\d+/g, '$1=8192');
  const daemon = await Daemon.start(lab, text, { namespace });
  daemon.signal('SIGSTOP');
  sendDatagrams(lab, namespace, 500);
  daemon.signal('SIGCONT');
  await daemon.logged('the kernel dropped packets');
  sendDatagrams(lab, namespace, 1);
  const sum = 'SELECT (SELECT count(*) FROM t) + (SELECT coalesce(sum(lost), 0) FROM flowlogd_gap)';
  await until('rows and losses are all that was sent', () => Number(place.sql(sum)[0]) === 501);
  expect(Number(place.sql('SELECT count(*) FROM flowlogd_gap WHERE lost > 0')[0])).toBeGreaterThan(0);
  expect(await daemon.stop()).toBe(0);
  place.sql('DROP TABLE flowlogd_gap');
});

describe('SQLITE3', () => {
  const place = PLACES.SQLITE3;
  const rows = () => Number(sqlite('SELECT count(*) FROM t')[0]);

  test('every row arrives once when the daemon is killed while it sends its spool, and sqlite3 reads meanwhile', async () => {
    makeTable(place);
    const text = configuration('SQLITE3', `${place.options}\nspool="${join(files, 'spool')}"`);
    lab.sh(`mv ${file} ${file}.away`);
    const away = await Daemon.start(lab, text, { namespace });
    await away.logged('there is no database');
    sendDatagrams(lab, namespace, 20_000);
    await away.lines('packets.json', 20_000);
    away.signal('SIGKILL');
    await away.ended;
    lab.sh(`mv ${file}.away ${file}`);
    const second = await Daemon.start(lab, text, { namespace });
    await until('a part of the spool is sent', () => rows() > 0);
    second.signal('SIGKILL');
    await second.ended;
    const third = await Daemon.start(lab, text, { namespace });
    await until('all of it is sent', () => rows() >= 20_000);
    expect(await third.stop()).toBe(0);
    expect(sqlite('SELECT count(*), count(DISTINCT oob_seq_local) FROM t')).toEqual(['20000\t20000']);
  });

  test('a full disk is one line, and rows go on when there is room', async () => {
    const path = join(disk, 'small.db');
    sqlite('CREATE TABLE t (_id integer primary key, oob_seq_local bigint); CREATE TABLE fill (x)', path);
    const text = configuration('SQLITE3', `table="t"\ndb="${path}"`);
    const daemon = await Daemon.start(lab, text, { namespace });
    sendDatagrams(lab, namespace, 10);
    await until('rows are there', () => sqlite('SELECT count(*) FROM t', path)[0] === '10');
    lab.sh(`dd if=/dev/zero of=${disk}/ballast bs=4k 2>/dev/null || true`);
    sendDatagrams(lab, namespace, 2000);
    await daemon.logged('full');
    lab.sh(`rm ${disk}/ballast`);
    await until('the rows are there', () => sqlite('SELECT count(*) FROM t', path)[0] === '2010');
    expect(await daemon.stop()).toBe(0);
    expect(errorsOf(daemon)).toHaveLength(1);
    expect(daemon.log).toContain('db1:SQLITE3: 2010 written');
  });

  test('what is wrong with a file is one line that names the stack; other stacks go on; what cannot be kept is counted', async () => {
    makeTable(place);
    makeTable(place, ', strange int', 'odd');
    await expectRefused('SQLITE3', [
      [`table="t"\ndb="${files}/none.db"`, /there is no database/],
      [`table="nothing"\ndb="${file}"`, /there is no table or view "nothing"/],
      [`table="odd"\ndb="${file}"`, /table "odd": no key of the stack fits the column "strange"/],
      ['table="t"\ndb="/etc/passwd"', /file is not a database/],
      [`table="t"\ndb="${readOnly}/rows.db"`, /readonly database/],
    ]);
  });
});

test.each([
  ['pgsql', PLACES.PGSQL, PLACES.PGSQL.options],
  ['mysql', PLACES.MYSQL, PLACES.MYSQL.options],
  ['sqlite3', PLACES.SQLITE3, `${PLACES.SQLITE3.options}\nprocedure="INSERT"`],
] as const)('DBI writes rows to %s', async (dbtype, place, options) => {
  makeTable(place);
  const daemon = await Daemon.start(lab, configuration('DBI', `dbtype="${dbtype}"\n${options}`), { namespace });
  sendDatagrams(lab, namespace, 5);
  await until('the rows are there', () => Number(place.sql('SELECT count(*) FROM t')[0]) === 5);
  expect(await daemon.stop()).toBe(0);
  expect(place.sql('SELECT oob_seq_local FROM t ORDER BY oob_seq_local')).toEqual(['0', '1', '2', '3', '4']);
});

test('whoever accepts and never reads is one line; other stacks go on, and rows arrive when servers wake', async () => {
  makeTable(PLACES.PGSQL);
  makeTable(PLACES.MYSQL);
  const peer = new Peer(join(files, 'peer'));
  await peer.start();
  const outputs = [
    ['db1:PGSQL', PLACES.PGSQL.options],
    ['db2:MYSQL', PLACES.MYSQL.options],
    ['json2:JSON', `mode=unix\nfile="${files}/peer"\nqueue_max=1M`],
  ] as const;
  const rows = () =>
    [PLACES.PGSQL, PLACES.MYSQL].map(({ sql }) => Number(sql('SELECT count(*) FROM t')[0])) as readonly number[];
  const daemon = await Daemon.start(lab, stacksTo(outputs), { namespace });
  sendDatagrams(lab, namespace, 5);
  await until('rows arrive', () => rows().every((count) => count === 5));
  const servers = [postgres, mysql].map(({ pid }) => `${pid} $(pgrep -P ${pid} || true)`).join(' ');
  lab.sh(`kill -STOP ${servers}`);
  try {
    sendDatagrams(lab, namespace, 3000);
    await daemon.lines('packets.json', 3005);
    await daemon.logged('is connected and takes nothing; events wait in memory, and are dropped when it is full', 2);
    await daemon.logged('takes less than comes; events are dropped until it has caught up');
  } finally {
    lab.sh(`kill -CONT ${servers}`);
  }
  await daemon.logged('has caught up', 2);
  expect(rows()).toEqual([3005, 3005]);
  expect(errorsOf(daemon)).toHaveLength(3);
  for (const [output] of outputs) expect(errorsOf(daemon).join('\n')).toContain(` ${output}: `);
  expect(await daemon.stop()).toBe(0);
  await peer.kill();
  expect(daemon.log).toContain('db1:PGSQL: 3005 written');
  expect(daemon.log).toContain('db2:MYSQL: 3005 written');
  expect(daemon.log).toMatch(/json2:JSON: \d+ written, \d+ dropped: queue full/);
});
