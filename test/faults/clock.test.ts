// A clock that is set while the daemon runs: libfaketime moves what the daemon takes for the time of day, for it alone.
import { execFileSync } from 'node:child_process';
import { renameSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, expect, test } from 'vitest';
import { Lab, until } from '../../scripts/lab.js';
import { Daemon, killRest, logDatagrams, sendDatagrams } from '../support/daemon.ts';
import { killPeers, Peer } from '../support/peer.ts';

const lab = new Lab();
const namespace = lab.namespace('fl-clock');
logDatagrams(lab, namespace, 5);
afterEach(killRest);
afterEach(killPeers);
afterAll(() => lab.close());

const HOUR = 3_600_000;
const library = execFileSync('dpkg', ['-L', 'libfaketime'], {
  encoding: 'utf8',
}).match(/.*libfaketimeMT\.so\.1/)?.[0];

const CONFIGURATION = `[global]
stack=log1:NFLOG,base1:BASE,ip2str1:IP2STR,json1:JSON
[log1]
group=5
[json1]
mode="unix"
file="/out/peer"
spool="/out/spool"
reconnect=1
`;

test('set an hour ahead and an hour back: back-off, reading and sending go on, and lines have the new time', async () => {
  const offset = `${lab.directory}/offset`;
  const step = (hours: string) => {
    writeFileSync(`${offset}.new`, `${hours}\n`);
    renameSync(`${offset}.new`, offset);
  };
  step('+0');
  const env = {
    LD_PRELOAD: library ?? '',
    FAKETIME_TIMESTAMP_FILE: offset,
    FAKETIME_NO_CACHE: '1',
    // What steps is CLOCK_REALTIME; no clock of the kernel's others ever does.
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
    DONT_FAKE_MONOTONIC: '1',
  };
  const daemon = await Daemon.start(lab, CONFIGURATION, { namespace, env });
  const peer = new Peer(daemon.folder.file('peer'), daemon.folder.file('received'));
  const lines = () => peer.text().split('\n').filter(Boolean);
  let sent = 0;
  for (const hours of ['+1h', '-1h', '+0']) {
    // The peer is away while the clock steps: the next attempt to connect is already set.
    sendDatagrams(lab, namespace, 10);
    await sleep(300);
    step(hours);
    sendDatagrams(lab, namespace, 10);
    sent += 20;
    const began = performance.now();
    await peer.start();
    await until(`${sent} lines`, () => new Set(lines()).size >= sent);
    expect(performance.now() - began, 'milliseconds until everything has come').toBeLessThan(10_000);
    await peer.kill();
  }
  expect(await daemon.stop()).toBe(0);
  const now = Date.now();
  const steps = lines().map((line) => Math.round((Date.parse(JSON.parse(line).timestamp) - now) / HOUR));
  expect([...new Set(steps)].sort()).toEqual([-1, 0, 1]);
  expect(daemon.log).not.toMatch(/<[78]>(?!.*(connect|peer))/);
});
