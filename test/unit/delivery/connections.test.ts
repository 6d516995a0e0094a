// The destinations on real sockets.
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { until } from '../../../scripts/lab.js';
import { byLine, DatagramDestination, whole } from '../../../src/delivery/datagram.ts';
import type { Destination } from '../../../src/delivery/destination.ts';
import { Sender } from '../../../src/delivery/sender.ts';
import type { SenderSettings } from '../../../src/delivery/sender-settings.ts';
import { StreamDestination } from '../../../src/delivery/stream.ts';
import { folder } from './folder.ts';

const SETTINGS: SenderSettings = {
  spool: '',
  spoolMax: 64 << 20,
  queueMax: 1 << 20,
  resend: 256 << 10,
  reconnect: 200,
  connectTimeout: 5000,
};
const cleanUps: (() => void | Promise<void>)[] = [];
const log: string[] = [];

vi.setConfig({ testTimeout: 60_000 }); // conditions are waited for: a busy machine takes longer

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
  log.length = 0;
});

function started(destination: Destination, settings: Partial<SenderSettings> = {}): Sender {
  const reports = { notice: (text: string) => void log.push(text), error: (text: string) => void log.push(text) };
  const sender = new Sender(destination, { ...SETTINGS, ...settings }, reports);
  sender.start();
  cleanUps.push(() => sender.drain(0));
  return sender;
}

interface Listener {
  readonly server: Server;
  readonly sockets: Set<Socket>;
  text: string;
}

async function listen(where: { port: number; host: string } | { path: string }, reading = true): Promise<Listener> {
  const listener: Listener = { server: createServer(), sockets: new Set(), text: '' };
  listener.server.on('connection', (socket) => {
    listener.sockets.add(socket);
    socket.on('error', () => {});
    if (reading) {
      socket.on('data', (bytes) => {
        listener.text += bytes.toString('latin1');
      });
    }
  });
  listener.server.listen(where);
  await once(listener.server, 'listening');
  cleanUps.push(() => silence(listener));
  return listener;
}

/** Closes the listener and what it has accepted. */
async function silence({ server, sockets }: Listener): Promise<void> {
  for (const socket of sockets) socket.destroy();
  sockets.clear();
  await new Promise((done) => server.close(done));
}

const push = (sender: Sender, text: string) => sender.push(Buffer.from(text), text.split('\n').length - 1);
const LOCAL = { host: '127.0.0.1', port: 0 };
const portOf = ({ server }: Listener) => (server.address() as AddressInfo).port;

describe.each(['tcp', 'unix'] as const)('%s', (kind) => {
  const place = () => (kind === 'tcp' ? LOCAL : { path: join(folder(), 'socket') });
  const targetOf = (where: ReturnType<typeof place>, listener: Listener) =>
    'path' in where ? where : { host: where.host, port: portOf(listener) };

  test('lines arrive as they are', async () => {
    const where = place();
    const listener = await listen(where);
    const sender = started(new StreamDestination(targetOf(where, listener)));
    push(sender, 'one\ntwo\n');
    push(sender, 'three\n');
    await until('the lines', () => listener.text === 'one\ntwo\nthree\n');
    expect(sender.counts()).toMatchObject({ sent: 3, queued: 0, bytes: 14 });
  });

  test('a peer that goes and comes back gets everything', async () => {
    const where = place();
    const first = await listen(where);
    const target = targetOf(where, first);
    const sender = started(new StreamDestination(target));
    push(sender, 'one\n');
    await until('the first line', () => first.text === 'one\n');
    await silence(first);
    await until('the end to be seen', () => !sender.counts().connected);
    push(sender, 'two\n');
    const second = await listen(target);
    await until('the second line', () => second.text.endsWith('two\n'));
    expect(second.text).toBe('one\ntwo\n');
    expect(sender.counts()).toMatchObject({ sent: 2, resent: 1, queued: 0 });
    expect(log).toHaveLength(1);
    expect(log[0]).toContain('; events wait in memory');
  });

  test('a peer that accepts and never reads costs no more memory than the queue', async () => {
    const where = place();
    const listener = await listen(where, false);
    const sender = started(new StreamDestination(targetOf(where, listener)));
    const line = `${'x'.repeat(65_535)}\n`;
    await until('the connection', () => sender.counts().connected);
    for (let i = 0; i < 1000; i++) {
      push(sender, line);
      if (i % 50 === 0) await new Promise((done) => setImmediate(done));
    }
    const { sent, queued, dropped } = sender.counts();
    expect(sent + queued + dropped['queue full']).toBe(1000);
    expect(queued).toBeLessThanOrEqual(17); // of a megabyte, and one in hand
    expect(dropped['queue full']).toBeGreaterThan(700);
  });

  test('all that was pushed has arrived when the end is reached', async () => {
    const where = place();
    const listener = await listen(where);
    const sender = started(new StreamDestination(targetOf(where, listener)), { queueMax: 32 << 20 });
    const lines = Array.from({ length: 200 }, (_, i) => `${String(i).padStart(50_000, '.')}\n`);
    for (const line of lines) push(sender, line);
    await sender.drain(10_000);
    expect(listener.text.length).toBe(200 * 50_001);
    expect(listener.text).toBe(lines.join(''));
    expect(sender.counts()).toMatchObject({ sent: 200, queued: 0, dropped: { stopped: 0 } });
  });

  test('a peer that talks back is not listened to, and its end is seen all the same', async () => {
    const where = place();
    const listener = await listen(where);
    const sender = started(new StreamDestination(targetOf(where, listener)));
    await until('the connection', () => sender.counts().connected && listener.sockets.size === 1);
    for (const socket of listener.sockets) socket.end('thank you\n'.repeat(1000));
    await until('the reconnection', () => sender.counts().retries === 1);
    expect(log[0]).toContain('the peer closed the connection');
  });
});

test('a name that nobody knows is a peer that is away', async () => {
  const target = { host: 'nobody.invalid', port: 1 };
  const sender = started(new StreamDestination(target), { connectTimeout: 1000 }); // a resolver may be slow to say so
  await until('another attempt', () => sender.counts().retries >= 1);
  expect(log).toHaveLength(1);
  expect(log[0]).toMatch(/^tcp:\/\/nobody\.invalid:1: /);
});

describe('udp', () => {
  async function receiver(port = 0): Promise<{ port: number; datagrams: string[]; close: () => void }> {
    const socket = createSocket('udp4');
    const datagrams: string[] = [];
    socket.on('message', (bytes) => datagrams.push(bytes.toString('latin1')));
    socket.bind(port, '127.0.0.1');
    await once(socket, 'listening');
    let open = true;
    const close = () => {
      if (open) socket.close();
      open = false;
    };
    cleanUps.push(close);
    return { port: socket.address().port, datagrams, close };
  }

  test('each line is a datagram, with its line end', async () => {
    const { port, datagrams } = await receiver();
    const sender = started(new DatagramDestination('127.0.0.1', port, byLine));
    push(sender, 'one\ntwo\n');
    push(sender, 'three\n');
    await until('three datagrams', () => datagrams.length >= 3);
    expect(datagrams).toEqual(['one\n', 'two\n', 'three\n']);
    await sender.drain(1000);
    expect(sender.counts().sent).toBe(3);
  });

  test('a batch is a datagram where it is a message', async () => {
    const { port, datagrams } = await receiver();
    const sender = started(new DatagramDestination('127.0.0.1', port, whole));
    push(sender, 'one\ntwo\n');
    await until('a datagram', () => datagrams.length >= 1);
    expect(datagrams).toEqual(['one\ntwo\n']);
  });

  test('lines wait while nobody listens', async () => {
    const absent = await receiver();
    absent.close();
    const sender = started(new DatagramDestination('127.0.0.1', absent.port, byLine));
    for (let i = 0; i < 10; i++) push(sender, `${i}\n`);
    await until('the refusal', () => sender.counts().retries >= 2);
    const { datagrams } = await receiver(absent.port);
    await until('ten lines', () => new Set(datagrams).size === 10);
    expect(log[0]).toMatch(/^udp:\/\/127\.0\.0\.1:\d+: .*ECONNREFUSED/);
  });

  test('a line that no datagram can carry is refused and counted, the next one is sent', async () => {
    const { port, datagrams } = await receiver();
    const sender = started(new DatagramDestination('127.0.0.1', port, byLine));
    push(sender, `${'x'.repeat(70_000)}\n`);
    push(sender, 'short\n');
    await until('the short line', () => datagrams.length === 1 && sender.counts().dropped.refused === 1);
    expect([datagrams, sender.counts().sent]).toEqual([['short\n'], 1]);
  });
});
