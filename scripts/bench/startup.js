// node scripts/bench/startup.js [RUNS], as root: milliseconds from the start of the daemon's process to the line of the first
// event in its file, with packets under way all the time.
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { Lab, until } from '../lab.js';

const program = join(import.meta.dirname, '../../dist/main.js');

/** Starts the daemon once and resolves with the milliseconds. @param {Lab} lab @param {string} namespace */
export async function timeToFirstEvent(lab, namespace) {
  const folder = mkdtempSync(join(lab.directory, 'start-'));
  const [file, configuration] = [join(folder, 'packets.json'), join(folder, 'flowlogd.conf')];
  writeFileSync(
    configuration,
    `[global]\nstack=log1:NFLOG,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,mac1:HWHDR,json1:JSON\n[log1]\ngroup=5\n[json1]\nfile="${file}"\n`,
  );
  const begin = performance.now();
  const daemon = spawn('ip', ['netns', 'exec', namespace, process.execPath, program, '-c', configuration], {
    stdio: 'ignore',
  });
  const over = new Promise((resolve) => daemon.once('exit', resolve));
  while (!existsSync(file) || statSync(file).size === 0) {
    if (daemon.exitCode !== null) throw new Error(`the daemon ended with ${daemon.exitCode}`);
    await setTimeout(1);
  }
  const took = performance.now() - begin;
  daemon.kill();
  await over;
  rmSync(folder, { recursive: true });
  return took;
}

/** A namespace in which a packet is logged to group 5 every few milliseconds. @param {Lab} lab */
export async function busyNamespace(lab) {
  const namespace = lab.namespace('startup');
  lab.sh('iptables -A OUTPUT -p udp -j NFLOG --nflog-group 5 --nflog-prefix "start "', namespace);
  const sender = `const s = require('dgram').createSocket('udp4'); setInterval(() => s.send('x', 9, '127.0.0.1'), 2)`;
  lab.start([process.execPath, '-e', sender], namespace);
  await until('packets flow', () => !lab.sh('iptables -nvxL OUTPUT', namespace).match(/^ +0 +0 NFLOG/m));
  return namespace;
}

if (import.meta.filename === process.argv[1]) {
  const lab = new Lab();
  try {
    const namespace = await busyNamespace(lab);
    for (let i = 0; i < Number(process.argv[2] ?? 5); i++)
      process.stdout.write(`${(await timeToFirstEvent(lab, namespace)).toFixed(0)} ms to the first event\n`);
  } finally {
    lab.close();
  }
}
