// A real TCP peer that is absent, dies and stalls, under a steady stream of events.

import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { until } from '../../scripts/lab.js';
import { Sender } from '../../src/delivery/sender.ts';
import type { SenderSettings } from '../../src/delivery/sender-settings.ts';
import { StreamDestination } from '../../src/delivery/stream.ts';
import { freePort, numbersOf, Peer } from '../support/peer.ts';

/** How long a push may take is judged where nobody else uses the disk. */
const FULL = process.env.FULL === '1';
const PER_SECOND = 5000;
const TICK = 10;
const LINE = 300;

let directory = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'flowlogd-delivery-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** Pushes 5,000 numbered lines a second, as an output does: a batch at a time. */
class Producer {
  count = 0;
  /** Longest time that one push took, in milliseconds. */
  slowest = 0;
  readonly #sender: Sender;
  readonly #started = performance.now();
  readonly #timer = setInterval(() => this.#tick(), TICK);

  constructor(sender: Sender) {
    this.#sender = sender;
  }

  #tick(): void {
    const due = Math.floor(((performance.now() - this.#started) * PER_SECOND) / 1000);
    const from = this.count;
    let text = '';
    while (this.count < due) text += `${this.count++} `.padEnd(LINE - 1, 'x').concat('\n');
    const begin = performance.now();
    this.#sender.push(Buffer.from(text), this.count - from);
    this.slowest = Math.max(this.slowest, performance.now() - begin);
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}

function started(port: number, settings: Partial<SenderSettings>): Sender {
  const destination = new StreamDestination({ host: '127.0.0.1', port });
  const defaults = {
    spool: '',
    spoolMax: 1 << 30,
    queueMax: 8 << 20,
    resend: 256 << 10,
    reconnect: 200,
    connectTimeout: 1000,
  };
  const sender = new Sender(destination, { ...defaults, ...settings }, { notice() {}, error() {} });
  sender.start();
  return sender;
}

function expectBalance(sender: Sender): void {
  const { pushed, sent, queued, spooled, dropped } = sender.counts();
  expect(sent + queued + spooled + Object.values(dropped).reduce((a, b) => a + b)).toBe(pushed);
}

test('a peer absent at the start and killed ten times gets every event, in order but for what is sent again', async () => {
  const port = await freePort();
  const peer = new Peer(port, join(directory, 'received'));
  const sender = started(port, { spool: join(directory, 'spool') });
  const producer = new Producer(sender);
  try {
    await until('events while the peer is absent', () => producer.count > 5000);
    expect(sender.counts().sent).toBe(0);
    for (let kill = 0; kill < 10; kill++) {
      await peer.start();
      const before = sender.counts().sent;
      await until('events to arrive', () => sender.counts().sent > before + 2500);
      expectBalance(sender);
      await peer.kill();
      const killedAt = producer.count;
      await until('events without a peer', () => producer.count > killedAt + 1500);
    }
    await peer.start();
    await until('the backlog to be sent', () => sender.counts().spooled === 0 && sender.counts().connected);
    producer.stop();
    await sender.drain(10_000);
    const counts = sender.counts();
    expect(counts).toMatchObject({ pushed: producer.count, sent: producer.count, queued: 0, spooled: 0 });
    await until('the last line', () => numbersOf(peer.text().slice(-10 * LINE), LINE - 1).includes(producer.count - 1));
    const numbers = numbersOf(peer.text(), LINE - 1);
    const firsts = [...new Set(numbers)];
    expect(firsts.length, 'every event').toBe(producer.count);
    expect(
      firsts.every((number, at) => number === at),
      'in order',
    ).toBe(true);
    expect(counts.resent).toBeGreaterThan(0);
    if (FULL) expect(producer.slowest).toBeLessThan(50);
    const duplicates = numbers.length - firsts.length;
    process.stdout.write(
      `  ${producer.count} events, ${counts.resent} sent again, ${duplicates} came twice, slowest push ${producer.slowest.toFixed(1)} ms\n`,
    );
  } finally {
    producer.stop();
    await sender.drain(0);
    await peer.kill();
  }
});

test('a peer that ends its side alone counts as gone: it is connected anew, and gets every event', async () => {
  let text = '';
  // It reads on, as a program does that has nothing to say.
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    setTimeout(() => socket.end(), 100);
    socket.on('data', (bytes) => {
      text += bytes;
    });
    socket.on('end', () => socket.destroy()).on('error', () => {});
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const sender = started((server.address() as AddressInfo).port, {});
  const producer = new Producer(sender);
  await until('ten connections', () => sender.counts().retries >= 10);
  producer.stop();
  await sender.drain(10_000);
  await until('the last line', () => numbersOf(text.slice(-10 * LINE), LINE - 1).includes(producer.count - 1));
  server.close();
  const firsts = [...new Set(numbersOf(text, LINE - 1))];
  expect(firsts).toEqual(Array.from({ length: producer.count }, (_, number) => number));
  expectBalance(sender);
  expect(sender.counts()).toMatchObject({ sent: producer.count, queued: 0 });
});

test('a peer that accepts and never reads stops nobody and costs no memory: the spool takes it, then drops are counted', async () => {
  const port = await freePort();
  const peer = new Peer(port);
  await peer.start();
  const sender = started(port, { spool: join(directory, 'spool'), spoolMax: 4 << 20, queueMax: 1 << 20 });
  await until('the connection', () => sender.counts().connected);
  const line = `${'x'.repeat(LINE - 1)}\n`.repeat(200);
  let slowest = 0;
  try {
    for (let i = 0; i < 2000; i++) {
      const begin = performance.now();
      sender.push(Buffer.from(line), 200);
      slowest = Math.max(slowest, performance.now() - begin);
      if (i % 20 === 0) await new Promise((done) => setImmediate(done));
    }
    expectBalance(sender);
    const { queued, spooled, dropped } = sender.counts();
    expect(queued * LINE).toBeLessThan(1.5 * (1 << 20));
    expect(spooled * LINE).toBeLessThan(4 << 20);
    expect(dropped['spool full']).toBeGreaterThan(100_000);
    if (FULL) expect(slowest).toBeLessThan(50);
    process.stdout.write(`  slowest push ${slowest.toFixed(1)} ms
`);
  } finally {
    await sender.drain(0);
    await peer.kill();
  }
  expectBalance(sender);
});
