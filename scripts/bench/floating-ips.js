// Many floating IPs in one router: time until they are known, memory, what a change costs and how long it holds all else up, and a
// look-up.
// node scripts/bench/floating-ips.js [floating IPs]
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { FloatingIps } from '../../dist/router/floating-ips.js';

const COUNT = Number(process.argv[2] ?? 10_000);
const CHANGES = 5;
const LOOKUPS = 2_000_000;
/** Has the daemon answer how long its event loop was held up. */
const MEASURED = [
  '--import',
  `data:text/javascript,${encodeURIComponent(`
    import { monitorEventLoopDelay } from 'node:perf_hooks';
    const delay = monitorEventLoopDelay({ resolution: 1 });
    delay.enable();
    process.on('message', () => {
      process.send(delay.max < 0 ? 0 : Math.round(delay.max / 1e6));
      delay.reset();
    });
    process.channel.unref();`)}`,
];
const name = `qrouter-bench${process.pid}`;
const folder = mkdtempSync(join(tmpdir(), 'flowlogd-floating-'));
const program = resolve(import.meta.dirname, '../../dist/main.js');

/** @param {string} script */
const sh = (script) => execFileSync('bash', ['-ec', script], { encoding: 'utf8' });
/** @param {string} file */
const read = (file) => (existsSync(join(folder, file)) ? readFileSync(join(folder, file), 'utf8') : '');
const records = () => read('fips.json').split('\n').length - 1;

/** CPU milliseconds of a process so far, by the scheduler's count. @param {number} pid */
const cpu = (pid) =>
  sh(`cat /proc/${pid}/task/*/schedstat`)
    .trim()
    .split('\n')
    .reduce((sum, line) => sum + Number(line.split(' ')[0]), 0) / 1e6;

/** Resident memory of a process in MB. @param {number} pid */
const memory = (pid) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;

/** @param {string} what @param {() => boolean} condition */
async function until(what, condition) {
  for (const end = performance.now() + 60_000; !condition(); await setTimeout(2)) {
    if (performance.now() > end) throw new Error(`waited a minute in vain: ${what}`);
  }
}

/** As Neutron writes them: three rules for each. */
function rules() {
  return Array.from({ length: COUNT }, (_, i) => {
    const [floating, fixed] = [`10.5.${i >> 8}.${i & 255}`, `192.168.${i >> 8}.${i & 255}`];
    return `-A PREROUTING -d ${floating}/32 -j DNAT --to-destination ${fixed}
-A OUTPUT -d ${floating}/32 -j DNAT --to-destination ${fixed}
-A POSTROUTING -s ${fixed}/32 -j SNAT --to-source ${floating} --random-fully`;
  }).join('\n');
}

async function daemon() {
  sh(`ip netns add ${name}`);
  writeFileSync(join(folder, 'rules'), `*nat\n${rules()}\nCOMMIT\n`);
  sh(`ip netns exec ${name} iptables-restore <${folder}/rules`);
  const configuration = join(folder, 'flowlogd.conf');
  writeFileSync(
    configuration,
    `[global]
logfile="${folder}/log"
control=""
stack=fip1:FIP,fips:JSON
[fip1]
network_namespaces="${name}"
[fips]
file="${folder}/fips.json"
`,
  );
  const began = performance.now();
  /** @type {import('node:child_process').ChildProcess} */
  const child = spawn(process.execPath, [...MEASURED, program, '-c', configuration], {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
  });
  /** The longest time (ms) for which the daemon could do nothing else, since the last question. @returns {Promise<number>} */
  const pause = () =>
    new Promise((resolve) => {
      /** The daemon itself says by this way that it is ready. @param {unknown} most */
      const onMessage = (most) => {
        if (typeof most !== 'number') return;
        child.off('message', onMessage);
        resolve(most);
      };
      child.on('message', onMessage);
      child.send('pause');
    });
  try {
    const pid = child.pid ?? 0;
    await until('every floating IP', () => records() >= COUNT);
    const took = Math.round(performance.now() - began);
    console.log(`${COUNT} floating IPs: all written ${took} ms after the start, ${Math.round(memory(pid))} MB`);
    for (const [what, command] of /** @type {const} */ ([
      ['one more', '-I'],
      ['one less', '-D'],
    ])) {
      for (let i = 0; i < CHANGES; i++) {
        await setTimeout(200);
        await pause();
        const before = { records: records(), cpu: cpu(pid) };
        const rule = `PREROUTING -d 10.200.0.${i} -j DNAT --to-destination 192.168.250.${i}`;
        sh(`ip netns exec ${name} iptables -t nat ${command} ${rule}`);
        const changed = performance.now();
        await until('the change', () => records() > before.records);
        const told = Math.round(performance.now() - changed);
        await setTimeout(200);
        console.log(
          `${what}: written ${told} ms after iptables ended, ${Math.round(cpu(pid) - before.cpu)} ms of CPU, all else waited ${await pause()} ms at most`,
        );
      }
    }
  } finally {
    child.kill('SIGKILL');
  }
}

/** @param {number} count */
function lookUp(count) {
  const known = new FloatingIps();
  const view = new DataView(new ArrayBuffer(8 * count));
  for (let i = 0; i < count; i++) {
    view.setUint32(8 * i, 0x0a050000 + i);
    view.setUint32(8 * i + 4, 0xc0a80000 + i);
    known.note(view, 8 * i, 8 * i + 4, 4, 0, 1);
  }
  const began = performance.now();
  for (let k = 0, i = 0; k < LOOKUPS; k++) {
    i = (i + 7919) % count;
    if (known.ofPair(view, 8 * i, 8 * i + 4, 4) !== known.ofFixed(view, 8 * i + 4, 4, 1)) throw new Error('not found');
  }
  const each = ((performance.now() - began) * 1e6) / LOOKUPS;
  console.log(`${count} floating IPs: ${each.toFixed(0)} ns to look one up by both addresses`);
}

try {
  await daemon();
  lookUp(10);
  lookUp(COUNT);
} finally {
  sh(`ip netns del ${name}`);
  rmSync(folder, { recursive: true, force: true });
}
