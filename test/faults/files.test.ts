// What befalls files: disks that fill up, break or are read-only, folders that vanish, a daemon that is killed in the middle of a write.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, statfsSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { Lab, until } from '../../scripts/lab.js';
import { Daemon, killRest, logDatagrams, sendDatagrams } from '../support/daemon.ts';

const lab = new Lab();
const namespace = lab.namespace('fl-files');
logDatagrams(lab, namespace, 5, 'prefix "x"');
afterEach(killRest);
afterAll(() => {
  for (const path of mounts) lab.sh(`umount -l ${path} 2>/dev/null || :`);
  lab.close();
});

/** Stacks of one group to a file of each kind in /out/DIR; `options` are those of each. */
const outputs = (directory: string, options: string): string => `[global]
stack=log1:NFLOG,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,print1:PRINTPKT,emu1:LOGEMU
stack=log1:NFLOG,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,json1:JSON
stack=log1:NFLOG,base1:BASE,pcap1:PCAP
[log1]
group=5
${[
  ['emu1', 'packets.log'],
  ['json1', 'packets.json'],
  ['pcap1', 'packets.pcap'],
]
  .map(([id, name]) => `[${id}]\nfile="${directory}/${name}"\n${options}`)
  .join('\n')}
`;
const NAMES = ['packets.log', 'packets.json', 'packets.pcap'];

/** Packets of a capture, as tcpdump reads it; fails when it does not like it. */
const packetsIn = (path: string): number => {
  const text = execFileSync('tcpdump', ['-nr', path], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  return text.split('\n').filter(Boolean).length;
};
const LINE = /^\w{3} [ \d]\d [\d:]{8} \S+ x ?IN= OUT=lo .* SPT=\d+ DPT=\d+ LEN=\d+ .*MARK=0x0 $/;
/** Events in each file, none of which may be torn, but for as many lines of text as the daemon was killed in: those have an end. */
function tally(directory: string, kills = 0): number[] {
  const lines = (name: string) => readFileSync(join(directory, name), 'utf8').split('\n');
  const text = lines('packets.log');
  expect(text.pop()).toBe('');
  const torn = text.filter((line) => !LINE.test(line));
  // The kernel ends a write of several pages in the middle when the process is killed.
  expect(torn.length, `torn: ${torn.join('\n')}`).toBeLessThanOrEqual(kills);
  for (const line of torn) expect(line.split(' x ').length, `runs into another: ${line}`).toBeLessThanOrEqual(2);
  const objects = lines('packets.json');
  expect(objects.pop()).toBe('');
  for (const line of objects) JSON.parse(line);
  return [text.length, objects.length, packetsIn(join(directory, 'packets.pcap'))];
}
/** What the daemon says at its end of each output, and that its sum is what was received. */
function books(daemon: Daemon, received: number): { written: number; dropped: number }[] {
  return ['emu1:LOGEMU', 'json1:JSON', 'pcap1:PCAP'].map((name) => {
    const line = daemon.log.split('\n').findLast((one) => one.includes(`${name}: `) && one.includes(' written')) ?? '';
    const written = Number(/(\d+) written/.exec(line)?.[1]);
    const dropped = [...line.matchAll(/(\d+) dropped/g)].reduce((sum, [, count]) => sum + Number(count), 0);
    expect(written + dropped, line).toBe(received);
    return { written, dropped };
  });
}

const mounts: string[] = [];
/** Mounts a file system of its own below the lab's folder. */
function mounted(name: string, mount: (path: string) => void): string {
  const path = join(lab.directory, name);
  mkdirSync(path);
  mount(path);
  mounts.push(path);
  return path;
}
const free = (path: string) => statfsSync(path).bavail * statfsSync(path).bsize;
const countOf = (text: string, part: string) => text.split(part).length - 1;
/** All events so far are read: the daemon's own count. */
async function received(daemon: Daemon, count: number): Promise<void> {
  await until(`${count} events are received`, () => {
    daemon.signal('SIGUSR1');
    return daemon.log.includes(`log1:NFLOG: ${count} events received`);
  });
}

describe('a disk that fills up', () => {
  test('the guard stops before, says so once for each output, and resumes by itself; the rest is counted', async () => {
    const disk = mounted('guarded', (path) => lab.sh(`mount -t tmpfs -o size=4m tmpfs ${path}`));
    const daemon = await Daemon.start(lab, outputs(disk, 'min_free=25%'), { namespace });
    sendDatagrams(lab, namespace, 100);
    await received(daemon, 100);
    writeFileSync(join(disk, 'ballast'), Buffer.alloc(free(disk) - (512 << 10)));
    await until('all are guarded', () => {
      sendDatagrams(lab, namespace, 1);
      return countOf(daemon.log, 'min_free is 25 %') === 3;
    });
    const left = free(disk);
    sendDatagrams(lab, namespace, 100);
    expect(free(disk), 'nothing more was written').toBe(left);
    rmSync(join(disk, 'ballast'));
    await until('all are written again', () => {
      sendDatagrams(lab, namespace, 1);
      return countOf(daemon.log, 'there is room again') === 3;
    });
    expect(await daemon.stop()).toBe(0);
    const count = Number(
      /log1:NFLOG: (\d+) events received(?![\s\S]*log1:NFLOG: \d+ events received)/.exec(daemon.log)?.[1],
    );
    const said = books(daemon, count);
    expect(tally(disk)).toEqual(said.map(({ written }) => written));
    for (const { dropped } of said) expect(dropped).toBeGreaterThan(0);
    expect(daemon.log).toContain('dropped: disk guard');
    expect(countOf(daemon.log, '<7>')).toBe(6);
  });

  test('without a guard every record is whole or counted, also in PCAP', async () => {
    const disk = mounted('full', (path) => lab.sh(`mount -t tmpfs -o size=1m tmpfs ${path}`));
    const daemon = await Daemon.start(lab, outputs(disk, 'min_free=0'), { namespace });
    writeFileSync(join(disk, 'ballast'), Buffer.alloc(free(disk) - (60 << 10)));
    for (let batch = 1; batch <= 6; batch++) {
      sendDatagrams(lab, namespace, 100);
      await received(daemon, batch * 100);
    }
    await daemon.logged('ENOSPC', 2);
    rmSync(join(disk, 'ballast'));
    sendDatagrams(lab, namespace, 100);
    await received(daemon, 700);
    expect(await daemon.stop()).toBe(0);
    expect(tally(disk)).toEqual(books(daemon, 700).map(({ written }) => written));
  });
});

test('a disk that breaks and becomes read-only, and another in its place: counted, said once, written again by itself', async () => {
  const image = join(lab.directory, 'image');
  const disk = mounted('broken', (path) =>
    lab.sh(`truncate -s 16M ${image}; mkfs.ext4 -q -F ${image}; mount -o loop ${image} ${path}`),
  );
  // Not by `ip netns exec`, in whose own mount namespace the other disk would not be seen.
  const text = outputs(disk, '').replace('group=5', `group=5\nnetwork_namespace_path="/run/netns/${namespace}"`);
  const daemon = await Daemon.start(lab, text);
  sendDatagrams(lab, namespace, 20);
  await received(daemon, 20);
  // What the kernel does itself when the device fails (errors=remount-ro).
  lab.sh(`mount -o remount,abort ${disk} || :`);
  sendDatagrams(lab, namespace, 20);
  await received(daemon, 40);
  expect(countOf(daemon.log, 'are dropped and counted')).toBe(3);
  lab.sh(`umount -l ${disk}; mount -t tmpfs tmpfs ${disk}`);
  await until('all are written again', () => {
    sendDatagrams(lab, namespace, 1);
    return countOf(daemon.log, 'is written again') === 3;
  });
  expect(await daemon.stop()).toBe(0);
  expect(countOf(daemon.log, '<7>')).toBe(6);
  for (const count of tally(disk)) expect(count).toBeGreaterThan(0);
});

test('a log folder that is deleted is made again with the next events, without a signal', async () => {
  const daemon = await Daemon.start(lab, outputs('/out/logs', ''), { namespace });
  const folder = daemon.folder.file('logs');
  sendDatagrams(lab, namespace, 10);
  await received(daemon, 10);
  rmSync(folder, { recursive: true });
  sendDatagrams(lab, namespace, 10);
  await received(daemon, 20);
  expect(await daemon.stop()).toBe(0);
  expect(tally(folder)).toEqual([10, 10, 10]);
  expect(countOf(daemon.log, 'had been deleted')).toBe(3);
  expect(books(daemon, 20).map(({ written }) => written)).toEqual([20, 20, 20]);
  for (const name of NAMES) expect(statSync(join(folder, name)).mode & 0o777).toBe(0o640);
});

test('rotation in a flood: every event is in one of the files, none is torn, and the old ones are compressed', async () => {
  const options = 'rotate_size=200k\ncompress=1\n';
  const daemon = await Daemon.start(lab, outputs('/out/logs', options), { namespace });
  const folder = daemon.folder.file('logs');
  const count = 3000;
  for (let i = 0; i < 10; i++) {
    sendDatagrams(lab, namespace, count / 10);
    if (i === 5) daemon.signal('SIGHUP');
  }
  await received(daemon, count);
  const old = () => readdirSync(folder).filter((name) => !NAMES.includes(name));
  await until('all are compressed', () => old().every((name) => name.endsWith('.gz')));
  expect(await daemon.stop()).toBe(0);
  expect(books(daemon, count).map(({ written }) => written)).toEqual([count, count, count]);
  for (const name of old()) {
    const whole = join(folder, name);
    const bytes = gunzipSync(readFileSync(whole));
    expect(bytes.length).toBeLessThanOrEqual(200 << 10);
    writeFileSync(whole.slice(0, -3), bytes);
  }
  const filesOf = (start: string) =>
    readdirSync(folder).filter((name) => name.startsWith(start) && !name.endsWith('.gz'));
  const linesOf = (start: string) =>
    filesOf(start).flatMap((name) => readFileSync(join(folder, name), 'utf8').split('\n').slice(0, -1));
  expect(filesOf('packets.json').length).toBeGreaterThan(3);
  expect(linesOf('packets.log').filter((line) => LINE.test(line))).toHaveLength(count);
  expect(linesOf('packets.json').map((line) => JSON.parse(line))).toHaveLength(count);
  const packets = filesOf('packets.pcap').map((name) => packetsIn(join(folder, name)));
  expect(packets.reduce((sum, one) => sum + one, 0)).toBe(count);
});

test('killed again and again in the middle of its work: after the next start no record runs into a torn one in any file', async () => {
  const folder = join(lab.directory, 'killed');
  mkdirSync(folder);
  const times = process.env.FULL === '1' ? 200 : 6;
  const traffic = lab.start(['bash', '-c', 'while :; do echo > /dev/udp/127.0.0.1/9; done'], namespace);
  for (let i = 0; i < times; i++) {
    const daemon = await Daemon.start(lab, outputs(folder, ''), { namespace });
    const from = statSync(join(folder, 'packets.json')).size;
    await until('it writes', () => statSync(join(folder, 'packets.json')).size !== from);
    await daemon.stop('SIGKILL');
  }
  traffic.kill('SIGKILL');
  const last = await Daemon.start(lab, outputs(folder, ''), { namespace });
  expect(await last.stop()).toBe(0);
  for (const count of tally(folder, times)) expect(count).toBeGreaterThan(0);
});
