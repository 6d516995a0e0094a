// The daemon itself with a peer that is away: killed, restarted, and its spool looked at with `flowlogd spool`.
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { Lab, until } from '../../scripts/lab.js';
import { Daemon, killRest, logDatagrams, Run, sendDatagrams } from '../support/daemon.ts';
import { killPeers, Peer } from '../support/peer.ts';

let lab: Lab;
let namespace = '';
beforeAll(() => {
  lab = new Lab();
  namespace = lab.namespace('fl-spool');
  logDatagrams(lab, namespace, 5);
});
afterEach(killRest);
afterEach(killPeers);
afterAll(() => lab?.close());

const CONFIGURATION = `[global]
stack=log1:NFLOG,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,json1:JSON
[log1]
group=5
[json1]
mode="unix"
file="/out/peer"
spool="/out/spool"
reconnect=1
`;

async function command(...words: readonly string[]): Promise<{ code: number | string; out: string; error: string }> {
  const run = new Run(lab, words);
  return { code: await run.ended, out: run.stdout, error: run.stderr };
}

test('what was spooled when the daemon was killed reaches the peer after the next start', async () => {
  const daemon = await Daemon.start(lab, CONFIGURATION, { namespace });
  const spool = daemon.folder.file('spool');
  sendDatagrams(lab, namespace, 200);
  const waiting = async () => (await command('spool', 'ls', spool)).out;
  await until('200 events in the spool', async () => / 200 events to send\n$/.test(await waiting()));

  const refused = await command('spool', 'drop', spool);
  expect([refused.code, refused.error]).toEqual([
    1,
    `flowlogd: the spool ${spool} is in use by process ${daemon.pid}\n`,
  ]);
  await daemon.stop('SIGKILL');

  const verified = await command('spool', 'verify', spool);
  expect([verified.code, verified.out.split('\n').at(-2)]).toEqual([0, 'no damage']);
  const replayed = await command('spool', 'replay', spool);
  expect(
    replayed.out
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line).dest_port),
  ).toEqual(Array(200).fill(9));

  const peer = new Peer(daemon.folder.file('peer'), daemon.folder.file('received'));
  await peer.start();
  const again = await daemon.next();
  await until('200 lines', () => peer.text().split('\n').length === 201);
  sendDatagrams(lab, namespace, 10);
  await until('ten more', () => peer.text().split('\n').length >= 211);
  expect(await again.stop()).toBe(0);
  await peer.kill();
  expect(peer.text().startsWith(replayed.out)).toBe(true);
  expect(readdirSync(spool).sort()).toEqual(['lock', 'position']);
});

test('a spool that is deleted while it is in use is made anew: what was in it is counted, the rest arrives', async () => {
  const daemon = await Daemon.start(lab, CONFIGURATION, { namespace });
  const spool = daemon.folder.file('spool');
  const waiting = async () => (await command('spool', 'ls', spool)).out;
  sendDatagrams(lab, namespace, 30);
  await until('30 events in the spool', async () => / 30 events to send\n$/.test(await waiting()));
  rmSync(spool, { recursive: true });
  let sent = 30;
  await until('a spool', () => {
    sendDatagrams(lab, namespace, 1);
    sent++;
    return daemon.log.includes('events in it are lost');
  });
  expect(existsSync(spool)).toBe(true);
  const [, lost] = /was removed: it is made anew, and (\d+) events in it are lost/.exec(daemon.log) as RegExpExecArray;
  sendDatagrams(lab, namespace, 20);
  sent += 20;
  const peer = new Peer(daemon.folder.file('peer'), daemon.folder.file('received'));
  await peer.start();
  await until('the rest', () => peer.text().split('\n').length - 1 >= sent - Number(lost));
  expect(Number(lost)).toBeGreaterThanOrEqual(30);
  expect(await daemon.stop()).toBe(0);
  await peer.kill();
  expect(peer.text().split('\n').length - 1).toBe(sent - Number(lost));
  expect(daemon.log).toContain(`log1:NFLOG: ${sent} events received`);
  expect(daemon.log).toContain(`json1:JSON: ${sent - Number(lost)} written, ${lost} dropped: spool corrupt`);
  expect(daemon.log.match(/the spool \/.*/g)).toHaveLength(1);
});

test('a damaged spool is named by verify, stepped over by replay and by the daemon', async () => {
  const daemon = await Daemon.start(lab, CONFIGURATION, { namespace });
  const spool = daemon.folder.file('spool');
  for (let i = 1; i <= 3; i++) {
    sendDatagrams(lab, namespace, 10);
    await until('the events', async () =>
      (await command('spool', 'ls', spool)).out.includes(` ${10 * i} events to send\n`),
    );
  }
  await daemon.stop('SIGKILL');
  const [segment] = readdirSync(spool).filter((name) => name.endsWith('.spool')) as [string];
  const bytes = readFileSync(join(spool, segment));
  bytes[120] = (bytes[120] as number) ^ 1;
  writeFileSync(join(spool, segment), bytes);

  const verified = await command('spool', 'verify', spool);
  expect([verified.code, verified.error]).toEqual([1, '']);
  expect(verified.out).toContain('1 damaged places');
  const replayed = await command('spool', 'replay', spool);
  expect([replayed.code, replayed.error]).toEqual([1, 'flowlogd: 1 damaged places were stepped over\n']);
  const left = replayed.out.split('\n').length - 1;
  expect(left).toBeGreaterThan(0);
  expect(left).toBeLessThan(30);

  const peer = new Peer(daemon.folder.file('peer'), daemon.folder.file('received'));
  await peer.start();
  const again = await daemon.next();
  await until('what is left', () => peer.text() === replayed.out).catch((error) => {
    throw new Error(`${error.message}; the peer has\n${peer.text()}the log says:\n${again.log}${again.stderr}`);
  });
  expect(await again.stop(), daemon.log).toBe(0);
  await peer.kill();

  const dropped = await command('spool', 'drop', spool);
  expect([dropped.code, dropped.out, dropped.error], daemon.log).toEqual([0, '0 segments removed\n', '']);
});

test('the command says what it cannot do', async () => {
  expect(await command('spool', 'ls')).toMatchObject({ code: 1, error: expect.stringContaining('and one DIR') });
  expect(await command('spool', 'eat', '/tmp')).toMatchObject({
    code: 1,
    error: expect.stringContaining('ls, verify'),
  });
  expect(await command('spool', 'ls', '/no/such')).toMatchObject({
    code: 1,
    error: expect.stringContaining('there is no spool /no/such'),
  });
});
