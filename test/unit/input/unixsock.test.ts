import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import unixsock from '../../../src/input/unixsock.ts';
import type { InputPlugin } from '../../../src/pipeline/plugin.ts';
import { TestInput } from '../../support/input.ts';
import { ipv4, ipv6, udp } from '../../support/packets.ts';

const UNIXSOCK = unixsock as InputPlugin;
const V4 = ipv4({}, udp({}, Buffer.from('hello')));
const V6 = ipv6({}, udp({}, Buffer.from('hello')));
let folder: string;
let path: string;
let input: TestInput;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'flowlogd-unixsock-'));
  path = join(folder, 'made', 'ulogd2.sock');
  input = new TestInput(UNIXSOCK, { socket_path: path });
});
afterEach(async () => {
  await input.service.stop?.();
  rmSync(folder, { recursive: true });
});

function padded(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((8 - (bytes.length % 8)) % 8)]);
}

function option(id: number, value: Buffer | string): Buffer {
  const bytes = Buffer.from(value as string);
  const head = Buffer.alloc(8);
  head.writeUInt32BE(id, 0);
  head.writeUInt32BE(bytes.length, 4);
  return Buffer.concat([head, padded(bytes)]);
}

function frame(packet: Buffer, options: readonly Buffer[] = []): Buffer {
  const head = Buffer.alloc(12);
  const rest = Buffer.concat([padded(packet), ...options]);
  head.writeUInt32BE(0x41c90fd4, 0);
  head.writeUInt16BE(8 + rest.length, 4);
  head.writeUInt16BE(packet.length, 10);
  return Buffer.concat([head, rest]);
}

const host32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};

const client = async (): Promise<Socket> => {
  const socket = connect(path);
  await new Promise((resolve) => socket.once('connect', resolve));
  socket.on('error', () => {});
  return socket;
};
const events = (count: number) => vi.waitUntil(() => input.events.length >= count, { timeout: 5000 });

describe('frames', () => {
  test('a packet with every option', async () => {
    await input.start();
    const socket = await client();
    socket.end(
      frame(V4, [
        option(1, 'prefix\0'),
        option(2, 'eth0\0'),
        option(3, 'eth1\0'),
        option(4, host32(1700000000)),
        option(200, 'alice\0'),
        option(201, host32(1000)),
        option(202, 'Linux\0'),
        option(203, '6.1\0'),
        option(204, '#1\0'),
        option(205, '/bin/ping\0'),
        option(206, Buffer.from([1])),
        option(999, 'unknown'),
      ]),
    );
    await events(1);
    expect(input.events).toEqual([
      {
        'raw.pkt': V4.toString('hex'),
        'raw.pktlen': V4.length,
        'raw.pktcount': 1,
        'oob.prefix': 'prefix',
        'oob.time.sec': 1700000000,
        'oob.family': 2,
        'oob.protocol': 0x0800,
        'raw.label': 1,
        'oob.in': 'eth0',
        'oob.out': 'eth1',
        'nufw.user.name': 'alice',
        'nufw.user.id': 1000,
        'nufw.os.name': 'Linux',
        'nufw.os.rel': '6.1',
        'nufw.os.vers': '#1',
        'nufw.app.name': '/bin/ping',
      },
    ]);
  });

  test('many from several clients, in pieces of any size', async () => {
    await input.start();
    const clients = await Promise.all([client(), client(), client()]);
    const stream = Buffer.concat(Array.from({ length: 50 }, (_, i) => frame(i % 2 ? V4 : V6, [option(1, `n${i}\0`)])));
    for (let at = 0; at < stream.length; at += 1009) {
      for (const each of clients) each.write(stream.subarray(at, at + 1009));
      await new Promise(setImmediate);
    }
    await events(150);
    expect(input.events.length).toBe(150);
    expect(new Set(input.events.map((event) => event['oob.prefix'])).size).toBe(50);
    expect(new Set(input.events.map((event) => event['oob.family']))).toEqual(new Set([2, 10]));
    for (const each of clients) each.destroy();
  });

  test.each([
    ['no marker', Buffer.from('hello world!')],
    [
      'a packet longer than its frame',
      (() => {
        const bytes = frame(V4);
        bytes.writeUInt16BE(60000, 10);
        return bytes;
      })(),
    ],
    [
      'an option longer than its frame',
      (() => {
        const bytes = frame(V4, [option(1, 'abc\0')]);
        bytes.writeUInt32BE(0xffffffff, bytes.length - 12);
        return bytes;
      })(),
    ],
    ['a frame without room for its header', Buffer.from('41c90fd40001ff00', 'hex')],
  ])('%s ends the connection of that client only', async (_, bytes) => {
    await input.start();
    const [bad, good] = await Promise.all([client(), client()]);
    const closed = new Promise((resolve) => bad.once('close', resolve));
    bad.write(bytes);
    await closed;
    good.end(frame(V4));
    await events(1);
    expect(input.events.length).toBe(1);
    expect(input.log.filter((line) => line.includes('no frame')).length).toBe(1);
  });
});

describe('clients that mean harm', () => {
  test('are counted each, and fill no log', async () => {
    await input.start();
    const bad = await Promise.all(Array.from({ length: 100 }, client));
    for (const one of bad) one.end('rubbish!');
    await Promise.all(bad.map((one) => new Promise((resolve) => one.once('close', resolve))));
    expect(input.ledger.malformed).toBe(100);
    expect(input.log.length).toBeGreaterThan(0);
    expect(input.log.length).toBeLessThan(10);
  });

  test('are not read on, and keep their place for a second: they cannot come back at full speed', async () => {
    await input.start();
    const bad = await client();
    const began = performance.now();
    const more = setInterval(() => bad.write(Buffer.alloc(64 << 10, 'rubbish!')), 10);
    await new Promise((resolve) => bad.once('close', resolve));
    clearInterval(more);
    expect(performance.now() - began).toBeGreaterThan(900);
    expect(input.ledger.malformed).toBe(1);
  });

  test('and only connect leave the process its file descriptors, and those who were there before are still heard', async () => {
    await input.start();
    const good = await client();
    const idle = await Promise.all(Array.from({ length: 300 }, client));
    for (const one of idle) one.resume();
    await vi.waitUntil(() => idle.filter((one) => one.closed).length === 45); // 301 came, 256 may stay
    expect(input.log.filter((line) => line.includes('was turned away'))).toHaveLength(1);
    good.write(frame(V4));
    await events(1);
    for (const one of [good, ...idle]) one.destroy();
  });
});

describe('the socket', () => {
  test('is made with its directory and permissions, and removed at the end', async () => {
    await input.start();
    expect(statSync(path).mode & 0o777).toBe(0o600);
    await input.service.stop?.();
    expect(existsSync(path)).toBe(false);
  });

  test('that was left behind is replaced; one that is in use, or a file, is not', async () => {
    path = join(folder, 'sock');
    input = new TestInput(UNIXSOCK, { socket_path: path, perms: 0o660 });
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(path, resolve));
    await expect(input.start()).rejects.toThrow(`cannot listen on ${path}`);
    expect(statSync(path).isSocket()).toBe(true);
    await new Promise((resolve) => other.close(resolve));
    writeFileSync(path, 'a file');
    await expect(input.start()).rejects.toThrow(`cannot listen on ${path}`);
    rmSync(path);
    const left = `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`;
    spawnSync(process.execPath, ['-e', left]);
    expect(statSync(path).isSocket()).toBe(true);
    await input.start();
    expect(statSync(path).mode & 0o777).toBe(0o660);
  });

  test('of an unknown owner is refused', async () => {
    input = new TestInput(UNIXSOCK, { socket_path: path, owner: 'nobody-of-that-name' });
    await expect(input.start()).rejects.toThrow('unknown user nobody-of-that-name');
  });
});
