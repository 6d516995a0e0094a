// node scripts/bench/databases.js [SECONDS] [RATE]: packets from the kernel into SQLite, PostgreSQL and MariaDB, by flowlogd and by
// the real ulogd 2.0.8, one after the other, as root. Both write the same columns; the servers keep their own settings for
// writing to the disk. Prints how many rows arrived, how long after the last packet, and what CPU time the daemon took.
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { MysqlServer, PostgresServer } from '../database-servers.js';
import { Lab, until } from '../lab.js';
import { ROOT } from '../setup.js';

const SECONDS = Number(process.argv[2] ?? 10);
const RATE = Number(process.argv[3] ?? 20_000);
/** Seconds that a daemon has, after the last packet, to write what it still holds. */
const PATIENCE = 60;
const TICKS = 100; // of /proc/pid/stat, a second
const SENDER = `
  const socket = require('node:dgram').createSocket('udp4');
  const [rate, seconds] = process.argv.slice(1).map(Number);
  const begin = performance.now();
  let sent = 0, gone = 0;
  const done = () => ++gone === rate * seconds && socket.close();
  const timer = setInterval(() => {
    const due = Math.min(rate * seconds, Math.floor(((performance.now() - begin) / 1000) * rate));
    for (; sent < due; sent++) socket.send('x', 9, '127.0.0.1', done);
    if (sent === rate * seconds) clearInterval(timer);
  }, 5);`;

const COLUMNS =
  'oob_time_sec oob_time_usec oob_hook oob_mark ip_protocol ip_tos ip_ttl ip_totlen ip_id udp_sport udp_dport udp_len'.split(
    ' ',
  );
const table = (id = '') =>
  `CREATE TABLE t (${id} oob_prefix varchar(64), ip_saddr_str varchar(45), ip_daddr_str varchar(45), ${COLUMNS.map((name) => `${name} bigint`).join(', ')})`;

const lab = new Lab();
const namespace = lab.namespace('bench');
lab.sh(
  `nft add table inet t; nft 'add chain inet t out { type filter hook output priority 0; }'
   nft 'add rule inet t out udp dport 9 log prefix "bench" group 32'`,
  namespace,
);
const postgres = new PostgresServer(lab, []);
const mysql = new MysqlServer(lab, []);
await Promise.all([postgres.start(), mysql.start()]);
const file = join(lab.directory, 'rows.db');
/** @param {string} text */
const sqlite = (text) => lab.sh(`sqlite3 -cmd '.timeout 5000' ${file} "${text}"`).split('\n').filter(Boolean);
const server = 'db="ulogd"\nuser="ulogd"\npass="secret"\ntable="t"\nprocedure="INSERT"';

/** @type {Record<string, { options: string, make: () => void, sql: (text: string) => string[], server?: { pid: number | undefined } }>} */
const PLACES = {
  SQLITE3: {
    options: `db="${file}"\ntable="t"`,
    make() {
      lab.sh(`rm -f ${file}*`);
      sqlite(table());
    },
    sql: sqlite,
  },
  PGSQL: {
    options: `${server}\nhost="${postgres.folder}"`,
    make: () => postgres.sql(`DROP TABLE IF EXISTS t; ${table()}; GRANT ALL ON t TO ulogd`),
    sql: (text) => postgres.sql(text),
    server: postgres,
  },
  MYSQL: {
    options: `${server}\nhost="localhost"`,
    make: () => mysql.sql(`DROP TABLE IF EXISTS t; ${table('_id bigint auto_increment primary key,')}`),
    sql: (text) => mysql.sql(text),
    server: mysql,
  },
};

console.log(`${RATE} packets a second for ${SECONDS} s`);
for (const [plugin, place] of Object.entries(PLACES)) {
  for (const program of ['flowlogd', 'ulogd']) await measure(plugin, place, program);
}
await Promise.all([postgres.stop(), mysql.stop()]);
lab.close();

/** @param {string} plugin @param {(typeof PLACES)[string]} place @param {string} program */
async function measure(plugin, place, program) {
  place.make();
  const log = join(lab.directory, 'daemon.log');
  const configuration = join(lab.directory, 'daemon.conf');
  const options = program === 'flowlogd' ? place.options.replace('localhost', mysql.socket) : place.options;
  writeFileSync(log, '');
  writeFileSync(
    configuration,
    `[global]\nlogfile="${log}"\nloglevel=3\nstack=log1:NFLOG,base1:BASE,ip2str1:IP2STR,db1:${plugin}\n` +
      `[log1]\ngroup=32\nnetlink_socket_buffer_size=8388608\nnetlink_socket_buffer_maxsize=16777216\n[db1]\n${options}\n`,
  );
  const command = program === 'flowlogd' ? [process.execPath, join(ROOT, 'dist/main.js')] : ['ulogd'];
  const daemon = lab.start([...command, '-c', configuration], namespace, {
    stdio: 'ignore',
    env: { ...process.env, MYSQL_UNIX_PORT: mysql.socket },
  });
  const ended = once(daemon, 'exit');
  await until(`${program} runs`, () => /entering main loop|flowlogd runs/.test(readFileSync(log, 'utf8')));
  await sleep(500);
  const before = cpuOf(daemon.pid);
  const serverBefore = place.server ? cpuOf(place.server.pid) : 0;
  const sender = lab.start([process.execPath, '-e', SENDER, String(RATE), String(SECONDS)], namespace);
  await once(sender, 'exit');
  const sent = performance.now();
  const rows = () => {
    try {
      return Number(place.sql('SELECT count(*) FROM t')[0]);
    } catch {
      return 0; // SQLite, when the daemon holds it for longer than sqlite3 waits
    }
  };
  let count = rows();
  let last = sent;
  for (let seen = count; count < RATE * SECONDS && performance.now() - sent < PATIENCE * 1000; seen = count) {
    await sleep(250);
    count = Math.max(seen, rows());
    if (count > seen) last = performance.now();
    else if (performance.now() - last > 8000) break; // it has written all that it has not lost
  }
  if (count === RATE * SECONDS) last = performance.now();
  const cpu = cpuOf(daemon.pid) - before;
  const serverCpu = place.server ? cpuOf(place.server.pid) - serverBefore : 0;
  daemon.kill('SIGTERM');
  await ended;
  const share = ((100 * count) / (RATE * SECONDS)).toFixed(1);
  console.log(
    `${plugin.padEnd(8)} ${program.padEnd(9)} ${String(count).padStart(8)} rows (${share} %), the last ${((last - sent) / 1000).toFixed(1)} s after the last packet, ${((cpu / count) * 1e6).toFixed(1)} us of CPU a row, the server ${((serverCpu / count) * 1e6).toFixed(1)} us`,
  );
}

/** CPU time of a process and its children, in seconds. @param {number | undefined} pid @returns {number} */
function cpuOf(pid) {
  const path = `/proc/${pid}/stat`;
  if (!existsSync(path)) throw new Error('the daemon ended');
  const fields = readFileSync(path, 'utf8').replace(/.*\) /, '').split(' ');
  const own = fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0) / TICKS;
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean);
  return children.reduce((sum, child) => sum + cpuOf(Number(child)), own);
}
