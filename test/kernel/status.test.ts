// `flowlogd status`: what a running daemon says of itself, and the exit codes that scripts go by.
import { chmodSync, existsSync, statSync } from 'node:fs';
import { afterAll, afterEach, expect, test } from 'vitest';
import { Lab, until } from '../../scripts/lab.js';
import type { Status } from '../../src/cli/daemon-status.ts';
import { total } from '../../src/pipeline/ledger.ts';
import { Daemon, FLOWS, killRest, logDatagrams, PACKETS, Run, sendDatagrams } from '../support/daemon.ts';

const lab = new Lab();
const namespace = lab.namespace('status');
logDatagrams(lab, namespace, 5);
logDatagrams(lab, namespace, 6);
afterEach(killRest);
afterAll(() => lab.close());

const TWO = `[global]
stack=log5:NFLOG,base1:BASE,ip2str1:IP2STR,json5:JSON
stack=log6:NFLOG,mark1:MARK,base1:BASE,ip2str1:IP2STR,json6:JSON
[log5]
group=5
[log6]
group=6
[mark1]
mark=1
[json5]
file="/out/five.json"
[json6]
file="/out/six.json"
`;

/** Runs `flowlogd status`, and returns its exit code and what it printed. */
async function status(...words: string[]): Promise<{ code: number | string; stdout: string; stderr: string }> {
  const run = new Run(lab, ['status', ...words]);
  const code = await run.ended;
  return { code, stdout: run.stdout, stderr: run.stderr };
}

const ofDaemon = (daemon: Daemon) => status('-c', daemon.folder.configuration);

async function statusOf(daemon: Daemon): Promise<Status> {
  const { stdout, stderr } = await status('--json', '-c', daemon.folder.configuration);
  expect(stderr).toBe('');
  return JSON.parse(stdout);
}

/** Fails when an event of the input is in no column, or in two. */
function expectBalance({ inputs, outputs, imbalances }: Status): void {
  expect(imbalances).toEqual([]);
  for (const { events, stacks } of inputs) {
    for (const { filtered, failed, taken } of stacks) expect(total(filtered) + total(failed) + taken).toBe(events);
  }
  for (const { taken, written, queued, spooled, dropped } of outputs) {
    expect(written + queued + spooled + total(dropped)).toBe(taken);
  }
}

test('0 when all is well, with every counter, for people and for programs', async () => {
  const daemon = await Daemon.start(lab, TWO, { namespace });
  sendDatagrams(lab, namespace, 20);
  await daemon.lines('five.json', 20);
  await until('the second group is read', async () => (await statusOf(daemon)).inputs[1]?.events === 20);
  const { code, stdout, stderr } = await ofDaemon(daemon);
  expect([code, stderr]).toEqual([0, '']);
  expect(stdout).toContain('Nothing was lost since the start.');
  expect(stdout).toMatch(/^log5:NFLOG +[\d.]+ +20 +0 /m);
  expect(stdout).toMatch(/^json5:JSON +[\d.]+ +20 +0 /m);
  expect(stdout).toContain('    to json6:JSON: 20 stopped by mark1:MARK');
  const told = await statusOf(daemon);
  expectBalance(told);
  expect(told).toMatchObject({ pid: daemon.pid, state: 'running', intact: true, missing: 0, threads: [{}] });
  expect(told.inputs[0]).toMatchObject({
    name: 'log5:NFLOG',
    events: 20,
    lost: 0,
    socket: { bufferSize: 8 << 20, lag: 0 },
  });
  expect(told.inputs[1]?.stacks).toEqual([
    { output: 'json6:JSON', filtered: { 'mark1:MARK': 20 }, failed: {}, taken: 0 },
  ]);
  const { size } = statSync(daemon.folder.file('five.json'));
  expect(told.outputs[0]).toMatchObject({ name: 'json5:JSON', inputs: ['log5:NFLOG'], written: 20, bytes: size });
  expect(told.outputs[0]?.rate).toBeGreaterThan(0);
  expect(await daemon.stop()).toBe(0);
  expect(existsSync(daemon.folder.file('control.sock')), 'a clean stop takes the socket away').toBe(false);
});

test('threads are asked like one daemon', async () => {
  const daemon = await Daemon.start(lab, TWO.replace('[global]', '[global]\nworkers=2'), { namespace });
  sendDatagrams(lab, namespace, 50);
  await daemon.lines('five.json', 50);
  await until('both have read', async () => (await statusOf(daemon)).inputs.every(({ events }) => events === 50));
  const told = await statusOf(daemon);
  expectBalance(told);
  expect(told.threads.map(({ inputs }) => inputs)).toEqual([['log5:NFLOG'], ['log6:NFLOG']]);
  expect(told.outputs.map(({ name, written }) => [name, written])).toEqual([
    ['json5:JSON', 50],
    ['json6:JSON', 0],
  ]);
  expect((await ofDaemon(daemon)).stdout).toMatch(/threads \d+ %, \d+ % busy/);
});

test('of daemons that find one control socket of a dead one, one gets it, and the others run without', async () => {
  const dead = await Daemon.start(lab, FLOWS, { namespace });
  await dead.stop('SIGKILL');
  const control = dead.folder.file('control.sock');
  for (let round = 0; round < 5; round++) {
    expect(existsSync(control)).toBe(true);
    const text = FLOWS.replace('[global]', `[global]\ncontrol="${control}"`);
    const daemons = await Promise.all([1, 2, 3].map(() => Daemon.start(lab, text, { namespace })));
    const without = daemons.filter(({ log }) =>
      log.includes(`there is no control socket: another daemon listens at ${control}`),
    );
    expect(without).toHaveLength(2);
    const { stdout } = await status('--json', '--control', control);
    expect(daemons.filter((one) => !without.includes(one)).map(({ pid }) => pid)).toEqual([JSON.parse(stdout).pid]);
    await Promise.all(without.map((one) => one.stop()));
    expect((await status('--control', control)).code, 'who ends without it leaves it alone').toBe(0);
    await killRest();
  }
  expect(existsSync(`${control}.lock`)).toBe(false);
});

test('1 when packets were lost, with their exact number', async () => {
  const text = PACKETS.replace('group=5', 'group=5\nnetlink_socket_buffer_size=8192');
  const daemon = await Daemon.start(lab, text, { namespace });
  daemon.signal('SIGSTOP');
  sendDatagrams(lab, namespace, 500);
  daemon.signal('SIGCONT');
  // The next packet that is not lost itself tells of those before it.
  let sent = 500;
  await until('the loss is known', async () => {
    sendDatagrams(lab, namespace, 1);
    sent++;
    const [input] = (await statusOf(daemon)).inputs;
    return (input?.lost ?? 0) > 0 && (input?.events ?? 0) + (input?.lost ?? 0) === sent;
  });
  const { code, stdout } = await ofDaemon(daemon);
  const told = await statusOf(daemon);
  const [input] = told.inputs;
  expect(code).toBe(1);
  expect(told.missing).toBe(input?.lost);
  expect(stdout).toContain(`Since the start ${told.missing} events were lost: see below.`);
});

test('what the kernel drops is counted when it is asked for, also where no event came since', async () => {
  // Connections are followed where a rule asks for their state.
  lab.sh(
    `sysctl -qw net.netfilter.nf_conntrack_events=1
     nft add table inet t; nft 'add chain inet t o { type filter hook output priority 0; }'
     nft 'add rule inet t o ct state new counter'`,
    namespace,
  );
  const daemon = await Daemon.start(lab, `${FLOWS}hash_enable=0\nevent_mask=1\nnetlink_socket_buffer_size=4608\n`, {
    namespace,
  });
  daemon.signal('SIGSTOP');
  sendDatagrams(lab, namespace, 300);
  daemon.signal('SIGCONT');
  // Some of the 300 had the same port: then they were one connection.
  const begun = Number(lab.sh('cat /proc/sys/net/netfilter/nf_conntrack_count', namespace));
  expect(begun).toBeGreaterThan(200);
  // Connections begin no more: only asking can bring the number up to date.
  await until('all are accounted for', async () => {
    const [input] = (await statusOf(daemon)).inputs;
    return input !== undefined && input.events + input.lostEstimated === begun;
  });
  const told = await statusOf(daemon);
  expect(told.inputs[0]?.lostEstimated).toBeGreaterThan(0);
  expect(told.inputs[0]?.kernelDrops).toBe(told.inputs[0]?.lostEstimated);
  expect((await ofDaemon(daemon)).stdout).toContain(`Since the start about ${told.missing} events were lost`);
  expect(await daemon.stop()).toBe(0);
  expect(daemon.log).toContain(`${told.missing} lost in the kernel by estimate`);
});

test('1 when a stack does not run, and why; an event that it should have had has failed', async () => {
  const shared = TWO.replace('log6:NFLOG', 'log6:NFLOG,base1:BASE,ip2str1:IP2STR,json7:JSON\nstack=log6:NFLOG').replace(
    '[json6]',
    '[json7]\nfile="/out/no/such/folder.json"\n[json6]',
  );
  const half = await Daemon.start(lab, shared, { namespace });
  sendDatagrams(lab, namespace, 3);
  await until('they are counted', async () => (await statusOf(half)).missing === 3);
  expect((await ofDaemon(half)).stdout).toContain('    to json7:JSON: 3 FAILED in json7:JSON');
  expect(await half.stop()).toBe(0);

  const daemon = await Daemon.start(lab, TWO.replace('/out/six.json', '/out/no/such/folder.json'), { namespace });
  const { code, stdout } = await ofDaemon(daemon);
  expect(code).toBe(1);
  expect(stdout).toContain('Not all is well: see below.');
  expect(stdout).toMatch(/^json6:JSON .*\n {4}DOES NOT RUN: cannot open .*folder\.json: ENOENT/m);
  expect(stdout).toMatch(/^log6:NFLOG .*\n {4}DOES NOT RUN: no output of it runs/m);
});

test('2 when no daemon runs there, or one that is meant for another configuration', async () => {
  const daemon = await Daemon.start(lab, PACKETS, { namespace });
  const control = daemon.folder.file('control.sock');
  const other = await Daemon.start(lab, FLOWS.replace('[global]', `[global]\ncontrol="${control}"`), { namespace });
  expect(other.log).toContain(`<7> there is no control socket: another daemon listens at ${control}`);
  const stranger = await ofDaemon(other);
  expect(stranger.code).toBe(2);
  expect(stranger.stderr).toBe(
    `flowlogd: the daemon that answers there is another one: process ${daemon.pid}, with ${daemon.folder.configuration}\n`,
  );
  expect((await status('--control', control)).code, 'the other has left our socket alone').toBe(0);
  await other.stop();
  expect((await status('--control', control)).code, 'also when it ends').toBe(0);
  await daemon.stop('SIGKILL').catch(() => {});
  const dead = await status('--control', control);
  expect(dead).toEqual({
    code: 2,
    stdout: '',
    stderr: `flowlogd: the daemon that made the control socket is dead (${control})\n`,
  });
  const heir = await Daemon.start(lab, PACKETS.replace('[global]', `[global]\ncontrol="${control}"`), { namespace });
  expect((await ofDaemon(heir)).code, 'it takes the dead one’s place').toBe(0);
});

test.each(['by itself', 'at SIGHUP'])('a socket that another daemon had is taken %s when that ends', async (how) => {
  const first = await Daemon.start(lab, PACKETS, { namespace });
  const control = first.folder.file('control.sock');
  const second = await Daemon.start(lab, FLOWS.replace('[global]', `[global]\ncontrol="${control}"`), { namespace });
  await second.logged(`there is no control socket: another daemon listens at ${control}`);
  await first.stop();
  if (how === 'at SIGHUP') second.signal('SIGHUP');
  const taken = `the control socket ${control} is free, and taken`;
  await second.logged(taken);
  if (how === 'at SIGHUP') await second.logged('files are opened again');
  expect(second.log.includes('files are opened again', second.log.indexOf(taken))).toBe(how === 'at SIGHUP');
  expect((await ofDaemon(second)).code).toBe(0);
  await second.stop();
  expect(existsSync(control)).toBe(false);
});

test('2 when the configuration turns the socket off, or cannot be read', async () => {
  const daemon = await Daemon.start(lab, PACKETS.replace('[global]', '[global]\ncontrol=""'), { namespace });
  expect(await ofDaemon(daemon)).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('turns the control socket off'),
  });
  expect(await status('-c', '/no/such.conf')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('cannot be read'),
  });
  expect(await status('-c', 'a', '--control', 'b')).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('not both'),
  });
});

test('without rights in /run it goes without the socket of the default path, and without a word: nobody asked for it', async () => {
  chmodSync(lab.directory, 0o755); // the configuration is for everybody to read
  const rights = ['--inh-caps=-all,+net_admin', '--ambient-caps=-all,+net_admin'];
  const before = ['setpriv', '--reuid=65534', '--clear-groups', ...rights];
  const text = `[global]
logfile="stdout"
control="/run/flowlogd/control.sock"
stack=log1:NFLOG,base1:BASE,ip2str1:IP2STR,json1:JSON
[log1]
group=5
[json1]
file="/dev/null"
`;
  const daemon = Daemon.launch(lab, text, { namespace, before });
  await until('it runs', () => daemon.isOver || daemon.stdout.includes('flowlogd runs'));
  expect([daemon.isOver, daemon.stdout, daemon.stderr]).toEqual([
    false,
    expect.not.stringContaining('control socket'),
    '',
  ]);
  const explained = Daemon.launch(lab, text.replace('group=5', 'group=6'), { namespace, before, flags: ['-l', '3'] });
  await until('it says why', () => /there is no control socket: .*EACCES/.test(explained.stdout));
});

test('after -u the socket is the user’s and the user’s group’s', async () => {
  const daemon = await Daemon.start(lab, PACKETS, { namespace, flags: ['-u', 'nobody'] });
  const socket = statSync(daemon.folder.file('control.sock'));
  const [user, group] = lab.sh('id -u nobody; id -g nobody').trim().split('\n').map(Number);
  expect([socket.mode & 0o777, socket.uid, socket.gid]).toEqual([0o660, user, group]);
  expect((await ofDaemon(daemon)).code).toBe(0);
  expect(await daemon.stop()).toBe(0);
});

test('the sums hold at every moment under load', async () => {
  const daemon = await Daemon.start(lab, TWO.replace('[global]', '[global]\nworkers=2'), { namespace });
  const load = lab.start(
    ['bash', '-c', 'for ((i = 0; i < 20000; i++)); do echo $i > /dev/udp/127.0.0.1/9; done'],
    namespace,
  );
  const done = new Promise((resolve) => load.once('exit', resolve));
  const seen: number[] = [];
  await until('load', async () => {
    const told = await statusOf(daemon);
    expectBalance(told);
    seen.push(told.inputs[0]?.events ?? 0);
    return seen.length >= 10 && seen.some((events) => events > 0 && events < 20_000);
  });
  await done;
  await until('all is read', async () => (await statusOf(daemon)).inputs.every(({ events }) => events === 20_000));
  expectBalance(await statusOf(daemon));
  expect(await daemon.stop()).toBe(0);
});
