// Signals, and what they must not lose.
import { existsSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { Lab, until } from '../../scripts/lab.js';
import { Daemon, FLOWS, killRest, logDatagrams, PACKETS, sendDatagrams } from '../support/daemon.ts';

const lab = new Lab();
const namespace = lab.namespace('signals');
logDatagrams(lab, namespace, 5);
// Packets of group 6 are held back by the kernel until a hundred have come or a second has passed.
logDatagrams(lab, namespace, 6, 'prefix "held"');
// At 2, its default, the kernel tells nothing of a connection that began while nobody listened (nf_ct_ecache_ext_add).
lab.sh('sysctl -qw net.netfilter.nf_conntrack_events=1', namespace);
afterEach(killRest);
afterAll(() => lab.close());

/** More than the daemon reads at one go: what is left is for the end. */
const MANY = 1400;
const stateOf = (pid: number) => lab.sh(`ps -o state= -p ${pid}`).trim();

async function freeze(daemon: Daemon): Promise<void> {
  daemon.signal('SIGSTOP');
  await until('the daemon stands still', () => stateOf(daemon.pid) === 'T');
}

describe.each(['SIGTERM', 'SIGINT'] as const)('%s', (signal) => {
  test('reads what the kernel still holds, writes it, and ends with 0', async () => {
    const daemon = await Daemon.start(lab, PACKETS, { namespace });
    await freeze(daemon);
    sendDatagrams(lab, namespace, MANY);
    daemon.signal(signal);
    daemon.signal('SIGCONT');
    expect(await daemon.ended).toBe(0);
    expect(daemon.folder.lines('packets.log')).toHaveLength(MANY);
    expect(daemon.folder.objects('packets.json')).toHaveLength(MANY);
    expect(daemon.log).toContain(`${signal}: reading what is left`);
    expect(daemon.log).toContain(`log1:NFLOG: ${MANY} events received`);
    expect(daemon.log).toContain(`emu1:LOGEMU: ${MANY} written`);
  });

  test('also gets the packets that the kernel had not sent yet', async () => {
    const daemon = await Daemon.start(lab, PACKETS.replace('group=5', 'group=6'), { namespace });
    await freeze(daemon);
    sendDatagrams(lab, namespace, 7);
    daemon.signal(signal);
    daemon.signal('SIGCONT');
    expect(await daemon.ended).toBe(0);
    expect(daemon.folder.lines('packets.log')).toHaveLength(7);
  });
});

test('SIGTERM loses no event of a connection', async () => {
  const daemon = await Daemon.start(lab, `${FLOWS}hash_enable=0\nevent_mask=5\n`, { namespace });
  await freeze(daemon);
  const ports = Array.from({ length: MANY / 2 }, (_, i) => i + 1);
  const begins = ports.map((port) => `-I -s 10.9.0.1 -d 10.9.0.2 -p udp --sport ${port} --dport 53 -t 60`);
  writeFileSync(join(lab.directory, 'begins'), `${begins.join('\n')}\n`);
  lab.sh(`conntrack -R ${lab.directory}/begins; conntrack -F`, namespace);
  daemon.signal('SIGTERM');
  daemon.signal('SIGCONT');
  expect(await daemon.ended).toBe(0);
  const events = daemon.folder
    .objects('flows.json')
    .map((flow) => `${flow['ct.event']} ${flow.src_ip} ${flow['orig.l4.sport']}`);
  const expected = ports.flatMap((port) => [`1 10.9.0.1 ${port}`, `4 10.9.0.1 ${port}`]);
  expect(events.toSorted()).toEqual(expected.toSorted());
});

test('who asks twice for the end waits for it as long, and nothing is lost', async () => {
  const peer = createServer((socket) => socket.pause().on('error', () => {}));
  const path = join(lab.directory, 'never-reads');
  await new Promise<void>((done) => peer.listen(path, done));
  const text = PACKETS.replace('file="/out/packets.json"', `mode="unix"\nfile="${path}"\nstop_timeout=1`);
  const pidFile = join(lab.directory, 'twice.pid');
  const daemon = await Daemon.start(lab, text, { namespace, flags: ['-p', pidFile] });
  await freeze(daemon);
  sendDatagrams(lab, namespace, MANY);
  daemon.signal('SIGTERM');
  daemon.signal('SIGCONT');
  await daemon.logged('SIGTERM: reading what is left');
  daemon.signal('SIGTERM');
  await daemon.logged('it is ending already');
  daemon.signal('SIGINT');
  await daemon.logged('it is ending already', 2);
  expect(await daemon.ended).toBe(0);
  peer.close();
  expect(daemon.folder.lines('packets.log')).toHaveLength(MANY);
  expect(daemon.log).toContain(`emu1:LOGEMU: ${MANY} written`);
  expect(existsSync(pidFile)).toBe(false);
});

describe('SIGHUP', () => {
  test('opens outputs and log again after a rename, and no line is lost under traffic', async () => {
    const daemon = await Daemon.start(lab, PACKETS, { namespace });
    const { folder } = daemon;
    const going = folder.file('going');
    writeFileSync(going, '');
    const loop = `for ((i = 0; ; i++)); do [ -e ${going} ] || break; echo $i > /dev/udp/127.0.0.1/9; done; echo $i`;
    const traffic = lab.start(['bash', '-c', loop], namespace);
    let sent = '';
    traffic.stdout?.on('data', (text) => {
      sent += text;
    });
    const ended = new Promise((done) => traffic.once('close', done));
    const files = ['packets.log', 'packets.json', 'daemon.log'];
    const turns = [1, 2, 3];
    for (const turn of turns) {
      await daemon.lines('packets.log', 50);
      for (const name of files) renameSync(folder.file(name), folder.file(`${name}.${turn}`));
      daemon.signal('SIGHUP');
      await until('the files are there again', () => folder.log.includes('SIGHUP'));
    }
    await daemon.lines('packets.log', 50);
    rmSync(going);
    await ended;
    const total = Number(sent);
    expect(total).toBeGreaterThan(200);
    expect(await daemon.stop()).toBe(0);
    expect(daemon.log).toContain(`log1:NFLOG: ${total} events received`);
    for (const name of ['packets.log', 'packets.json']) {
      const parts = [...turns.map((turn) => folder.lines(`${name}.${turn}`)), folder.lines(name)];
      for (const part of parts) expect(part.length).toBeGreaterThan(0);
      expect(parts.flat()).toHaveLength(total);
    }
    for (const turn of turns) folder.objects(`packets.json.${turn}`);
  });

  test('makes a folder again that was removed', async () => {
    const daemon = await Daemon.start(lab, PACKETS.replaceAll('/out/packets', '/out/sub/packets'), { namespace });
    sendDatagrams(lab, namespace);
    await daemon.lines('sub/packets.log', 1);
    lab.sh(`rm -r ${daemon.folder.file('sub')}`);
    daemon.signal('SIGHUP');
    await daemon.logged('opened again');
    sendDatagrams(lab, namespace);
    await daemon.lines('sub/packets.log', 1);
    await daemon.lines('sub/packets.json', 1);
    expect(await daemon.stop()).toBe(0);
  });
});

test('SIGUSR1 writes the counters into the log, and nothing else changes', async () => {
  const daemon = await Daemon.start(lab, PACKETS, { namespace });
  sendDatagrams(lab, namespace, 4);
  await daemon.lines('packets.json', 4);
  daemon.signal('SIGUSR1');
  await daemon.logged('log1:NFLOG: 4 events received');
  await daemon.logged('emu1:LOGEMU: 4 written');
  await daemon.logged('json1:JSON: 4 written');
  sendDatagrams(lab, namespace);
  await daemon.lines('packets.log', 5);
  expect(await daemon.stop()).toBe(0);
});

describe('SIGUSR2', () => {
  const connection = '-s 10.9.1.1 -d 10.9.1.2 -p tcp --sport 1000 --dport 22';

  test('writes each remembered connection as changed, and its counters start again', async () => {
    lab.sh(`conntrack -I ${connection} --state ESTABLISHED -t 300`, namespace);
    const daemon = await Daemon.start(lab, `${FLOWS}accept_src_filter=10.9.1.0/24\n`, { namespace });
    lab.sh('conntrack -I -s 10.9.2.1 -d 10.9.1.2 -p tcp --sport 1 --dport 22 --state ESTABLISHED -t 300', namespace);
    daemon.signal('SIGUSR2');
    const [changed] = await daemon.objects('flows.json', 1);
    expect(changed).toMatchObject({ 'ct.event': 2, src_ip: '10.9.1.1', 'orig.l4.sport': 1000 });
    expect(changed).not.toHaveProperty('flow.end.sec');
    daemon.signal('SIGUSR2');
    await daemon.lines('flows.json', 2);
    lab.sh(`conntrack -D ${connection}; conntrack -D -s 10.9.2.1`, namespace);
    const all = await daemon.objects('flows.json', 3);
    // The filter holds for what is dumped as well: 10.9.2.1 is never shown.
    expect(all.map((flow) => `${flow['ct.event']} ${flow.src_ip}`)).toEqual(['2 10.9.1.1', '2 10.9.1.1', '4 10.9.1.1']);
    expect(await daemon.stop()).toBe(0);
  });

  test('does nothing without a table', async () => {
    const daemon = await Daemon.start(lab, `${FLOWS}hash_enable=0\n`, { namespace });
    daemon.signal('SIGUSR2');
    lab.sh(`conntrack -I ${connection} --state ESTABLISHED -t 300`, namespace);
    expect((await daemon.objects('flows.json', 1))[0]).toMatchObject({ 'ct.event': 1 });
    expect(await daemon.stop()).toBe(0);
    expect(daemon.folder.lines('flows.json')).toHaveLength(1);
    lab.sh('conntrack -F', namespace);
  });
});

test('the service manager hears of readiness and of the end', async () => {
  const socket = join(lab.directory, 'notify');
  const script = `import socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.bind("${socket}"); print("bound", flush=True)
for _ in range(2): print(s.recv(100).decode(), flush=True)`;
  const manager = lab.start(['/usr/bin/env', 'python3', '-c', script]);
  let heard = '';
  manager.stdout?.on('data', (text) => {
    heard += text;
  });
  await until('the service manager listens', () => heard.includes('bound'));
  const daemon = await Daemon.start(lab, FLOWS, { namespace, env: { NOTIFY_SOCKET: socket } });
  await until('READY', () => heard === 'bound\nREADY=1\n');
  expect(await daemon.stop()).toBe(0);
  await until('STOPPING', () => heard === 'bound\nREADY=1\nSTOPPING=1\n');
});
