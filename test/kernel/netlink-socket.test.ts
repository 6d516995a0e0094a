import { readlinkSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Lab, until } from '../../scripts/lab.js';
import { KernelError } from '../../src/system/kernel-request.ts';
import { NetlinkSocket } from '../../src/system/netlink-socket.ts';
import type { DatagramHandler } from '../../src/system/pump.ts';
import { MessageBuilder } from '../../src/wire/message-builder.ts';
import { NETLINK_ROUTE, NLM_F_CREATE, NLM_F_EXCL } from '../../src/wire/netlink.ts';

const RTNLGRP_LINK = 1;
const RTM_NEWLINK = 16;
const IFLA_IFNAME = 3;
const IFLA_MTU = 4;
const IFLA_LINKINFO = 18;
const IFLA_INFO_KIND = 1;
const SLOT = 8192;
const SLOTS = 16;

const lab = new Lab();
let namespace: string;
let open: NetlinkSocket[] = [];
beforeAll(() => {
  namespace = lab.namespace('netlink');
});
afterEach(() => {
  for (const socket of open) socket.close();
  open = [];
});
afterAll(() => lab.close());

const home = (): string => readlinkSync('/proc/thread-self/ns/net');

/** A NETLINK_ROUTE socket in the lab, and what it heard, a text per datagram and a mark per other call. */
function listen(options: { bufferSize?: number; maxBufferSize?: number; slotSize?: number } = {}) {
  const memory = new ArrayBuffer(SLOT * SLOTS + 64);
  const socket = NetlinkSocket.open({
    protocol: NETLINK_ROUTE,
    namespace: `/run/netns/${namespace}`,
    memory,
    offset: 64,
    slotSize: SLOT,
    slots: SLOTS,
    ...options,
  });
  open.push(socket);
  socket.join(RTNLGRP_LINK);
  const heard: string[] = [];
  const handler: DatagramHandler = {
    onDatagram: (start, end) => heard.push(Buffer.from(memory, start, end - start).toString('latin1')),
    onBatchEnd: () => heard.push('batch end'),
    onOverrun: () => heard.push('overrun'),
    onTruncated: () => heard.push('truncated'),
  };
  const count = (mark: string) => heard.filter((entry) => entry.includes(mark)).length;
  return { socket, heard, handler, count };
}

function newLink(name: string, kind = 'bridge', builder = new MessageBuilder()): MessageBuilder {
  return builder
    .message(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0)
    .raw(new Uint8Array(16)) // struct ifinfomsg
    .string(IFLA_IFNAME, name)
    .nest(IFLA_LINKINFO)
    .string(IFLA_INFO_KIND, kind)
    .end();
}

let mtu = 2000;
/** Commands for `ip -batch` that make this many link events: each changes something. */
const changes = (events: number): string =>
  Array.from({ length: events }, () => `link set lo mtu ${2000 + (mtu++ % 60_000)}`).join('\n');

/** Makes so many link events before it returns. */
const flood = (events: number) => lab.sh(`ip -batch - <<'END'\n${changes(events)}\nEND`, namespace);

describe('a socket in another namespace', () => {
  test('hears its events, while the thread stays where it was', async () => {
    const before = home();
    const { socket, handler, count } = listen();
    expect(home()).toBe(before);
    expect(socket.portId).toBeGreaterThan(0);
    socket.start(handler);
    lab.sh('ip link add there0 type bridge', namespace);
    await until('the link event', () => count('there0') > 0);
    expect(count('batch end')).toBeGreaterThan(0);
    expect(socket.drops()).toBe(0);
  });

  test('that cannot be opened says why and leaves the thread where it was', () => {
    const before = home();
    const slots = { memory: new ArrayBuffer(64), offset: 0, slotSize: 64, slots: 1 };
    const to = (path: string, protocol = NETLINK_ROUTE) => NetlinkSocket.open({ protocol, namespace: path, ...slots });
    expect(() => to('/run/netns/nowhere')).toThrow(
      expect.objectContaining({
        code: 'ENOENT',
        errno: -2,
        syscall: 'open',
        message: 'open: ENOENT, No such file or directory (network namespace /run/netns/nowhere)',
      }),
    );
    expect(() => to('/proc/self/ns/uts')).toThrow(expect.objectContaining({ code: 'EINVAL', syscall: 'setns' }));
    expect(() => to('/etc/passwd')).toThrow(expect.objectContaining({ code: 'EINVAL', syscall: 'setns' }));
    expect(() => to(`/run/netns/${namespace}`, 31)).toThrow(
      expect.objectContaining({ code: 'EPROTONOSUPPORT', syscall: 'socket' }),
    );
    expect(home()).toBe(before);
  });
});

describe('a request', () => {
  test('returns when it is done, and loses none of the events that came with it', async () => {
    const { socket, handler, count, heard } = listen();
    socket.request(newLink('asked0', 'bridge', newLink('asked1')).finish(), 'add two links');
    expect(heard).toEqual([]);
    socket.start(handler);
    await until('both events', () => count('asked0') > 0 && count('asked1') > 0);
    expect(heard.findIndex((entry) => entry.includes('asked1'))).toBeLessThan(
      heard.findIndex((entry) => entry.includes('asked0')),
    );
    expect(count('batch end')).toBe(1); // together, as one batch
  });

  test('that is refused carries the kernel’s words and where it found fault', () => {
    const { socket } = listen();
    const refusal = (bytes: Uint8Array): KernelError => {
      try {
        socket.request(bytes, 'add link');
      } catch (error) {
        if (error instanceof KernelError) return error;
        throw error;
      }
      throw new Error('the kernel did not refuse');
    };
    expect(refusal(newLink('odd0', 'nosuchkind').finish())).toMatchObject({
      message: 'add link: ENOTSUP, Unknown device type',
      code: 'ENOTSUP',
      operation: 'add link',
      reason: 'Unknown device type',
    });
    const short = new MessageBuilder().message(RTM_NEWLINK, NLM_F_CREATE, 0).raw(new Uint8Array(16)).u8(IFLA_MTU, 1);
    expect(refusal(short.finish())).toMatchObject({ code: 'ERANGE', offset: 32 });
    socket.request(newLink('twice0').finish(), 'add link'); // and the next one finds its own answer
    expect(refusal(newLink('twice0').finish())).toMatchObject({ code: 'EEXIST' });
  });

  test('may be made by a handler in the middle of a batch', async () => {
    const { socket, handler, count, heard } = listen();
    let asked = false;
    flood(10);
    socket.start({
      ...handler,
      onDatagram: (start, end) => {
        if (!asked) socket.request(newLink('nested0').finish(), 'add link');
        asked = true;
        handler.onDatagram(start, end);
      },
    });
    await until('the event of the request', () => count('nested0') > 0);
    expect(heard.findIndex((entry) => entry.includes('nested0'))).toBeGreaterThanOrEqual(10);
  });

  test('is answered although the buffer overran before it', async () => {
    const { socket, handler, count } = listen({ bufferSize: 4096 });
    flood(100);
    socket.request(newLink('late0').finish(), 'add link');
    socket.start(handler);
    await until('the overrun and the event', () => count('overrun') > 0 && count('late0') > 0);
  });
});

describe('the pump', () => {
  test('reports an overrun, grows the buffer up to its limit, and events flow again', async () => {
    const { socket, handler, count } = listen({ bufferSize: 4096, maxBufferSize: 10_000 });
    expect(socket.bufferSize).toBe(4096);
    socket.start(handler);
    for (const size of [8192, 10_000, 10_000]) {
      const before = count('overrun');
      flood(200);
      await until('an overrun', () => count('overrun') > before);
      expect(socket.bufferSize).toBe(size);
    }
    expect(socket.drops()).toBeGreaterThan(0);
    lab.sh('ip link add after0 type bridge', namespace);
    await until('an event after the overruns', () => count('after0') > 0);
  });

  test('hands over every event of a flood, and a lone one after it', async () => {
    const { socket, handler, count, heard } = listen({ bufferSize: 16 << 20 });
    let datagrams = 0;
    socket.start({ ...handler, onDatagram: () => datagrams++ });
    const events = 3000;
    const ip = lab.start(['ip', '-batch', '-'], namespace, { stdio: ['pipe', 'ignore', 'inherit'] });
    ip.stdin?.end(changes(events));
    await until('every event', () => datagrams >= events);
    expect(datagrams).toBe(events);
    expect(socket.drops()).toBe(0);
    expect(count('overrun')).toBe(0);
    expect(count('batch end')).toBeLessThan(events / 2); // woken by the clock, it found several at a time
    const batches = heard.length;
    lab.sh('ip link set lo mtu 1500', namespace);
    await until('the lone event', () => datagrams === events + 1);
    expect(heard.length).toBe(batches + 1);
  });

  test('says that a datagram did not fit its slot, and hands over its beginning', async () => {
    const { socket, heard, handler } = listen({ slotSize: 100 });
    socket.start(handler);
    flood(1);
    await until('a batch', () => heard.length >= 3);
    expect(heard[0]).toBe('truncated');
    expect(heard[1]).toHaveLength(100);
    expect(heard[2]).toBe('batch end');
  });

  test('refuses what another process sends', async () => {
    const { socket, handler, count, heard } = listen();
    socket.start(handler);
    const forge = `import socket; s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0); s.sendto(b'forged' * 10, (${socket.portId}, 0))`;
    expect(() => lab.sh(`python3 -c "${forge}"`, namespace)).toThrow('Connection refused');
    lab.sh('ip link add genuine0 type bridge', namespace);
    await until('the genuine event', () => count('genuine0') > 0);
    expect(heard.join()).not.toContain('forged');
  });

  test('drains what is queued before it is closed, and closes twice', () => {
    const { socket, handler, heard } = listen();
    socket.start(handler);
    flood(40);
    socket.drain();
    expect(heard.filter((entry) => entry !== 'batch end')).toHaveLength(40);
    socket.close();
    socket.close();
    expect(() => socket.drops()).toThrow(expect.objectContaining({ code: 'EBADF' }));
  });

  test('starts again after it was stopped', async () => {
    const { socket, handler, count } = listen();
    socket.start(handler);
    socket.stop();
    lab.sh('ip link add meanwhile0 type bridge', namespace);
    socket.start(handler);
    await until('what came meanwhile', () => count('meanwhile0') > 0);
  });
});
