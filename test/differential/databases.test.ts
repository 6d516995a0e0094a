// The rows that the real ulogd 2.0.8 and flowlogd write of the same packets and connections, by the same schemas.
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { MysqlServer, PostgresServer } from '../../scripts/database-servers.js';
import { Lab, until } from '../../scripts/lab.js';
import { Daemon, killRest } from '../support/daemon.ts';

const lab = new Lab();
const namespace = lab.namespace('rows');
const postgres = new PostgresServer(lab);
const mysql = new MysqlServer(lab);
const SIDES = { ref: 32, our: 33 } as const;
type Side = keyof typeof SIDES;

beforeAll(async () => {
  lab.sh(
    `sysctl -qw net.netfilter.nf_conntrack_acct=1 net.netfilter.nf_conntrack_timestamp=1 net.netfilter.nf_conntrack_events=1
     nft add table inet t
     nft 'add chain inet t out { type filter hook output priority 0; }'
     nft 'add rule inet t out meta mark set 0x80000001 log prefix "it'"'"'s \\\\ a: " group 32 log prefix "it'"'"'s \\\\ a: " group 33'
     nft 'add rule inet t out ct state new counter'`,
    namespace,
  );
  await Promise.all([postgres.start(), mysql.start()]);
});
afterEach(killRest);
afterAll(async () => {
  await Promise.all([postgres.stop(), mysql.stop()]);
  lab.close();
});

/** Packets and connections of several protocols and both families, the last one a marker that no other has. */
function traffic(): void {
  lab.sh(
    `ping -q -c 2 -i 0.2 127.0.0.1; ping -q -c 1 ::1
     bash -c 'echo query > /dev/udp/127.0.0.1/53; echo query > /dev/udp/::1/53; echo x > /dev/tcp/127.0.0.1/81' 2>/dev/null || true
     bash -c 'echo end > /dev/udp/127.0.0.1/4444'`,
    namespace,
  );
}

const PACKETS = 'log1:NFLOG,base1:BASE,ifi1:IFINDEX';
/** The columns of ours that are not the moment at which a daemon saw the packet. */
const columnsOf = (rows: readonly string[]) => rows.filter((name) => !/^_|^oob_time/.test(name)).join(', ');

/** One database for each side, by our schema. */
interface Place {
  /** Makes it and returns the lines of its section. */
  prepare(side: Side): string;
  columns(side: Side, table: string): string[];
  rows(side: Side, query: string): string[];
}

const file = (side: Side) => join(lab.directory, `${side}.db`);
const sqlite = (side: Side, text: string): string[] =>
  execFileSync('sqlite3', ['-cmd', '.timeout 5000', file(side)], { input: text, encoding: 'utf8' })
    .split('\n')
    .filter(Boolean);

const SQLITE: Place = {
  prepare(side) {
    lab.sh(`rm -f ${file(side)}*`);
    sqlite(side, readFileSync('etc/sql/sqlite3/flowlogd.sql', 'utf8'));
    return `db="${file(side)}"`;
  },
  columns: (side, table) => sqlite(side, `SELECT name FROM pragma_table_info('${table}');`),
  rows: (side, query) => sqlite(side, `${query};`),
};

const POSTGRES: Place = {
  prepare(side) {
    postgres.sql(
      `DROP SCHEMA IF EXISTS flowlogd CASCADE; DROP SCHEMA IF EXISTS ${side} CASCADE; DROP USER IF EXISTS ${side}`,
    );
    postgres.sql(
      readFileSync('etc/sql/pgsql/flowlogd.sql', 'utf8')
        .replaceAll('flowlogd.', `${side}.`)
        .replace(/SCHEMA (IF NOT EXISTS )?flowlogd|search_path = flowlogd/g, (text) => text.replace('flowlogd', side)),
    );
    postgres.sql(
      `CREATE USER ${side} PASSWORD 'secret'; ALTER USER ${side} SET search_path = ${side}; GRANT ALL ON SCHEMA ${side} TO ${side}; GRANT ALL ON ALL TABLES IN SCHEMA ${side} TO ${side}`,
    );
    return `db="ulogd"\nhost="${postgres.folder}"\nuser="${side}"\npass="secret"\nschema="${side}"`;
  },
  columns: (side, table) =>
    postgres.sql(
      `SELECT column_name FROM information_schema.columns WHERE table_schema = '${side}' AND table_name = '${table}' ORDER BY ordinal_position`,
    ),
  rows: (side, query) => postgres.sql(`SET search_path = ${side}; ${query}`),
};

const MYSQL: Place = {
  prepare(side) {
    mysql.sql(
      `DROP DATABASE IF EXISTS ${side}; CREATE DATABASE ${side}; GRANT ALL ON ${side}.* TO ulogd@localhost;\nUSE ${side};\n${readFileSync('etc/sql/mysql/flowlogd.sql', 'utf8')}`,
    );
    // libmysqlclient takes localhost for the socket that its environment names.
    const host = side === 'ref' ? 'localhost' : mysql.socket;
    return `db="${side}"\nhost="${host}"\nuser="ulogd"\npass="secret"`;
  },
  columns: (side, table) =>
    mysql.sql(
      `SELECT column_name FROM information_schema.columns WHERE table_schema = '${side}' AND table_name = '${table}' ORDER BY ordinal_position`,
    ),
  rows: (side, query) => mysql.sql(`USE ${side}; ${query}`),
};

/** The columns as they are compared: bytes by their digits. */
const shown = (columns: string) => columns.replace(/\w+_bin/g, 'hex($&)');

test.each([
  [
    'SQLITE3',
    'packets',
    SQLITE,
    `${PACKETS},ip2str1:IP2STR,mac2str1:HWHDR`,
    'table="ulog_pkt"',
    'ulog_pkt',
    'udp_dport',
  ],
  ['SQLITE3', 'connections', SQLITE, 'ct1:NFCT,ip2str1:IP2STR', 'table="ulog_ct"', 'ulog_ct', 'orig_l4_dport'],
  [
    'PGSQL',
    'packets',
    POSTGRES,
    `${PACKETS},ip2str1:IP2STR,mac2str1:HWHDR`,
    'table="ulog2"\nprocedure="INSERT"',
    'ulog2',
    'udp_dport',
  ],
  [
    'PGSQL',
    'packets by INSERT_PACKET_FULL',
    POSTGRES,
    `${PACKETS},ip2str1:IP2STR,mac2str1:HWHDR`,
    'table="ulog"\nprocedure="INSERT_PACKET_FULL"',
    'ulog2',
    'udp_dport',
  ],
  [
    'PGSQL',
    'connections by INSERT_CT',
    POSTGRES,
    'ct1:NFCT,ip2str1:IP2STR',
    'table="ulog2_ct"\nprocedure="INSERT_CT"',
    'ulog2_ct',
    'orig_l4_dport',
  ],
  [
    'MYSQL',
    'packets',
    MYSQL,
    `${PACKETS},ip2bin1:IP2BIN,mac2str1:HWHDR`,
    'table="ulog2"\nprocedure="INSERT"',
    'ulog2',
    'udp_dport',
  ],
  [
    'MYSQL',
    'packets by INSERT_PACKET_FULL',
    MYSQL,
    `${PACKETS},ip2bin1:IP2BIN,mac2str1:HWHDR`,
    'table="ulog"\nprocedure="INSERT_PACKET_FULL"',
    'ulog2',
    'udp_dport',
  ],
  [
    'MYSQL',
    'connections by INSERT_CT',
    MYSQL,
    'ct1:NFCT,ip2bin1:IP2BIN',
    'table="ulog2_ct"\nprocedure="INSERT_CT"',
    'ulog2_ct',
    'orig_l4_dport',
  ],
] as const)('%s: %s', async (plugin, _, place, stack, options, table, port) => {
  const flows = stack.startsWith('ct1');
  const configuration = (side: Side) => `[global]
logfile="${join(lab.directory, `${side}.log`)}"
loglevel=3
stack=${stack},db1:${plugin}
[log1]
group=${SIDES[side]}
[ct1]
hash_enable=0
event_mask=0x00000004
[db1]
${place.prepare(side)}
${options}
`;
  const ulogdConf = join(lab.directory, 'ref.conf');
  writeFileSync(ulogdConf, configuration('ref'));
  writeFileSync(join(lab.directory, 'ref.log'), '');
  const ulogd = lab.start(['ulogd', '-c', ulogdConf], namespace, {
    stdio: 'ignore',
    env: { ...process.env, TZ: 'UTC', MYSQL_UNIX_PORT: mysql.socket },
  });
  const ended = new Promise((done) => ulogd.once('exit', done));
  const ours = configuration('our').replace(/logfile=.*/, 'logfile="/out/daemon.log"\ncompat="ulogd-2.0.8"');
  const daemon = await Daemon.start(lab, ours, { namespace });
  await until('ulogd runs', () =>
    readFileSync(join(lab.directory, 'ref.log'), 'utf8').includes('initialization finished'),
  );

  lab.sh('conntrack -F 2>&1', namespace);
  traffic();
  if (flows) lab.sh('conntrack -D -p udp --orig-port-dst 4444 2>&1; conntrack -F 2>&1', namespace);
  const isThere = (side: Side) => place.rows(side, `SELECT ${port} FROM ${table} WHERE ${port} = 4444`).length > 0;
  for (const side of ['ref', 'our'] as const) {
    await until(`the last row of ${side}`, () => isThere(side)).catch((error) => {
      throw new Error(`${error.message}\n${readFileSync(join(lab.directory, 'ref.log'), 'utf8')}\n${daemon.log}`);
    });
  }
  await daemon.stop();
  ulogd.kill('SIGTERM');
  await ended;
  const columns = columnsOf(place.columns('our', table));
  const [ref, our] = (['ref', 'our'] as const).map((side) =>
    place.rows(side, `SELECT ${shown(columns)} FROM ${table}`).sort(),
  );
  expect(ref!.length).toBeGreaterThan(flows ? 4 : 7);
  expect(our).toEqual(ref);
});
