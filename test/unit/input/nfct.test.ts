import { constants } from 'node:os';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import nfct from '../../../src/input/nfct.ts';
import type { InputPlugin } from '../../../src/pipeline/plugin.ts';
import { IPCTNL_MSG_CT_GET_CTRZERO } from '../../../src/wire/ctnetlink.ts';
import { FakeKernel, type FakeSocket } from '../../support/fake-netlink.ts';
import { TestInput } from '../../support/input.ts';
import { recordings } from '../wire/vectors.ts';

vi.mock('../../../src/system/native.ts', async (original) => ({
  ...(await original<object>()),
  openNativeSocket: (await import('../../support/fake-netlink.ts')).openFakeSocket,
}));

const NFCT = nfct as unknown as InputPlugin;
const { ENOBUFS, EBUSY } = constants.errno;
const NOW = 1795245011;

interface Side {
  readonly src: string;
  readonly dst: string;
  readonly sport?: number;
  readonly dport?: number;
  readonly packets?: number;
  readonly bytes?: number;
}
interface Expected {
  readonly event: 'NEW' | 'UPDATE' | 'DESTROY';
  readonly family: number;
  readonly protocol: number;
  readonly orig: Side;
  readonly reply: Side;
  readonly mark?: number;
  readonly id: number;
  readonly start?: number;
  readonly stop?: number;
}

const all = recordings<Expected>('conntrack');
/** The recording of an event, whatever number it bears. */
function recorded(name: string, nth = 0): (typeof all)[number] {
  const found = all.filter((one) => one.name.replace(/ \d+$/, '') === name)[nth];
  if (found === undefined) throw new Error(`no recording "${name}"`);
  return found;
}

let kernel: FakeKernel;
let input: TestInput | undefined;

beforeEach(() => {
  kernel = new FakeKernel();
  vi.useFakeTimers({
    now: NOW * 1000 + 250,
    toFake: ['Date', 'performance', 'setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'],
  });
});
afterEach(async () => {
  await input?.service.stop?.();
  input = undefined;
  vi.useRealTimers();
});

const idle = () => kernel.idle(() => vi.advanceTimersByTime(1));

async function started(options: Readonly<Record<string, unknown>> = {}, compat = false): Promise<TestInput> {
  input = await new TestInput(NFCT, options, { compat }).start();
  await idle();
  return input;
}

async function send(...names: readonly string[]): Promise<void> {
  for (const name of names) kernel.event(recorded(name).bytes);
  await idle();
}

async function pass(seconds: number): Promise<void> {
  vi.advanceTimersByTime(seconds * 1000);
  await idle();
}

const events = () => input!.events;
const listener = (): FakeSocket => kernel.sockets.find(({ groups }) => groups.size > 0) as FakeSocket;
const dumper = (): FakeSocket => kernel.sockets.find(({ requests }) => requests.length > 0) as FakeSocket;

describe('listening', () => {
  test.each([
    [1, [1]],
    [2, [2]],
    [4, [3]],
    [5, [1, 3]],
    [7, [1, 2, 3]],
  ])('event_mask=%d joins the groups of those events', async (event_mask, groups) => {
    await started({ event_mask });
    expect([...listener().groups]).toEqual(groups);
  });

  test('options reach the socket', async () => {
    await started({ reliable: true, netlink_socket_buffer_size: 300_000, network_namespace_path: '/run/netns/x' });
    expect(listener()).toMatchObject({ receiveBuffer: 300_000, namespace: '/run/netns/x' });
    expect(Object.fromEntries(listener().options)).toMatchObject({ 4: 1, 5: 1 });
    expect(dumper().namespace, 'the dump is of the same namespace').toBe('/run/netns/x');
  });

  test('without hash_enable nothing is dumped', async () => {
    await started({ hash_enable: false });
    expect(kernel.sockets).toHaveLength(1);
    expect(listener().receiveBuffer).toBe(8 << 20);
  });
});

describe('event by event', () => {
  test.each(all)('$name', async ({ bytes, expected }) => {
    await started({ hash_enable: false, event_mask: 7 });
    kernel.event(bytes);
    await idle();
    const { orig, reply, protocol } = expected;
    const [event] = events();
    const code = { NEW: 1, UPDATE: 2, DESTROY: 4 }[expected.event];
    expect(event).toMatchObject({
      'orig.ip.saddr': orig.src,
      'orig.ip.daddr': orig.dst,
      'orig.ip.protocol': protocol,
      'reply.ip.saddr': reply.src,
      'reply.ip.daddr': reply.dst,
      'reply.ip.protocol': protocol,
      'orig.raw.pktcount': BigInt(orig.packets ?? 0),
      'orig.raw.pktlen': BigInt(orig.bytes ?? 0),
      'reply.raw.pktcount': BigInt(reply.packets ?? 0),
      'reply.raw.pktlen': BigInt(reply.bytes ?? 0),
      'ct.mark': expected.mark ?? 0,
      'ct.id': expected.id,
      'ct.event': code,
      'oob.family': expected.family,
      'oob.protocol': 0,
    });
    const ports = [6, 17, 132].includes(protocol);
    const keys = ['orig.l4.sport', 'orig.l4.dport', 'reply.l4.sport', 'reply.l4.dport'];
    expect(keys.map((key) => event?.[key])).toEqual(
      ports ? [orig.sport, orig.dport, reply.sport, reply.dport] : [undefined, undefined, undefined, undefined],
    );
    expect([event?.['icmp.type'] !== undefined, event?.['icmpv6.type'] !== undefined]).toEqual([
      protocol === 1,
      protocol === 58,
    ]);
    expect(event?.['flow.start.sec']).toBe(expected.start ?? (code === 1 ? (eventSecond(bytes) ?? NOW) : undefined));
    expect(event?.['flow.end.sec']).toBe(code === 4 ? (expected.stop ?? NOW) : undefined);
    expect(
      Buffer.from(bytes)
        .toString('hex')
        .startsWith(event?.ct as string),
      'the message itself',
    ).toBe(true);
  });

  test('only flows that pass the filters are given', async () => {
    await started({ hash_enable: false, accept_proto_filter: ['udp'], accept_src_filter: ['10.1.0.0/16'] });
    await send('tcp: new', 'udp with a mark: new', 'udp to a translated IPv6 destination: new');
    expect(events().map((event) => event['orig.l4.dport'])).toEqual([53]);
  });

  /** Hides an attribute of the kind `type`, the `nth` there is: nobody knows its new kind. */
  function without(bytes: Uint8Array, path: readonly number[]): Uint8Array {
    const changed = bytes.slice();
    const view = new DataView(changed.buffer);
    let [at, end] = [20, changed.length];
    for (const [depth, type] of path.entries()) {
      while (at < end && (view.getUint16(at + 2, true) & 0x3fff) !== type) at += (view.getUint16(at, true) + 3) & ~3;
      if (at >= end) throw new Error(`no attribute ${path.join('/')}`);
      if (depth === path.length - 1) view.setUint16(at + 2, 0x3f, true);
      end = at + view.getUint16(at, true);
      at += 4;
    }
    return changed;
  }

  test.each([
    ['a tuple', [1]],
    ['the other tuple', [2]],
    ['the addresses', [1, 1]],
    ['one address', [2, 1, 2]],
    ['the protocol', [1, 2, 1]],
    ['one port', [1, 2, 3]],
    ['the other port', [2, 2, 2]],
    ['the id', [12]],
    ['the bytes that it counts packets of', [9, 2]],
  ])('a message without %s is malformed: what came before must not stand in for it', async (_, path) => {
    await started({ hash_enable: false });
    await send('tcp: destroy');
    kernel.event(without(recorded('udp with a mark: destroy').bytes, path));
    await send('udp with a mark: destroy');
    expect(events().map((event) => event['orig.l4.dport'])).toEqual([8080, 53]);
    expect(input!.log.at(-1)).toMatch(/^error: in:NFCT: malformed message, 1 so far: /);
  });

  test.each([
    ['ports', 'protocol 253: destroy'],
    ['counters', 'udp with a mark: new'],
  ])('a message that needs no %s has none of those before', async (_, name) => {
    await started({ hash_enable: false });
    await send(name, 'tcp: destroy', name);
    const [first, , third] = events();
    expect(third).toEqual(first);
  });
});

describe('remembering', () => {
  test('a connection is reported once, at its end, with the begin that was seen', async () => {
    await started();
    kernel.event(withoutTimes(recorded('udp with a mark: new').bytes));
    await idle();
    expect(events()).toEqual([]);
    await pass(3);
    // The kernel of a recording keeps times; here is one that does not.
    kernel.event(withoutTimes(recorded('udp with a mark: destroy').bytes));
    await idle();
    expect(events()).toHaveLength(1);
    expect(events()[0]).toMatchObject({
      'ct.event': 4,
      'flow.start.sec': NOW,
      'flow.start.usec': 250_000,
      'flow.end.sec': NOW + 3,
      'orig.raw.pktcount': 1n,
    });
  });

  test("the kernel's own times win", async () => {
    await started();
    const { expected } = recorded('udp with a mark: destroy');
    await send('udp with a mark: new', 'udp with a mark: destroy');
    expect(events()[0]).toMatchObject({ 'flow.start.sec': expected.start, 'flow.end.sec': expected.stop });
  });

  test('a connection that was there before us began, for us, when we did', async () => {
    kernel.table = [withoutTimes(recorded('udp with a mark: update').bytes)];
    await started();
    await pass(5);
    kernel.event(withoutTimes(recorded('udp with a mark: destroy').bytes));
    await idle();
    expect(events()[0]).toMatchObject({ 'flow.start.sec': NOW, 'flow.end.sec': NOW + 5 });
  });

  test.each([
    [false, true],
    [true, false],
  ])("one that we never saw has the kernel's begin, as ulogd 2.0.8 (%s) it has none", async (compat, known) => {
    await started({}, compat);
    await send('udp with a mark: destroy');
    expect(events()).toHaveLength(1);
    expect('flow.start.sec' in events()[0]!).toBe(known);
  });

  test('connections that the filters exclude are not remembered, from events or dumps', async () => {
    kernel.table = [recorded('udp with a mark: update').bytes];
    await started({ accept_proto_filter: ['tcp'] });
    await send('udp with a label: new', 'udp with a label: destroy');
    input!.service.signal?.();
    await idle();
    kernel.table = [];
    kernel.fail(ENOBUFS);
    await idle();
    await pass(60);
    expect(events()).toEqual([]);
  });

  test('a table that is full says at the end how many it could not take, and reports them all the same', async () => {
    await started({ hash_max_entries: 1 });
    await send('udp with a mark: new', 'udp with a label: new', 'udp with a label: destroy');
    expect(events()).toHaveLength(1);
    await input!.service.stop?.();
    expect(input!.log.at(-1)).toBe('notice: in:NFCT: 1 connections found the table full');
  });
});

describe('after an overrun', () => {
  test('the table is dumped when the time is up, once, and what is gone is reported', async () => {
    kernel.table = [recorded('a dump of one entry').bytes];
    await started({ netlink_resync_timeout: 5, netlink_socket_buffer_maxsize: 16 << 20 });
    await send('udp with a mark: new');
    kernel.table = [recorded('udp with a label: update').bytes];
    for (let i = 0; i < 3; i++) kernel.fail(ENOBUFS);
    await idle();
    expect(listener().receiveBuffer, 'doubled').toBe(16 << 20);
    await pass(4.9);
    expect([dumper().requests.length, events().length]).toEqual([1, 0]);
    await pass(0.1);
    expect(dumper().requests).toHaveLength(2);
    const gone = [recorded('a dump of one entry'), recorded('udp with a mark: new')];
    expect(events().map((event) => [event['ct.id'], event['ct.event'], event['flow.end.sec']])).toEqual(
      gone.map(({ expected }) => [expected.id, 4, NOW + 5]),
    );
    expect(events()[1]).toMatchObject({ 'orig.ip.saddr': '10.1.0.2', 'orig.l4.dport': 53, 'ct.mark': 0xdeadbeef });
    // What the dump has shown is remembered from now on.
    await send('udp with a label: destroy');
    expect(events()).toHaveLength(3);
    await pass(60);
    expect(dumper().requests).toHaveLength(2);
    expect(input!.log.slice(1)).toEqual([
      ...Array<string>(3).fill(
        'error: in:NFCT: the kernel dropped events: the socket buffer of 16777216 bytes was full',
      ),
      'notice: in:NFCT: dumping the connections to find what was missed',
    ]);
  });

  test('a connection whose end waits to be read is reported once, by its event', async () => {
    await started({ netlink_resync_timeout: 5 });
    await send('udp with a mark: new');
    kernel.fail(ENOBUFS);
    await idle();
    vi.advanceTimersByTime(5000);
    // The event came before the dump ended, but its socket is the later one to be woken.
    listener().held = true;
    kernel.event(recorded('udp with a mark: destroy').bytes);
    await idle();
    expect(events()).toHaveLength(1);
    expect(events()[0]).toMatchObject({ 'orig.raw.pktcount': 1n, 'ct.event': 4 });
  });

  test('an entry that the dump shows though its end was read is not remembered', async () => {
    await started({ netlink_resync_timeout: 5 });
    await send('udp with a mark: new');
    kernel.table = [recorded('udp with a mark: update').bytes];
    kernel.fail(ENOBUFS);
    await idle();
    vi.advanceTimersByTime(5000);
    // The event is read while the dump runs.
    const dump = dumper();
    dump.held = true;
    await send('udp with a mark: destroy');
    expect(events()).toHaveLength(1);
    dump.held = false;
    dump.wake();
    await idle();
    kernel.table = [];
    kernel.fail(ENOBUFS);
    await idle();
    await pass(5);
    expect(events()).toHaveLength(1);
  });

  test('a dump that the kernel refuses is told of, and nothing counts as gone', async () => {
    await started({ netlink_resync_timeout: 5 });
    await send('udp with a mark: new');
    kernel.refusal = () => EBUSY;
    kernel.fail(ENOBUFS);
    await idle();
    await pass(5);
    expect(events()).toEqual([]);
    expect(input!.log.at(-1)).toBe('error: in:NFCT: the kernel broke off a dump of the connections');
    kernel.refusal = () => 0;
    kernel.fail(ENOBUFS);
    await idle();
    await pass(5);
    expect(events()).toHaveLength(1);
  });

  test('without hash_enable nothing is dumped', async () => {
    await started({ hash_enable: false });
    kernel.fail(ENOBUFS);
    await idle();
    await pass(60);
    expect(kernel.sockets).toHaveLength(1);
  });
});

describe('polling', () => {
  test('asks every so often, and reports what is gone', async () => {
    kernel.table = [recorded('a dump of one entry').bytes];
    await started({ pollinterval: 10 });
    expect(kernel.sockets.every(({ groups }) => groups.size === 0)).toBe(true);
    await pass(10);
    expect(events()).toEqual([]);
    kernel.table = [];
    await pass(9);
    expect(events()).toEqual([]);
    await pass(1);
    expect(events()).toHaveLength(1);
    expect(events()[0]).toMatchObject({ 'ct.event': 4, 'flow.end.sec': NOW + 20 });
    await pass(10);
    expect(events()).toHaveLength(1);
    expect(dumper().requests).toHaveLength(4);
  });

  test('as ulogd 2.0.8 gives no end', async () => {
    kernel.table = [recorded('a dump of one entry').bytes];
    await started({ pollinterval: 10 }, true);
    kernel.table = [];
    await pass(10);
    expect(events()[0]).not.toHaveProperty(['flow.end.sec']);
  });

  test('ends with the input', async () => {
    await started({ pollinterval: 10 });
    await input!.service.stop?.();
    await pass(30);
    expect(dumper().requests).toHaveLength(1);
  });
});

describe('SIGUSR2', () => {
  test('shows every connection as changed, with the begin that was seen, and has counters set to zero', async () => {
    await started();
    kernel.event(withoutTimes(recorded('udp with a mark: new').bytes));
    await idle();
    await pass(2);
    kernel.table = [withoutTimes(recorded('udp with a mark: update').bytes), recorded('icmp: update').bytes];
    input!.service.signal?.();
    await idle();
    expect(dumper().requests.at(-1)?.type).toBe(IPCTNL_MSG_CT_GET_CTRZERO);
    expect(events().map((event) => [event['ct.event'], event['flow.start.sec'], event['flow.end.sec']])).toEqual([
      [2, NOW, undefined],
      [2, undefined, undefined],
    ]);
  });

  test('while a dump runs, or without hash_enable, does nothing', async () => {
    await started();
    input!.service.signal?.();
    input!.service.signal?.();
    await idle();
    expect(dumper().requests).toHaveLength(2);
    await input!.service.stop?.();
    kernel = new FakeKernel();
    await started({ hash_enable: false });
    input!.service.signal?.();
    expect(kernel.sockets).toHaveLength(1);
  });
});

/** When the kernel says that the event happened (CTA_TIMESTAMP_EVENT, since Linux 6.14). */
function eventSecond(bytes: Uint8Array): number | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 20; at < bytes.length; at += (view.getUint16(at, true) + 3) & ~3) {
    if (view.getUint16(at + 2, true) === 27) return Number(view.getBigUint64(at + 4) / 1_000_000_000n);
  }
  return undefined;
}

/** Hides the kernel's times, CTA_TIMESTAMP and CTA_TIMESTAMP_EVENT: nobody knows their new types. */
function withoutTimes(bytes: Uint8Array): Uint8Array {
  const changed = bytes.slice();
  for (let at = 20; at < changed.length; at += ((changed[at]! | (changed[at + 1]! << 8)) + 3) & ~3) {
    if ([20, 27].includes(changed[at + 2]! & 0x3f)) changed[at + 2] = 0x3f;
  }
  return changed;
}
