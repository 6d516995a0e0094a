// Many router namespaces: what one flowlogd needs for them, and what an ulogd2 in each needs.
// node scripts/bench/namespaces.js [namespaces] [--ulogd] [--nat]: --nat adds FIP, and NAT to each stack.
import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { parseArgs } from 'node:util';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { ulogd: { type: 'boolean' }, nat: { type: 'boolean' } },
});
const COUNT = Number(positionals[0] ?? 300);
const IDLE_SECONDS = 10;
const PREFIX = `qrouter-bench${process.pid}n`;
const folder = mkdtempSync(join(tmpdir(), 'flowlogd-namespaces-'));
const program = resolve(import.meta.dirname, '../../dist/main.js');
const names = Array.from({ length: COUNT }, (_, i) => `${PREFIX}${i}`);
/** @type {import('node:child_process').ChildProcess[]} */
const processes = [];

/** @param {string} script */
const sh = (script) => execFileSync('bash', ['-ec', script], { stdio: ['ignore', 'pipe', 'inherit'] }).toString();

/** @param {string[]} command @param {string} input */
const pipe = (command, input) => execFileSync(command[0] ?? '', command.slice(1), { input });

/** CPU milliseconds of a process so far, by the scheduler's count. @param {number} pid */
function cpu(pid) {
  const tasks = sh(`cat /proc/${pid}/task/*/schedstat`).trim().split('\n');
  return tasks.reduce((sum, line) => sum + Number(line.split(' ')[0]), 0) / 1e6;
}

/** Memory of a process in MB: resident, and its share of what it shares with others. @param {number} pid */
function memory(pid) {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const of = (/** @type {string} */ name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(rollup)?.[1]) / 1024;
  return { resident: of('Rss'), proportional: of('Pss') };
}

/** Waits for a condition. @param {string} what @param {() => boolean} condition */
async function until(what, condition) {
  for (const end = performance.now() + 60_000; !condition(); await setTimeout(5)) {
    if (performance.now() > end) throw new Error(`waited a minute in vain: ${what}`);
  }
}

/** A packet and a connection in each namespace. */
function traffic() {
  for (const name of names) {
    sh(`ip netns exec ${name} bash -c 'for i in 1 2 3; do echo > /dev/udp/127.0.0.1/9; done'`);
  }
}

/** @param {string} name */
const lines = (name) => readFileSync(join(folder, name), { encoding: 'utf8', flag: 'a+' }).split('\n').length - 1;

async function flowlogd() {
  const configuration = join(folder, 'flowlogd.conf');
  const nat = values.nat ? 'nat1:NAT,' : '';
  const stacks = [
    `stack=ct1:NFCT,${nat}ip2str1:IP2STR,flows:JSON`,
    `stack=log1:NFLOG,base1:BASE,ifi1:IFINDEX,${nat}ip2str1:IP2STR,packets:JSON`,
    ...(values.nat ? ['stack=fip1:FIP,fips:JSON'] : []),
  ];
  writeFileSync(
    configuration,
    `[global]
logfile="${folder}/log"
loglevel=3
control=""
${stacks.join('\n')}
[fip1]
network_namespaces="${PREFIX}*"
[fips]
file="${folder}/fips.json"
[ct1]
network_namespaces="${PREFIX}*"
[log1]
group=5
network_namespaces="${PREFIX}*"
[flows]
file="${folder}/flows.json"
[packets]
file="${folder}/packets.json"
`,
  );
  const began = performance.now();
  const child = spawn(process.execPath, [program, '-c', configuration], { stdio: 'inherit' });
  processes.push(child);
  const pid = child.pid ?? 0;
  const log = () => readFileSync(join(folder, 'log'), { encoding: 'utf8', flag: 'a+' });
  await until('all to be attached', () => log().split(': attached').length > stacks.length * COUNT);
  const attached = performance.now() - began;
  console.log(`flowlogd: ${COUNT} namespaces attached ${Math.round(attached)} ms after it was started`);
  await setTimeout(2000);
  const idle = await idleCpu([pid]);
  report('flowlogd', [pid], idle);
  traffic();
  await until('every packet', () => lines('packets.json') >= 3 * COUNT);
  console.log(
    `flowlogd: ${lines('packets.json')} of ${3 * COUNT} packets, ${Math.round(memory(pid).resident)} MB afterwards`,
  );
  child.kill('SIGTERM');
  await new Promise((done) => child.once('close', done));
}

async function ulogd() {
  const began = performance.now();
  for (const name of names) {
    const configuration = join(folder, `${name}.conf`);
    const plugin = (/** @type {string} */ file) => `plugin="/usr/lib/x86_64-linux-gnu/ulogd/ulogd_${file}.so"`;
    writeFileSync(
      configuration,
      `[global]
logfile="${folder}/${name}.log"
loglevel=1
${['inppkt_NFLOG', 'inpflow_NFCT', 'raw2packet_BASE', 'filter_IFINDEX', 'filter_IP2STR', 'output_JSON'].map(plugin).join('\n')}
stack=ct1:NFCT,ip2str1:IP2STR,flows:JSON
stack=log1:NFLOG,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,packets:JSON
[ct1]
[log1]
group=5
[flows]
file="${folder}/${name}.flows"
[packets]
file="${folder}/${name}.packets"
`,
    );
    processes.push(spawn('ip', ['netns', 'exec', name, 'ulogd', '-c', configuration], { stdio: 'ignore' }));
  }
  const log = (/** @type {string} */ name) =>
    readFileSync(join(folder, `${name}.log`), { encoding: 'utf8', flag: 'a+' });
  await until('all to run', () => names.every((name) => log(name).includes('entering main loop')));
  console.log(`ulogd2: ${COUNT} processes run ${Math.round(performance.now() - began)} ms after the first was started`);
  await setTimeout(2000);
  const pids = processes.filter(({ exitCode }) => exitCode === null).map(({ pid }) => pid ?? 0);
  report('ulogd2', pids, await idleCpu(pids));
}

/** Share of a core that processes need without events, in percent. @param {number[]} pids */
async function idleCpu(pids) {
  const total = () => pids.reduce((sum, pid) => sum + cpu(pid), 0);
  const before = total();
  await setTimeout(IDLE_SECONDS * 1000);
  return (total() - before) / (IDLE_SECONDS * 10);
}

/** @param {string} who @param {number[]} pids @param {number} idle */
function report(who, pids, idle) {
  const all = pids.map(memory);
  const sum = (/** @type {'resident' | 'proportional'} */ what) =>
    Math.round(all.reduce((mb, one) => mb + one[what], 0));
  console.log(
    `${who}: ${pids.length} ${pids.length === 1 ? 'process' : 'processes'}, ${sum('resident')} MB resident (${sum('proportional')} MB proportional), ${idle.toFixed(2)} % of a core when idle`,
  );
}

try {
  pipe(['ip', '-batch', '-'], names.map((name) => `netns add ${name}\n`).join(''));
  const rules =
    'table inet l { chain out { type filter hook output priority 0; udp dport 9 log prefix "bench" queue-threshold 1 group 5; };' +
    ' chain nat { type nat hook prerouting priority -100; ip daddr 10.5.150.82 dnat ip to 192.168.21.73; }; }';
  for (const name of names) {
    sh(`ip -n ${name} link set lo up; ip netns exec ${name} nft '${rules}'`);
  }
  await flowlogd();
  if (values.ulogd) await ulogd();
} finally {
  for (const child of processes) child.kill('SIGKILL');
  pipe(['ip', '-batch', '-'], names.map((name) => `netns del ${name}\n`).join(''));
  rmSync(folder, { recursive: true, force: true });
}
