// node scripts/bench/scaling.js [PACKETS], as root: two NFLOG inputs on one thread and on two. The kernel gathers the packets
// while the daemon stands still, so that what is measured is the daemon and not who sends.
import { existsSync, mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Lab, until } from '../lab.js';

const packets = Number(process.argv[2] ?? 300_000);
const program = join(import.meta.dirname, '../../dist/main.js');
const GROUPS = [5, 6];

/** CPU seconds of all threads, by the scheduler's own count. @param {number} pid */
const cpu = (pid) =>
  readdirSync(`/proc/${pid}/task`)
    .map((task) => Number(readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]) / 1e9)
    .reduce((sum, seconds) => sum + seconds, 0);

/** @param {Lab} lab @param {string} namespace @param {number} workers */
async function run(lab, namespace, workers) {
  const folder = mkdtempSync(join(lab.directory, 'scaling-'));
  const files = GROUPS.map((group) => join(folder, `${group}.json`));
  const stacks = GROUPS.map(
    (n) => `stack=log${n}:NFLOG,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,mac1:HWHDR,json${n}:JSON`,
  );
  const sections = GROUPS.map(
    (n, i) => `[log${n}]\ngroup=${n}\nnetlink_socket_buffer_size=268435456\n[json${n}]\nfile="${files[i]}"`,
  );
  const configuration = join(folder, 'flowlogd.conf');
  const log = join(folder, 'log');
  writeFileSync(
    configuration,
    ['[global]', `logfile="${log}"`, `workers=${workers}`, ...stacks, ...sections, ''].join('\n'),
  );
  const daemon = lab.start([process.execPath, program, '-c', configuration], namespace);
  const pid = /** @type {number} */ (daemon.pid);
  await until('the daemon runs', () => existsSync(log) && readFileSync(log, 'utf8').includes('flowlogd runs'));
  const lines = () => files.map((file) => readFileSync(file).reduce((count, byte) => count + (byte === 10 ? 1 : 0), 0));

  /** Seconds and CPU seconds from waking the daemon until all is written. @param {number} count @param {number} before */
  async function burst(count, before) {
    daemon.kill('SIGSTOP');
    await until('it stands still', () => /^State:\s+T/m.test(readFileSync(`/proc/${pid}/status`, 'utf8')));
    const send = `const s = require('dgram').createSocket('udp4'); let left = ${count}; let sent = 0;
      const more = () => { for (let i = 0; i < 100 && left > 0; i++, left--) s.send('x'.repeat(64), 9, '127.0.0.1', done); };
      const done = () => { if (++sent === ${count}) s.close(); else if (sent % 100 === 0) more(); };
      more();`;
    lab.sh(`${process.execPath} -e "${send.replaceAll('\n', ' ')}"; sleep 0.2`, namespace);
    const [used, begin] = [cpu(pid), Date.now()];
    daemon.kill('SIGCONT');
    const wanted = before + count;
    await until('all is written', () => lines().every((found) => found >= wanted), 15);
    // Counting lines takes us longer than writing them takes the daemon: its last write says when it was done.
    const end = Math.max(...files.map((file) => statSync(file).mtimeMs));
    return { seconds: (end - begin) / 1000, cpu: cpu(pid) - used };
  }
  await burst(20_000, 0); // V8 compiles
  const result = await burst(packets, 20_000);
  const over = new Promise((resolve) => daemon.once('exit', resolve));
  daemon.kill('SIGTERM');
  await over;
  const events = packets * GROUPS.length;
  process.stdout.write(
    `workers=${workers}: ${events} events in ${result.seconds.toFixed(2)} s (${Math.round(events / result.seconds / 1000)} k/s), ` +
      `${((result.cpu * 1e6) / events).toFixed(2)} us of CPU per event, ${(result.cpu / result.seconds).toFixed(2)} cores\n`,
  );
}

const lab = new Lab();
try {
  const namespace = lab.namespace('scaling');
  lab.sh('iptables -t raw -A PREROUTING -p udp -j DROP', namespace); // no answers
  for (const group of GROUPS) lab.sh(`iptables -A OUTPUT -p udp --dport 9 -j NFLOG --nflog-group ${group}`, namespace);
  for (let round = 0; round < 2; round++) for (const workers of [1, 2]) await run(lab, namespace, workers);
} finally {
  lab.close();
}
