// `[global] workers=N`: inputs in threads of their own, and one log, one set of signals, one exit code for all.
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, expect, test } from 'vitest';
import { Lab, until } from '../../scripts/lab.js';
import { Daemon, killRest, logDatagrams, sendDatagrams } from '../support/daemon.ts';

const lab = new Lab();
const namespace = lab.namespace('workers');
logDatagrams(lab, namespace, 5, 'prefix "five"');
logDatagrams(lab, namespace, 6, 'prefix "six"');
lab.sh('sysctl -qw net.netfilter.nf_conntrack_events=1', namespace);
afterEach(killRest);
afterAll(() => lab.close());

const MANY = 2000;
const stack = (n: number) => `stack=log${n}:NFLOG,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,json${n}:JSON`;
/** Two inputs in two threads, unless told otherwise. */
const TWO = `[global]
workers=2
${stack(5)}
${stack(6)}
[log5]
group=5
[log6]
group=6
[json5]
file="/out/five.json"
[json6]
file="/out/six.json"
`;

const portsOf = (daemon: Daemon, file: string) => daemon.folder.objects(file).map((one) => one.src_port);

test('two inputs on two workers lose nothing, and each keeps its order', async () => {
  const daemon = await Daemon.start(lab, TWO, { namespace });
  sendDatagrams(lab, namespace, MANY);
  await Promise.all([daemon.lines('five.json', MANY), daemon.lines('six.json', MANY)]);
  expect(await daemon.stop()).toBe(0);
  // Both saw the same packets, in the order in which they were sent.
  expect(portsOf(daemon, 'five.json')).toHaveLength(MANY);
  expect(portsOf(daemon, 'six.json')).toEqual(portsOf(daemon, 'five.json'));
  for (const [file, prefix] of [
    ['five.json', 'five'],
    ['six.json', 'six'],
  ] as const) {
    expect(new Set(daemon.folder.objects(file).map((one) => one['oob.prefix']))).toEqual(new Set([prefix]));
  }
  for (const n of [5, 6]) {
    expect(daemon.log).toContain(`log${n}:NFLOG: ${MANY} events received`);
    expect(daemon.log).toContain(`json${n}:JSON: ${MANY} written`);
  }
});

test('what the kernel still holds at the end is read by every worker', async () => {
  const daemon = await Daemon.start(lab, TWO, { namespace });
  daemon.signal('SIGSTOP');
  await until('the daemon stands still', () => lab.sh(`ps -o state= -p ${daemon.pid}`).trim() === 'T');
  sendDatagrams(lab, namespace, 300);
  daemon.signal('SIGTERM');
  daemon.signal('SIGCONT');
  expect(await daemon.ended).toBe(0);
  expect([daemon.folder.lines('five.json').length, daemon.folder.lines('six.json').length]).toEqual([300, 300]);
});

test('inputs that share an output stay in one thread, and the log says so', async () => {
  const shared = TWO.replace('json6:JSON', 'json5:JSON');
  const daemon = await Daemon.start(lab, shared, { namespace });
  sendDatagrams(lab, namespace, 50);
  await daemon.lines('five.json', 100);
  expect(await daemon.stop()).toBe(0);
  expect(daemon.folder.objects('five.json')).toHaveLength(100);
  expect(daemon.log).toContain('no thread is started');
});

test('SIGHUP opens the files of every worker again, SIGUSR1 shows the counters of all', async () => {
  const daemon = await Daemon.start(lab, TWO, { namespace });
  const { folder } = daemon;
  sendDatagrams(lab, namespace, 3);
  await Promise.all([daemon.lines('five.json', 3), daemon.lines('six.json', 3)]);
  for (const name of ['five.json', 'six.json']) renameSync(folder.file(name), folder.file(`${name}.1`));
  daemon.signal('SIGHUP');
  await daemon.logged('files are opened again');
  sendDatagrams(lab, namespace, 2);
  await Promise.all([daemon.lines('five.json', 2), daemon.lines('six.json', 2)]);
  daemon.signal('SIGUSR1');
  await daemon.logged('log6:NFLOG: 5 events received');
  expect(daemon.log).toContain('log5:NFLOG: 5 events received');
  expect(await daemon.stop()).toBe(0);
});

test('SIGUSR2 reaches the input of a worker: NFCT shows every connection', async () => {
  const text = `[global]\nworkers=2\nstack=ct1:NFCT,ip2str1:IP2STR,json1:JSON\n${stack(5)}\n[ct1]\n[json1]\nfile="/out/flows.json"\n[json5]\nfile="/out/five.json"\n[log5]\ngroup=5\n`;
  const daemon = await Daemon.start(lab, text, { namespace });
  lab.sh('conntrack -I -s 10.7.0.1 -d 10.7.0.2 -p udp --sport 7 --dport 53 -t 60', namespace);
  await until('the connection is shown', async () => {
    daemon.signal('SIGUSR2');
    return daemon.folder.read('flows.json').includes('10.7.0.1');
  });
  expect(await daemon.stop()).toBe(0);
});

test('a stack that cannot start does not end the others; when none starts, the daemon ends with 1', async () => {
  const daemon = await Daemon.start(lab, TWO.replace('/out/six.json', '/proc/nowhere/six.json'), { namespace });
  expect(daemon.log).toContain('json6:JSON: cannot open /proc/nowhere/six.json');
  sendDatagrams(lab, namespace, 1);
  await daemon.lines('five.json', 1);
  expect(await daemon.stop()).toBe(0);

  const broken = Daemon.launch(lab, TWO.replaceAll(/\/out\/(five|six)\.json/g, '/proc/nowhere/$1.json'), { namespace });
  expect(await broken.ended).toBe(1);
  expect(broken.log).toContain('not a single stack could be started');
});

test('a worker that dies is reported, the others write what they have, and the daemon ends with 1', async () => {
  // A fault that any plugin might have: an exception that nobody catches, in one thread.
  const trigger = join(lab.directory, 'die');
  const fault = join(lab.directory, 'fault.mjs');
  writeFileSync(
    fault,
    `import { existsSync } from 'node:fs';
     import { threadId } from 'node:worker_threads';
     if (threadId === 2) // the second one
       setInterval(() => { if (existsSync(${JSON.stringify(trigger)})) throw new Error('broken on purpose'); }, 10);`,
  );
  const daemon = await Daemon.start(lab, TWO, { namespace, env: { NODE_OPTIONS: `--import=${fault}` } });
  sendDatagrams(lab, namespace, 4);
  await daemon.lines('six.json', 4);
  writeFileSync(trigger, '');
  expect(await daemon.ended).toBe(1);
  expect(daemon.log).toContain('the worker of log6:NFLOG died: Error: broken on purpose');
  expect(daemon.folder.lines('five.json')).toHaveLength(4);
});

test('-u gives up root in every thread, and each can still ask the kernel for what it needs', async () => {
  const text = `[global]\nworkers=2\nstack=ct1:NFCT,ip2str1:IP2STR,json1:JSON\n${stack(5)}\n[ct1]\n[json1]\nfile="/out/flows.json"\n[json5]\nfile="/out/five.json"\n[log5]\ngroup=5\n`;
  const daemon = await Daemon.start(lab, text, { namespace, flags: ['-u', 'nobody'] });
  const threads = lab.sh(`cat /proc/${daemon.pid}/task/*/status`);
  expect(new Set(threads.match(/^Uid:.*$/gm))).toEqual(new Set(['Uid:\t65534\t65534\t65534\t65534']));
  // CAP_NET_ADMIN (bit 12) alone, and that in the threads which read sockets.
  expect(new Set(threads.match(/^CapPrm:.*$/gm))).toEqual(
    new Set(['CapPrm:\t0000000000000000', 'CapPrm:\t0000000000001000']),
  );
  lab.sh('conntrack -I -s 10.7.0.3 -d 10.7.0.4 -p udp --sport 9 --dport 53 -t 60', namespace);
  await until('a dump, which needs the capability', async () => {
    daemon.signal('SIGUSR2');
    return daemon.folder.read('flows.json').includes('10.7.0.3');
  });
  sendDatagrams(lab, namespace, 2);
  await daemon.lines('five.json', 2);
  expect(await daemon.stop()).toBe(0);
  expect(readFileSync(daemon.folder.file('daemon.log'), 'utf8')).not.toContain('EPERM');
});
