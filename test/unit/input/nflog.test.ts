import { constants } from 'node:os';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import nflog from '../../../src/input/nflog.ts';
import type { InputPlugin } from '../../../src/pipeline/plugin.ts';
import { MessageBuilder } from '../../../src/wire/message-builder.ts';
import { NLMSG_NOOP } from '../../../src/wire/netlink.ts';
import * as wire from '../../../src/wire/nflog.ts';
import { beginRequest } from '../../../src/wire/nfnetlink.ts';
import { FakeKernel, type FakeSocket } from '../../support/fake-netlink.ts';
import { TestInput } from '../../support/input.ts';
import { recordings } from '../wire/vectors.ts';

vi.mock('../../../src/system/native.ts', async (original) => ({
  ...(await original<object>()),
  openNativeSocket: (await import('../../support/fake-netlink.ts')).openFakeSocket,
}));

const NFLOG = nflog as unknown as InputPlugin;
const { EPERM, EBUSY, EOPNOTSUPP, ENOBUFS } = constants.errno;

let kernel: FakeKernel;
let input: TestInput | undefined;

beforeEach(() => {
  kernel = new FakeKernel();
  vi.setSystemTime(new Date('2026-11-21T07:10:11.250Z'));
});
afterEach(async () => {
  await input?.service.stop?.();
  input = undefined;
  vi.useRealTimers();
});

async function started(options: Readonly<Record<string, unknown>> = {}): Promise<TestInput> {
  input = new TestInput(NFLOG, options);
  return input.start();
}

const socket = (): FakeSocket => kernel.sockets[0] as FakeSocket;

/** What was asked for: family and group, then attributes as hexadecimal digits without padding. */
function asked(): string[] {
  return socket().requests.map(({ body }) => {
    const attributes: string[] = [];
    for (let at = 4; at < body.length; at += (body.readUInt16LE(at) + 3) & ~3) {
      attributes.push(`${body.readUInt16LE(at + 2)}=${body.toString('hex', at + 4, at + body.readUInt16LE(at))}`);
    }
    return `${body[0]}/${body.readUInt16BE(2)} ${attributes.join(' ')}`;
  });
}

/** A message of the kernel with these attributes. */
function packet(fill: (message: MessageBuilder) => MessageBuilder, family = 2): Uint8Array {
  return fill(beginRequest(new MessageBuilder(), wire.NFULNL_PACKET, 0, 0, family, 10)).finish();
}

describe('binding', () => {
  test('asks for the group, whole packets and their numbers', async () => {
    await started({ group: 10 });
    // command BIND; whole packets; sequence numbers
    expect(asked()).toEqual(['0/10 1=01', expect.stringMatching(/^0\/10 2=0000ffff0200 .*6=0001$/)]);
    expect(socket()).toMatchObject({ protocol: 12, receiveBuffer: 8 << 20, namespace: undefined });
    expect(socket().groups.size).toBe(0);
  });

  test('group 0 takes the place of the system logger for IPv4, IPv6 and bridges', async () => {
    await started({});
    expect(asked().slice(0, 6)).toEqual(['2/0 1=04', '2/0 1=03', '10/0 1=04', '10/0 1=03', '7/0 1=04', '7/0 1=03']);
    expect(asked()[6]).toBe('0/0 1=01');
  });

  test('so does bind=1, and unbind=0 leaves the one there in peace', async () => {
    await started({ group: 5, bind: true, unbind: false });
    expect(asked().slice(0, 4)).toEqual(['2/0 1=03', '10/0 1=03', '7/0 1=03', '0/5 1=01']);
  });

  test('options reach the kernel', async () => {
    await started({
      group: 10,
      seq_global: true,
      netlink_qthreshold: 7,
      netlink_qtimeout: 250,
      netlink_socket_buffer_size: 300_000,
      network_namespace_path: '/run/netns/router',
    });
    expect(asked()[1]).toMatch(/ 4=000000fa 5=00000007 6=0003$/);
    expect(socket()).toMatchObject({ receiveBuffer: 300_000, namespace: '/run/netns/router' });
  });

  test('attach_conntrack adds its flag to those that are set', async () => {
    await started({ group: 10, attach_conntrack: true, seq_global: true });
    expect(asked()[2]).toBe('0/10 6=0007');
    expect(input!.log).toEqual([]);
  });

  test('a kernel that cannot attach connections is told of, and numbers packets all the same', async () => {
    kernel.refusal = ({ body }) => (body.toString('hex').endsWith('060006000005' + '0000') ? EOPNOTSUPP : 0);
    await started({ group: 10, attach_conntrack: true });
    expect(asked().slice(2)).toEqual(['0/10 6=0005', '0/10 6=0001']);
    expect(input!.log).toEqual([
      'error: in:NFLOG: this kernel cannot attach connections to packets (ENOTSUP); going on without',
    ]);
  });

  test('a group that another one holds, or may not be had, is explained', async () => {
    kernel.refusal = () => EPERM;
    await expect(started({ group: 77 })).rejects.toThrow(/^NFLOG group 77(: | is refused: another process reads it )/);
    expect(socket().closed).toBe(true);
  });

  test('any other refusal says what was refused, and the socket is closed', async () => {
    kernel.refusal = ({ body }) => (body[6] === 2 ? EBUSY : 0);
    await expect(started({ group: 77 })).rejects.toThrow('set up NFLOG group 77: EBUSY, ');
    expect(socket().closed).toBe(true);
  });
});

describe('packets', () => {
  interface Expected {
    readonly [key: string]: unknown;
    readonly hwHeader?: string;
    readonly text?: string;
  }

  test.each(recordings<Expected[]>('nflog'))('$name', async ({ bytes, expected }) => {
    const { events } = await started({ group: 10, seq_local: true, seq_global: true });
    kernel.log(bytes);
    await kernel.idle();
    expect(events).toHaveLength(expected.length);
    for (const [i, want] of expected.entries()) {
      const event = events[i]!;
      const shown = {
        family: event['oob.family'],
        protocol: event['oob.protocol'],
        hook: event['oob.hook'],
        prefix: event['oob.prefix'],
        indev: event['oob.ifindex_in'],
        outdev: event['oob.ifindex_out'],
        hwType: event['raw.type'],
        hwLength: event['raw.mac_len'],
        hwHeader: event['raw.mac'],
        hwAddress: event['raw.mac.saddr'],
        mark: event['oob.mark'],
        uid: event['oob.uid'],
        gid: event['oob.gid'],
        sequence: event['oob.seq.local'],
      };
      const named = Object.fromEntries(Object.keys(shown).flatMap((key) => (key in want ? [[key, want[key]]] : [])));
      expect(shown).toMatchObject({ mark: 0, ...named });
      // A recording says nothing of the link layer, or of the user, where they do not matter; interfaces it names all.
      expect([shown.indev, shown.outdev]).toEqual([want.indev, want.outdev]);
      if (want.payload !== undefined) expect(event['raw.pktlen']).toBe(want.payload);
      if (want.text !== undefined)
        expect(Buffer.from(event['raw.pkt'] as string, 'hex').toString()).toContain(want.text);
      expect([event['raw.pktcount'], event['raw.label'], (event['raw.pkt'] as string).length]).toEqual([
        1,
        0,
        2 * (event['raw.pktlen'] as number),
      ]);
    }
    expect(input!.batches).toBe(1);
  });

  test('numbers are given when they are asked for, the label as it is set', async () => {
    const { bytes } = recordings('nflog')[0]!;
    const { events } = await started({ group: 10, numeric_label: 200 });
    kernel.log(bytes);
    await kernel.idle();
    expect(events[0]).not.toHaveProperty('oob.seq.local');
    expect(events[0]).not.toHaveProperty('oob.seq.global');
    expect(events[0]).toMatchObject({ 'raw.label': 200 });
  });

  test("the time is the kernel's, or else that of reading", async () => {
    const { events } = await started({ group: 10 });
    const stamp = new Uint8Array(16);
    new DataView(stamp.buffer).setUint32(4, 1700000000);
    new DataView(stamp.buffer).setUint32(12, 999_999);
    kernel.log(packet((message) => message.bytes(wire.NFULA_TIMESTAMP, stamp)));
    kernel.log(packet((message) => message));
    await kernel.idle();
    expect(events.map((event) => [event['oob.time.sec'], event['oob.time.usec']])).toEqual([
      [1700000000, 999_999],
      [1795245011, 250_000],
    ]);
  });

  test('a packet of which the kernel says nothing has mark 0, and no other key that it does not need', async () => {
    const { events } = await started({ group: 10 });
    const full = recordings('nflog').find(({ name }) => name.startsWith('marked'))!;
    kernel.log(full.bytes);
    kernel.log(packet((message) => message, 10));
    await kernel.idle();
    const { raw, ...rest } = events[1]!;
    expect(rest).toEqual({
      'raw.pktcount': 1,
      'oob.time.sec': 1795245011,
      'oob.time.usec': 250_000,
      'oob.mark': 0,
      'oob.family': 10,
      'raw.label': 0,
    });
    expect(raw).toHaveLength(40);
  });

  test('what belongs to the link layer is not taken from the packet before', async () => {
    const { events } = await started({ group: 10 });
    kernel.log(recordings('nflog').find(({ name }) => name.startsWith('marked'))!.bytes);
    kernel.log(packet((message) => message.bytes(wire.NFULA_HWHEADER, new Uint8Array(4))));
    await kernel.idle();
    expect(events[1]).toMatchObject({ 'raw.mac': '00000000' });
    expect(events[1]).not.toHaveProperty('raw.type');
    expect(events[1]).not.toHaveProperty('raw.mac_len');
  });

  test('an attached connection is handed on', async () => {
    const { events } = await started({ group: 10 });
    kernel.log(packet((message) => message.bytes(wire.NFULA_CT, Uint8Array.of(1, 2, 3, 4))));
    await kernel.idle();
    expect(events[0]).toMatchObject({ ct: '01020304' });
  });
});

describe('trouble', () => {
  const good = packet((message) => message.string(wire.NFULA_PREFIX, 'good'));

  test('an overrun is told of with the size of the buffer, which then grows as far as it may', async () => {
    const options = { group: 10, netlink_socket_buffer_size: 100_000, netlink_socket_buffer_maxsize: 150_000 };
    const { events, log } = await started(options);
    kernel.fail(ENOBUFS);
    kernel.log(good);
    await kernel.idle();
    expect(log).toEqual([
      'error: in:NFLOG: the kernel dropped packets of group 10: the socket buffer of 150000 bytes was full',
      'notice: in:NFLOG: the socket buffer was grown from 100000 to 150000 bytes',
    ]);
    expect(socket().receiveBuffer).toBe(150_000);
    expect(events).toHaveLength(1);
  });

  test('a buffer that fills faster than it is read grows while there is room, and nothing is lost', async () => {
    const size = 100 * good.length;
    const options = { group: 10, netlink_socket_buffer_size: size, netlink_socket_buffer_maxsize: 3 * size };
    const { events, log, ledger, service } = await started(options);
    socket().held = true;
    for (let i = 0; i < 600; i++) kernel.log(good);
    socket().held = false;
    socket().wake();
    await kernel.idle();
    expect(events).toHaveLength(600);
    expect(socket().receiveBuffer).toBe(2 * size);
    expect(log).toContain(`notice: in:NFLOG: the socket buffer was grown from ${size} to ${2 * size} bytes`);
    expect(service.counters?.()).toMatchObject({ 'times the socket buffer grew': 1 });
    expect(ledger).toMatchObject({ overruns: 0, kernelDrops: 0 });
  });

  test('a flood of overruns is told of once a second, with their number', async () => {
    vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] });
    const { log, ledger, service } = await started({ group: 10, netlink_socket_buffer_size: 8 << 20 });
    for (let i = 0; i < 60; i++) kernel.fail(ENOBUFS, 3);
    await kernel.idle(() => vi.advanceTimersByTime(1));
    const losses = () => log.filter((line) => line.includes('dropped'));
    expect(losses()).toHaveLength(1);
    vi.advanceTimersByTime(1000);
    expect(losses().slice(1)).toEqual([
      'error: in:NFLOG: the kernel dropped packets of group 10 59 more times, 60 so far, 180 datagrams in all: the socket buffer of 8388608 bytes was full',
    ]);
    vi.advanceTimersByTime(60_000);
    expect(losses()).toHaveLength(2);
    kernel.fail(ENOBUFS);
    kernel.fail(ENOBUFS);
    await kernel.idle(() => vi.advanceTimersByTime(1));
    await service.stop?.();
    expect(losses().slice(3), 'what was not said yet is said at the end').toEqual([
      expect.stringContaining(' 1 more times'),
    ]);
    expect(ledger).toMatchObject({ overruns: 62, kernelDrops: 180 });
  });

  const numbered = (sequence: number) => packet((message) => message.be32(wire.NFULA_SEQ, sequence));

  test('a gap in the numbers is what was lost, exactly, from the very first packet on', async () => {
    const { gaps, ledger, events } = await started({ group: 10 });
    kernel.fail(ENOBUFS, 2);
    kernel.log(numbered(7));
    kernel.log(numbered(8));
    await kernel.idle();
    vi.setSystemTime(new Date('2026-11-21T07:10:14Z'));
    kernel.log(numbered(10));
    await input?.service.stop?.();
    expect(events).toHaveLength(3);
    expect(ledger).toMatchObject({ received: 3, datagrams: 3, lost: 8, lostEstimated: 0, kernelDrops: 2, gaps: 2 });
    const times = { from: Date.parse('2026-11-21T07:10:11.250Z'), to: Date.parse('2026-11-21T07:10:11.250Z') };
    const facts = { input: 'in', exact: true, cause: 'socket overrun' };
    expect(gaps).toEqual([
      { ...times, ...facts, lost: 7 },
      { ...times, ...facts, to: Date.parse('2026-11-21T07:10:14Z'), lost: 1 },
    ]);
  });

  test('numbers go on at 0 behind 2³² − 1', async () => {
    const { gaps, ledger } = await started({ group: 10 });
    // Half of all numbers at once are no loss that anything would believe: three steps to the end of them.
    kernel.fail(ENOBUFS, 1);
    for (const sequence of [0x7fff_0000, 0xfffe_0000, 0xffff_fffe, 0xffff_ffff, 0, 1, 3])
      kernel.log(numbered(sequence));
    await kernel.idle();
    await input?.service.stop?.();
    const lost = 0x7fff_0000 + (0xfffe_0000 - 0x7fff_0000 - 1) + (0xffff_fffe - 0xfffe_0000 - 1) + 1;
    expect(ledger.lost).toBe(lost);
    expect(gaps.reduce((sum, gap) => sum + gap.lost, 0)).toBe(lost);
  });

  test('numbers that begin elsewhere without anything dropped are no loss', async () => {
    const { gaps, ledger } = await started({ group: 10 });
    for (const sequence of [500, 501, 3]) kernel.log(numbered(sequence));
    await kernel.idle();
    expect([gaps, ledger.lost]).toEqual([[], 0]);
  });

  test('asking in between changes no sum: what is known to be dropped is still looked for in the numbers, or estimated', async () => {
    const { gaps, ledger, service } = await started({ group: 10 });
    socket().dropped = 2;
    expect(service.socket?.()).toEqual({ bufferSize: 8 << 20, queued: 0, lag: 0 });
    expect(ledger).toMatchObject({ kernelDrops: 2, lost: 0, lostEstimated: 0 });
    kernel.log(numbered(10));
    await kernel.idle();
    expect(ledger).toMatchObject({ kernelDrops: 2, lost: 10 });
    socket().dropped = 6;
    service.socket?.();
    await service.stop?.();
    expect(gaps.map(({ lost, exact }) => [lost, exact])).toEqual([
      [10, true],
      [20, false],
    ]);
    expect(ledger).toMatchObject({ lost: 10, lostEstimated: 20, kernelDrops: 6 });
    expect(service.socket?.()).toBeUndefined();
  });

  test('what was dropped behind the last packet is estimated at the end, as many to a datagram as before', async () => {
    const { gaps, ledger, service } = await started({ group: 10 });
    kernel.fail(ENOBUFS, 2);
    kernel.log(numbered(10));
    await kernel.idle();
    kernel.fail(ENOBUFS, 4);
    await kernel.idle();
    await service.stop?.();
    expect(gaps.map(({ lost, exact }) => [lost, exact])).toEqual([
      [10, true],
      [20, false],
    ]);
    expect(ledger).toMatchObject({ lost: 10, lostEstimated: 20 });
  });

  test('messages that mean the same everywhere are no packets and no trouble', async () => {
    const { events, log } = await started({ group: 10 });
    kernel.log(new MessageBuilder().message(NLMSG_NOOP, 0, 0).finish());
    kernel.log(good);
    await kernel.idle();
    expect([events.length, log]).toEqual([1, []]);
  });

  test('a message of another kind is malformed, the one behind it is read', async () => {
    const { events, log } = await started({ group: 10 });
    const other = new MessageBuilder().message(0x999, 0, 0).finish();
    kernel.log(Uint8Array.of(...other, ...good));
    await kernel.idle();
    expect(events.map((event) => event['oob.prefix'])).toEqual(['good']);
    expect(log).toEqual([`error: in:NFLOG: malformed message, 1 so far: ${Buffer.from(other).toString('hex')}`]);
  });

  test('a datagram that did not fit is malformed, the next is read', async () => {
    const { events, log } = await started({ group: 10 });
    // An attribute is 65535 bytes at most: four of them are more than a slot.
    const long = packet((message) => [1, 2, 3].reduce((m) => m.bytes(99, new Uint8Array(65_000)), message));
    expect(long.length).toBeGreaterThan(150_064);
    kernel.log(long);
    kernel.log(good);
    await kernel.idle();
    expect(events.map((event) => event['oob.prefix'])).toEqual(['good']);
    expect(log).toHaveLength(1);
    expect(log[0]).toContain('malformed message');
  });

  test('stopping reads what is left, then closes', async () => {
    const { events, service } = await started({ group: 10 });
    for (let i = 0; i < 100; i++) kernel.log(good);
    await service.stop?.();
    expect(events).toHaveLength(100);
    expect(socket().closed).toBe(true);
    await service.stop?.();
  });
});
