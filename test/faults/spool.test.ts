// The spool against what kills processes and fills disks.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Lab, until } from '../../scripts/lab.js';
import { Sender } from '../../src/delivery/sender.ts';
import { Spool } from '../../src/delivery/spool.ts';
import { StreamDestination } from '../../src/delivery/stream.ts';
import { killPeers, Peer } from '../support/peer.ts';

/** FULL=1: as docs/reliability.md tells. */
const KILLS = process.env.FULL === '1' ? 200 : 60;

let directory = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'flowlogd-spool-'));
});
// What a test that failed has left running would keep the test run from ending.
let running: ChildProcess | undefined;
afterEach(async () => {
  running?.kill('SIGKILL');
  await killPeers();
  rmSync(directory, { recursive: true, force: true });
});

function spooler(first: number): ChildProcess {
  const program = join(import.meta.dirname, 'spooler.js');
  running = spawn(process.execPath, [program, directory, String(first)], { stdio: ['ignore', 'pipe', 'inherit'] });
  return running;
}

test(`killed at ${KILLS} random moments: no record that the spool has taken is missing, and all are in order`, async () => {
  let next = 0;
  let taken = 0;
  for (let kill = 0; kill < KILLS; kill++) {
    const child = spooler(next);
    let said = '';
    child.stdout?.on('data', (text) => {
      said += text;
    });
    const closed = once(child, 'close');
    await until('the spool to open', () => said.startsWith('open\n'));
    await new Promise((done) => setTimeout(done, Math.random() * 20)); // the random moment: nothing is waited for
    child.kill('SIGKILL');
    await closed;

    const numbers = (kind: string) =>
      [...said.matchAll(new RegExp(`^${kind} (\\d+)\n`, 'gm'))].map(([, n]) => Number(n));
    const acknowledged = numbers('a');
    // The last one read may be committed though the process died before it could say so.
    const committed = new Set([...numbers('c'), ...numbers('r').slice(-1)]);
    const spool = new Spool(directory, 1 << 30, () => {});
    const found: number[] = [];
    for (let record = spool.read(); record; record = spool.read()) {
      found.push(Number.parseInt(Buffer.from(record.bytes).toString(), 10));
      spool.commit(record.position);
    }
    expect([spool.droppedCorrupt, spool.droppedFull]).toEqual([0, 0]);
    spool.close();
    const there = new Set([...found, ...committed]);
    expect(acknowledged.filter((number) => !there.has(number))).toEqual([]);
    expect(found).toEqual(found.toSorted((a, b) => a - b));
    taken += acknowledged.length;
    next = Math.max(next, ...acknowledged, ...found) + 1;
  }
  process.stdout.write(`  ${KILLS} kills, ${taken} records taken\n`);
  expect(taken).toBeGreaterThan(KILLS);
});

test('a spool in use by another process is refused with its id, and free once that is killed', async () => {
  const child = spooler(0);
  await once(child.stdout!, 'data');
  expect(() => new Spool(directory, 1 << 20, () => {})).toThrow(
    `the spool ${directory} is in use by process ${child.pid}`,
  );
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
  new Spool(directory, 1 << 20, () => {}).close();
});

test('a full disk is said once and counted, and the spool goes on when there is room again', async () => {
  const lab = new Lab();
  const mount = join(lab.directory, 'small');
  lab.sh(`mkdir ${mount}; mount -t tmpfs -o size=512k tmpfs ${mount}`);
  const log: string[] = [];
  const reports = { notice: (text: string) => void log.push(text), error: (text: string) => void log.push(text) };
  const socket = join(lab.directory, 'peer');
  const file = join(lab.directory, 'received');
  const settings = { spoolMax: 1 << 30, queueMax: 1 << 20, resend: 0, reconnect: 100, connectTimeout: 1000 };
  const destination = new StreamDestination({ path: socket });
  const sender = new Sender(destination, { ...settings, spool: join(mount, 'spool') }, reports);
  try {
    writeFileSync(join(mount, 'ballast'), Buffer.alloc(256 << 10));
    sender.start();
    let count = 0;
    const push = (lines: number) => {
      for (let i = 0; i < lines; i++) sender.push(Buffer.from(`${count++} `.padEnd(9_999, 'x').concat('\n')), 1);
    };
    const balance = () => {
      const { sent, queued, spooled, dropped } = sender.counts();
      expect(sent + queued + spooled + Object.values(dropped).reduce((a, b) => a + b)).toBe(count);
    };
    push(200);
    const full = sender.counts();
    expect(full.spooled).toBeGreaterThan(15);
    expect(full.queued).toBeGreaterThan(90);
    expect(full.dropped['spool full']).toBe(200 - full.spooled - full.queued);
    expect(log.filter((line) => line.includes('ENOSPC'))).toHaveLength(1);
    balance();

    rmSync(join(mount, 'ballast'));
    push(1);
    expect(sender.counts().spooled).toBeGreaterThan(full.spooled + 10);
    expect(log.filter((line) => line.includes('is written again'))).toHaveLength(1);
    balance();

    // Counted while there is no peer: one that listens may be sent to before it has told us that it does.
    const { sent, queued, spooled } = sender.counts();
    expect(sent).toBe(0);
    const kept = queued + spooled;
    const peer = new Peer(socket, file);
    await peer.start();
    await until('all that was kept', () => sender.counts().sent === kept);
    balance();
    await until('the file', () => peer.text().split('\n').length > kept);
    await sender.drain(1000);
    const numbers = peer
      .text()
      .split('\n')
      .slice(0, -1)
      .map((line) => Number.parseInt(line, 10));
    expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
    expect(numbers).toHaveLength(kept);
    expect(new Set(numbers).size).toBe(kept);
    expect(readdirSync(join(mount, 'spool')).sort()).toEqual(['lock', 'position']);
    await peer.kill();
  } finally {
    await sender.drain(0);
    lab.sh(`umount -l ${mount}`);
    lab.close();
  }
});

test('a record that a crash tore at the end of the spool delays no end, and goes with its segment', async () => {
  const path = join(directory, 'spool');
  const before = new Spool(path, 1 << 30, () => {});
  for (let i = 0; i < 5; i++) before.append({ bytes: Buffer.from(`${i} xxx\n`), events: 1, time: 0 });
  before.close();
  const [segment] = readdirSync(path).filter((name) => name.endsWith('.spool')) as [string];
  truncateSync(join(path, segment), statSync(join(path, segment)).size - 1);

  const peer = new Peer(join(directory, 'peer'), join(directory, 'received'));
  await peer.start();
  const settings = { spoolMax: 1 << 30, queueMax: 1 << 20, resend: 0, reconnect: 100, connectTimeout: 1000 };
  const destination = new StreamDestination({ path: join(directory, 'peer') });
  const sender = new Sender(destination, { ...settings, spool: path }, { notice() {}, error() {} });
  try {
    sender.start();
    await until('the whole ones', () => peer.text() === '0 xxx\n1 xxx\n2 xxx\n3 xxx\n');
    const begin = performance.now();
    await sender.drain(20_000);
    expect(performance.now() - begin, 'a sender that waits for the torn one waits to the last').toBeLessThan(10_000);
    expect(sender.counts()).toMatchObject({ recovered: 4, sent: 4, spooled: 0, damaged: 1 });
    expect(readdirSync(path).sort()).toEqual(['lock', 'position']);
    await peer.kill();
  } finally {
    await sender.drain(0);
  }
});
