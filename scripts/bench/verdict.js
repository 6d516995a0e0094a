// What a judged packet costs the daemon, beside one that a rule logs: the same datagrams, dropped by a rule, first as NFLOG has them,
// then as VERDICT does.
// node scripts/bench/verdict.js [datagrams] [a second]
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Lab, until } from '../lab.js';

const COUNT = Number(process.argv[2] ?? 200_000);
const RATE = Number(process.argv[3] ?? 10_000);
const PROGRAM = resolve(import.meta.dirname, '../../dist/main.js');
const SENDER = `
const socket = require('node:dgram').createSocket('udp4');
const bytes = Buffer.alloc(100);
let sent = 0;
const start = performance.now();
socket.connect(9, '192.0.2.1', () => setInterval(() => {
  const due = Math.min(${COUNT}, ((performance.now() - start) * ${RATE}) / 1000);
  for (; sent < due; sent++) socket.send(bytes);
  if (sent === ${COUNT}) setTimeout(() => process.exit(), 100);
}, 2));`;

const lab = new Lab();
const router = lab.namespace('bench-router');
const neighbour = lab.namespace('bench-neighbour');
lab.cable([neighbour, 'eth0'], [router, 'eth0']);
lab.sh('ip addr add 192.0.2.2/24 dev eth0', neighbour);
lab.sh('ip addr add 192.0.2.1/24 dev eth0', router);
lab.sh('iptables -A INPUT -p udp --dport 9 -j NFLOG --nflog-group 5 --nflog-prefix DROP', router);
lab.sh('iptables -A INPUT -p udp --dport 9 -j DROP', router);

/** CPU microseconds of a process so far, by the scheduler's count. @param {number} pid */
const cpu = (pid) =>
  lab
    .sh(`cat /proc/${pid}/task/*/schedstat`)
    .trim()
    .split('\n')
    .reduce((sum, line) => sum + Number(line.split(' ')[0]), 0) / 1e3;

/** @param {string} input @param {string} options */
async function measure(input, options) {
  const file = join(lab.directory, `${input}.json`);
  const configuration = join(lab.directory, `${input}.conf`);
  writeFileSync(
    configuration,
    `[global]
logfile="${file}.log"
control=""
stack=in:${input},base:BASE,names:IFINDEX,text:IP2STR,out:JSON
[in]
${options}
netlink_socket_buffer_size=64M
[out]
file="${file}"
`,
  );
  const daemon = lab.start([process.execPath, PROGRAM, '-c', configuration], router);
  const said = () => (existsSync(`${file}.log`) ? readFileSync(`${file}.log`, 'utf8') : '');
  await until('the daemon runs', () => said().includes('flowlogd runs'));
  const pid = /** @type {number} */ (daemon.pid);
  const send = async (/** @type {string} */ script) => {
    const sender = lab.start([process.execPath, '-e', script], neighbour);
    await new Promise((done) => sender.once('exit', done));
  };
  // What V8 compiles it has compiled by then.
  await send(SENDER.replaceAll(`${COUNT}`, '20000'));
  const before = [cpu(pid), statSync(file).size];
  await send(SENDER);
  await new Promise((done) => setTimeout(done, 500));
  const spent = cpu(pid) - /** @type {number} */ (before[0]);
  const over = new Promise((done) => daemon.once('exit', done));
  daemon.kill('SIGTERM');
  await over;
  const lines = readFileSync(file, 'utf8').split('\n').length - 1 - 20_000;
  const lost = /.*lost.*/.exec(said())?.[0] ?? 'none lost';
  console.log(`${input}: ${lines} events, ${(spent / lines).toFixed(2)} us of CPU each; ${lost}`);
}

try {
  await measure('NFLOG', 'group=5');
  lab.sh('iptables -D INPUT 1', router);
  await measure('VERDICT', 'install=1\nlimit=100000000/second');
} finally {
  lab.close();
}
