import { constants } from 'node:os';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import nfct from '../../../src/input/nfct.ts';
import type { InputPlugin } from '../../../src/pipeline/plugin.ts';
import { IPCTNL_MSG_CT_GET_CTRZERO, IPCTNL_MSG_CT_GET_STATS } from '../../../src/wire/ctnetlink.ts';
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
/** The socket that asks for dumps; there is another that only asks how full the table is. */
const dumper = (): FakeSocket =>
  kernel.sockets.find(({ requests }) => requests.some(({ type }) => type !== IPCTNL_MSG_CT_GET_STATS)) as FakeSocket;

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

  test('with dump_at_start=0 nothing is dumped at the start, but after a loss', async () => {
    kernel.table = [recorded('a dump of one entry').bytes];
    await started({ dump_at_start: false });
    const dumps = () => kernel.sockets.flatMap(({ requests }) => requests).length;
    expect(dumps()).toBe(0);
    kernel.fail(ENOBUFS);
    await idle();
    await pass(60);
    expect(dumps()).toBe(1);
    expect(events().map((event) => event['flow.reconstructed'])).toEqual([1]);
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

  test.each([
    [false, undefined],
    [true, NOW],
  ])(
    'of a connection that was there before us nobody knows when it began; for ulogd 2.0.8 (%s) it is when we did',
    async (compat, start) => {
      kernel.table = [withoutTimes(recorded('udp with a mark: update').bytes)];
      await started({}, compat);
      await pass(5);
      kernel.event(withoutTimes(recorded('udp with a mark: destroy').bytes));
      await idle();
      expect(events()[0]).toMatchObject({ 'flow.end.sec': NOW + 5 });
      expect(events()[0]?.['flow.start.sec']).toBe(start);
    },
  );

  test.each([
    ['new', NOW + 3],
    ['update', undefined],
  ])('one that a dump showed and the event %s tells of later began at %s', async (event, start) => {
    kernel.table = [withoutTimes(recorded('udp with a mark: update').bytes)];
    await started({ event_mask: 7 });
    await pass(3);
    kernel.event(withoutTimes(recorded(`udp with a mark: ${event}`).bytes));
    await idle();
    await pass(2);
    kernel.event(withoutTimes(recorded('udp with a mark: destroy').bytes));
    await idle();
    expect(events()[0]?.['flow.start.sec']).toBe(start);
  });

  test.each([
    [32768, NOW + 10],
    [1, undefined],
  ])(
    'what a poll shows that the one before did not began between them, unless the table (of %d) was full',
    async (hash_max_entries, start) => {
      const [older, other] = ['udp with a mark: update', 'udp with a label: new'].map((name) =>
        withoutTimes(recorded(name).bytes),
      );
      kernel.table = hash_max_entries === 1 ? [older!, other!] : [older!];
      await started({ pollinterval: 10, hash_max_entries });
      kernel.table = hash_max_entries === 1 ? [other!] : [older!, other!];
      await pass(10);
      await pass(10);
      kernel.table = [];
      await pass(10);
      const ended = events().filter((one) => one['ct.event'] === 4);
      expect(ended).toHaveLength(2);
      expect(ended.map((one) => one['flow.start.sec'])).toEqual([undefined, start]);
    },
  );

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
    expect(input!.service.counters?.()).toMatchObject({ 'connections found the table full': 1 });
    expect(input!.log.at(-1)).toContain('the table is full at 1 connections (hash_max_entries): 1 more were not');
  });

  test('a table that stays full is said to be so once a minute, with what came since', async () => {
    await started({ hash_max_entries: 1 });
    const said = () => input!.log.filter((line) => line.includes('the table is full')).length;
    await send('udp with a mark: new', 'udp with a label: new');
    await send('udp with a label: new');
    await send('udp with a label: new');
    expect(said()).toBe(1);
    vi.advanceTimersByTime(61_000);
    await send('udp with a label: new');
    expect(said()).toBe(2);
    expect(input!.log.at(-1)).toContain(': 3 more were not');
    expect(input!.service.counters?.()).toMatchObject({ 'connections found the table full': 4 });
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
    expect(events().map((event) => [event['ct.id'], event['ct.event'], event['flow.end.sec']])).toEqual([
      ...gone.map(({ expected }) => [expected.id, 4, NOW + 5]),
      [recorded('udp with a label: update').expected.id, 1, undefined],
    ]);
    for (const event of events().slice(0, 2)) {
      expect(event).toMatchObject({ 'flow.unobserved': 1, 'flow.end.window.sec': NOW });
      expect(event).not.toHaveProperty(['flow.reconstructed']);
    }
    expect(events()[2]).toMatchObject({ 'flow.reconstructed': 1, 'orig.l4.dport': expect.any(Number) });
    expect(events()[2]).not.toHaveProperty(['flow.unobserved']);
    expect(events()[1]).toMatchObject({ 'orig.ip.saddr': '10.1.0.2', 'orig.l4.dport': 53, 'ct.mark': 0xdeadbeef });
    // What the dump has shown is remembered from now on.
    await send('udp with a label: destroy');
    expect(events()).toHaveLength(4);
    expect(events()[3]).not.toHaveProperty(['flow.unobserved']);
    await pass(30);
    await pass(30);
    expect(dumper().requests).toHaveLength(2);
    expect(input!.log.slice(1)).toEqual([
      'error: in:NFCT: the kernel dropped events: the socket buffer of 16777216 bytes was full',
      'notice: in:NFCT: the socket buffer was grown from 8388608 to 16777216 bytes',
      'notice: in:NFCT: more comes than can be read: reads it in larger portions',
      'error: in:NFCT: the kernel dropped events 2 more times, 3 so far, 0 datagrams in all: the socket buffer of 16777216 bytes was full',
      'notice: in:NFCT: dumping the connections to find what was missed',
      'notice: in:NFCT: reads the usual portions again',
      'notice: in:NFCT: the socket buffer is 8388608 bytes again',
    ]);
  });

  test('a dump that is due while another runs is asked for when that is over', async () => {
    await started({ netlink_resync_timeout: 5 });
    await send('udp with a mark: new');
    dumper().held = true;
    input!.service.signal?.();
    kernel.fail(ENOBUFS);
    await idle();
    await pass(5);
    expect(dumper().requests, 'the one that runs, and the one at the start').toHaveLength(2);
    dumper().held = false;
    dumper().wake();
    await idle();
    await pass(1);
    expect(dumper().requests).toHaveLength(3);
    expect(events().map((event) => event['flow.unobserved'])).toEqual([1]);
  });

  test('a connection of which the dump shows another life has ended unobserved, and begun', async () => {
    await started({ netlink_resync_timeout: 5 });
    await send('udp with a mark: new');
    const other = recorded('udp with a mark: update').bytes.slice();
    const [id] = withId(other, 4711);
    kernel.table = [other];
    kernel.fail(ENOBUFS);
    await idle();
    await pass(5);
    expect(events().map((event) => [event['ct.id'], event['ct.event']])).toEqual([
      [id, 4],
      [4711, 1],
    ]);
    expect(events()[0]).toMatchObject({ 'flow.unobserved': 1 });
    expect(events()[1]).toMatchObject({ 'flow.reconstructed': 1 });
  });

  test('a connection whose begin waits to be read was not lost', async () => {
    await started({ netlink_resync_timeout: 5 });
    kernel.table = [recorded('udp with a mark: update').bytes];
    kernel.fail(ENOBUFS);
    await idle();
    vi.advanceTimersByTime(5000);
    listener().held = true;
    kernel.event(recorded('udp with a mark: new').bytes);
    await idle();
    listener().held = false;
    expect(events()).toEqual([]);
  });

  test('as ulogd 2.0.8, ends bear no mark and lost begins stay lost', async () => {
    await started({ netlink_resync_timeout: 5 }, true);
    await send('udp with a mark: new');
    kernel.table = [recorded('udp with a label: update').bytes];
    kernel.fail(ENOBUFS, 3);
    await idle();
    await pass(5);
    expect(events()).toHaveLength(1);
    expect(Object.keys(events()[0]!).filter((key) => /unobserved|window|reconstructed/.test(key))).toEqual([]);
    expect(input!.gaps).toEqual([]);
  });

  test('what the kernel counts as dropped is reported as a gap, by estimate, once reading goes on', async () => {
    await started({ hash_enable: false });
    await pass(2);
    await send('udp with a mark: new');
    await pass(3);
    kernel.fail(ENOBUFS, 40);
    kernel.event(recorded('udp with a mark: destroy').bytes);
    await idle();
    expect(input!.gaps).toEqual([
      {
        input: 'in',
        from: (NOW + 2) * 1000 + 250,
        to: (NOW + 5) * 1000 + 250,
        lost: 40,
        exact: false,
        cause: 'socket overrun',
      },
    ]);
    expect(input!.ledger).toMatchObject({ received: 2, datagrams: 2, lostEstimated: 40, kernelDrops: 40, overruns: 1 });
  });

  test('gaps are reported once a second at most, and none is forgotten', async () => {
    await started({ hash_enable: false });
    for (let i = 0; i < 5; i++) {
      kernel.fail(ENOBUFS, 10);
      await send('udp with a mark: destroy');
    }
    expect(input!.gaps.map(({ lost }) => lost)).toEqual([10]);
    await pass(1);
    expect(input!.gaps.map(({ lost }) => lost)).toEqual([10, 40]);
    kernel.fail(ENOBUFS, 5);
    await send('udp with a mark: destroy');
    await input!.service.stop?.();
    expect(input!.gaps.map(({ lost }) => lost)).toEqual([10, 40, 5]);
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
    await pass(1); // and asked for again
    expect(events()).toHaveLength(1);
    expect(events()[0], 'the window begins with the loss').toMatchObject({
      'flow.unobserved': 1,
      'flow.end.window.sec': NOW,
    });
  });

  test('without hash_enable nothing is dumped', async () => {
    await started({ hash_enable: false });
    kernel.fail(ENOBUFS);
    await idle();
    await pass(60);
    expect(kernel.sockets).toHaveLength(1);
  });
});

describe('reliable mode', () => {
  const [BROADCAST_ERROR, NO_ENOBUFS] = [4, 5];
  const mode = () => [listener().options.get(BROADCAST_ERROR), listener().options.get(NO_ENOBUFS)];

  test('is left when the table is four fifths full, and taken up again below three fifths', async () => {
    await started({ reliable: true, hash_enable: false, network_namespace_path: '/run/netns/x' });
    expect(kernel.sockets.every(({ namespace }) => namespace === '/run/netns/x')).toBe(true);
    const full = async (entries: number) => {
      kernel.totals = [entries, 1000];
      await pass(0.2);
      return mode();
    };
    expect(await full(799)).toEqual([1, 1]);
    expect(input!.log.slice(1)).toEqual([]);
    expect(await full(800)).toEqual([0, 0]);
    expect(await full(1000), 'said once').toEqual([0, 0]);
    expect(await full(601)).toEqual([0, 0]);
    expect(await full(600)).toEqual([1, 1]);
    expect(input!.log.slice(1)).toEqual([
      'error: in:NFCT: 800 of 1000 connections: reliable mode is left before new ones are refused; events may be lost now, and are counted',
      'notice: in:NFCT: 600 of 1000 connections: reliable mode is taken up again',
    ]);
    expect(input!.service.counters?.()).toMatchObject({ 'times reliable mode was left': 1 });
  });

  test('what the kernel delivers later is counted as dropped and not as lost, until the mode is left', async () => {
    await started({ reliable: true, hash_enable: false });
    listener().dropped = 3;
    await send('udp with a mark: destroy');
    listener().dropped = 5;
    kernel.totals = [900, 1000];
    await pass(0.2);
    expect(input!.ledger).toMatchObject({ kernelDrops: 5, lostEstimated: 0 });
    listener().dropped = 9;
    await pass(1);
    await send('udp with a mark: destroy');
    expect(input!.ledger).toMatchObject({ kernelDrops: 9, lostEstimated: 4 });
    expect(input!.gaps.map(({ lost }) => lost)).toEqual([4]);
  });

  test('stays where the kernel knows no limit, and its measuring ends with the input', async () => {
    await started({ reliable: true, hash_enable: false });
    kernel.totals = [5000, 0];
    await pass(0.2);
    expect(mode()).toEqual([1, 1]);
    await input!.service.stop?.();
    const asked = kernel.sockets.flatMap(({ requests }) => requests).length;
    await pass(5);
    expect(kernel.sockets.flatMap(({ requests }) => requests)).toHaveLength(asked);
    expect(kernel.sockets.every(({ closed }) => closed)).toBe(true);
  });
});

describe('under overload', () => {
  test('at the end everything is read that a large buffer holds', async () => {
    await started({ hash_enable: false, netlink_socket_buffer_size: 128 << 20 });
    const { bytes } = recorded('udp with a mark: destroy');
    listener().held = true;
    for (let i = 0; i < 70_000; i++) listener().bring(bytes);
    listener().dropped = 9; // nor is it too late to learn that it was not enough
    await input!.service.stop?.();
    expect(input!.ledger).toMatchObject({ received: 70_000, lostEstimated: 9 });
    expect(input!.gaps.map(({ lost }) => lost)).toEqual([9]);
  });

  test('asking in between changes no sum: each drop is counted, and reported, once', async () => {
    await started({ hash_enable: false });
    const { bytes } = recorded('udp with a mark: destroy');
    listener().dropped = 3;
    expect(input!.service.socket?.()).toMatchObject({ queued: 0, lag: 0 });
    expect(input!.ledger).toMatchObject({ kernelDrops: 3, lostEstimated: 3 });
    listener().dropped = 5;
    listener().bring(bytes);
    await idle();
    input!.service.socket?.();
    listener().dropped = 6;
    await input!.service.stop?.();
    expect(input!.ledger).toMatchObject({ kernelDrops: 6, lostEstimated: 6 });
    expect(input!.gaps.reduce((sum, { lost }) => sum + lost, 0)).toBe(6);
  });

  test('what was dropped is in the ledger within a second of reading, though nobody asks and no overrun is told', async () => {
    await started({ hash_enable: false });
    await send('udp with a mark: destroy');
    await send('udp with a mark: destroy');
    listener().dropped = 4;
    await pass(1);
    await send('udp with a mark: destroy');
    expect(input!.ledger).toMatchObject({ overruns: 0, kernelDrops: 4, lostEstimated: 4 });
  });

  test('first the buffer grows, then larger portions are read, then changes are left out; when it is quiet all is undone, the last step first', async () => {
    const sizes = { netlink_socket_buffer_size: 1000, netlink_socket_buffer_maxsize: 3000 };
    await started({ hash_enable: false, event_mask: 7, ...sizes });
    const overrun = async () => {
      kernel.fail(ENOBUFS, 1);
      await idle();
      return [listener().receiveBuffer, [...listener().groups]];
    };
    expect(await overrun()).toEqual([2000, [1, 2, 3]]);
    expect(await overrun()).toEqual([3000, [1, 2, 3]]);
    expect(await overrun(), 'it may have been a burst').toEqual([3000, [1, 2, 3]]);
    await pass(1);
    expect(await overrun()).toEqual([3000, [1, 3]]);
    expect(await overrun(), 'there is no further step').toEqual([3000, [1, 3]]);
    expect(input!.service.counters?.()).toMatchObject({
      'times the socket buffer grew': 2,
      'times events came in larger portions': 1,
      'times without UPDATE events': 1,
    });
    await pass(29);
    await overrun();
    await pass(29);
    expect([...listener().groups], 'it is not quiet yet').toEqual([1, 3]);
    await pass(1);
    expect([...listener().groups].sort()).toEqual([1, 2, 3]);
    await pass(30);
    expect(listener().receiveBuffer).toBe(3000);
    await pass(30);
    expect(listener().receiveBuffer).toBe(1000);
    expect(input!.log.filter((line) => line.startsWith('notice'))).toEqual([
      'notice: in:NFCT: the socket buffer was grown from 1000 to 2000 bytes',
      'notice: in:NFCT: the socket buffer was grown from 2000 to 3000 bytes',
      'notice: in:NFCT: more comes than can be read: reads it in larger portions',
      'notice: in:NFCT: goes on without UPDATE events until the load falls',
      'notice: in:NFCT: takes UPDATE events again',
      'notice: in:NFCT: reads the usual portions again',
      'notice: in:NFCT: the socket buffer is 1000 bytes again',
    ]);
    expect(input!.ledger.overruns).toBe(6);
    const last = input!.gaps.at(-1)!;
    expect(last).toMatchObject({ lost: 0, exact: false, cause: 'UPDATE events left out' });
    expect(last.to - last.from).toBeGreaterThanOrEqual(59_000);
  });

  test('without a word on buffers it grows eightfold, and all such buffers together by 256 MiB at most', async () => {
    const overruns = async () => {
      for (let i = 0; i < 5; i++) {
        kernel.fail(ENOBUFS, 1);
        await idle();
      }
      return listener().receiveBuffer >> 20;
    };
    const services: TestInput['service'][] = [];
    const sizes: number[] = [];
    for (let i = 0; i < 6; i++) {
      kernel = new FakeKernel();
      await started({ hash_enable: false });
      services.push(input!.service);
      sizes.push(await overruns());
    }
    expect(sizes, '8 MiB each, and 4 times 56, 32 and no more').toEqual([64, 64, 64, 64, 40, 8]);
    for (const service of services) await service.stop?.();
    kernel = new FakeKernel();
    await started({ hash_enable: false });
    expect(await overruns(), 'those that were closed have given theirs back').toBe(64);
    await input!.service.stop?.();
    kernel = new FakeKernel();
    await started({ hash_enable: false, netlink_socket_buffer_size: 8 << 20 });
    expect(await overruns(), 'whoever names a size alone gets that').toBe(8);
  });

  test('a buffer that had grown before a reload is given back after it', async () => {
    await started({ hash_enable: false });
    kernel.fail(ENOBUFS, 1);
    await idle();
    const left = input!.service.handOver!();
    input = await new TestInput(NFCT, { hash_enable: false }).start(left);
    await pass(30);
    expect(listener().receiveBuffer).toBe(8 << 20);
  });

  test.each([
    ['who asked for changes alone', 2, false],
    ['ulogd 2.0.8', 7, true],
  ])('%s keeps them', async (_, event_mask, compat) => {
    await started({ hash_enable: false, event_mask }, compat);
    const groups = [...listener().groups];
    for (let i = 0; i < 3; i++) {
      kernel.fail(ENOBUFS, 1);
      await idle();
      await pass(1);
    }
    expect([...listener().groups]).toEqual(groups);
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

/** Gives the connection another id (CTA_ID); returns the one that it had. */
function withId(bytes: Uint8Array, id: number): [number] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 20; at < bytes.length; at += (view.getUint16(at, true) + 3) & ~3) {
    if ((view.getUint16(at + 2, true) & 0x3fff) !== 12) continue;
    const before = view.getUint32(at + 4);
    view.setUint32(at + 4, id);
    return [before];
  }
  throw new Error('the connection has no id');
}
