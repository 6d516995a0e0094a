import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { isWhole } from '../../../src/input/conntrack/whole-entry.ts';
import { ConntrackEntry, decodeConntrack } from '../../../src/wire/conntrack.ts';
import { align, messageEnd, messageType, NLMSG_MIN_TYPE } from '../../../src/wire/netlink.ts';
import { decodePacket, NFULNL_PACKET, NflogPacket } from '../../../src/wire/nflog.ts';
import { FakeKernel } from '../../support/fake-netlink.ts';
import { TestDaemon } from '../../support/test-daemon.ts';
import { recordings } from '../wire/vectors.ts';

vi.mock('../../../src/system/native.ts', async (original) => ({
  ...(await original<object>()),
  openNativeSocket: (await import('../../support/fake-netlink.ts')).openFakeSocket,
}));

/** Another seed, or more runs: FUZZ_SEED=7 FUZZ_RUNS=100000 npx vitest run --project unit test/unit/input/fuzz.test.ts */
const seed = Number(process.env.FUZZ_SEED ?? 20261121);
const numRuns = Number(process.env.FUZZ_RUNS ?? 1500);
const ALL = 0xffffffff;

interface Target {
  readonly configuration: string;
  readonly outputs: readonly string[];
  readonly samples: readonly Uint8Array[];
  readonly send: (kernel: FakeKernel, datagram: Uint8Array) => number;
  /** Whether the message between `start` and `end` is one that the input must understand. */
  readonly isGood: (view: DataView, start: number, end: number) => boolean;
}

const samplesOf = (name: string) => recordings(name).map(({ bytes }) => bytes);
const good = new NflogPacket();
const entry = new ConntrackEntry();

const targets: readonly (readonly [string, Target])[] = [
  [
    'NFLOG',
    {
      configuration: `[global]
stack=log1:NFLOG,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,print1:PRINTPKT,emu1:LOGEMU
stack=log1:NFLOG,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,mac1:HWHDR,json1:JSON
[log1]
group=10
seq_local=1
[emu1]
file="/out/emu"
[json1]
file="/out/json"
`,
      outputs: ['emu', 'json'],
      samples: samplesOf('nflog'),
      send: (kernel, datagram) => kernel.log(datagram),
      isGood: (view, start, end) =>
        messageType(view, start) === NFULNL_PACKET && decodePacket(view, start, end, good, ALL),
    },
  ],
  [
    'NFCT',
    {
      configuration: `[global]
stack=ct1:NFCT,ip2str1:IP2STR,print1:PRINTFLOW,emu1:LOGEMU
stack=ct1:NFCT,ip2str1:IP2STR,json1:JSON
[ct1]
hash_enable=0
event_mask=7
[emu1]
file="/out/emu"
[json1]
file="/out/json"
`,
      outputs: ['emu', 'json'],
      samples: samplesOf('conntrack'),
      send: (kernel, datagram) => kernel.event(datagram),
      isGood: (view, start, end) => decodeConntrack(view, start, end, entry, ALL) && isWhole(entry),
    },
  ],
];

/** Bits flipped, and lengths and types that were never true. */
const damage = fc.array(
  fc.oneof(
    fc.record({ at: fc.nat(), flip: fc.integer({ min: 1, max: 255 }) }),
    fc.record({
      at: fc.nat(),
      value: fc.oneof(fc.constantFrom(0, 1, 3, 4, 5, 8, 0x7fff, 0x8001, 0xffff), fc.integer({ min: 0, max: 300 })),
    }),
  ),
  { maxLength: 6 },
);

/** A recording, damaged, cut off anywhere, with anything behind it. */
function damaged(samples: readonly Uint8Array[]): fc.Arbitrary<Uint8Array> {
  const tail = fc.oneof({ weight: 3, arbitrary: fc.constant(new Uint8Array(0)) }, fc.uint8Array({ maxLength: 40 }));
  const cut = fc.oneof({ weight: 3, arbitrary: fc.constant(Number.POSITIVE_INFINITY) }, fc.nat({ max: 300 }));
  return fc.tuple(fc.constantFrom(...samples), damage, cut, tail).map(([sample, changes, size, behind]) => {
    const bytes = Uint8Array.of(...sample.subarray(0, size), ...behind);
    const view = new DataView(bytes.buffer);
    for (const change of bytes.length < 2 ? [] : changes) {
      if ('flip' in change) bytes[change.at % bytes.length]! ^= change.flip;
      else view.setUint16((change.at % (bytes.length >> 1)) << 1, change.value, true);
    }
    return bytes;
  });
}

/** The header of a recording, then attributes within attributes, their lengths true or not. */
function nested(samples: readonly Uint8Array[]): fc.Arbitrary<Uint8Array> {
  const { tree } = fc.letrec<{ tree: readonly number[] }>((tie) => ({
    tree: fc
      .record({
        type: fc.oneof(fc.nat({ max: 30 }), fc.constantFrom(0x8001, 0xffff)),
        lie: fc.oneof({ weight: 6, arbitrary: fc.constant(0) }, fc.integer({ min: -8, max: 8 })),
        body: fc.oneof(
          { depthSize: 'medium' },
          fc.uint8Array({ maxLength: 20 }).map((bytes) => [...bytes]),
          fc.array(tie('tree'), { maxLength: 4 }).map((parts) => parts.flat()),
        ),
      })
      .map(({ type, lie, body }) => {
        const length = (4 + body.length + lie) & 0xffff;
        const padding = Array<number>(-body.length & 3).fill(0);
        return [length & 255, length >> 8, type & 255, type >> 8, ...body, ...padding];
      }),
  }));
  return fc.tuple(fc.constantFrom(...samples), fc.array(tree, { maxLength: 8 })).map(([sample, parts]) => {
    const bytes = Uint8Array.of(...sample.subarray(0, 20), ...parts.flat());
    new DataView(bytes.buffer).setUint32(0, bytes.length, true);
    return bytes;
  });
}

describe.each(targets)(`%s with whole stacks, seed ${seed}`, (name, target) => {
  const { samples, outputs, send, isGood } = target;
  const anything = fc.oneof(
    { weight: 6, arbitrary: damaged(samples) },
    { weight: 4, arbitrary: nested(samples) },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 300 }) },
    // Two datagrams in one, aligned or not.
    { weight: 2, arbitrary: fc.tuple(damaged(samples), damaged(samples)).map(([a, b]) => Uint8Array.of(...a, ...b)) },
  );
  let kernel: FakeKernel;
  let daemon: TestDaemon;

  beforeAll(async () => {
    vi.stubEnv('TZ', 'UTC');
    vi.useFakeTimers({ now: new Date('2026-11-21T07:10:11Z'), toFake: ['Date', 'performance'] });
    kernel = new FakeKernel();
    kernel.links.set(2, 'b0').set(5, 'br0');
    daemon = await TestDaemon.start(target.configuration);
    await kernel.idle();
  });
  afterAll(async () => {
    await daemon.stop();
    daemon.remove();
    vi.useRealTimers();
    vi.unstubAllEnvs();
  });
  beforeEach(() => {
    take();
    daemon.log.length = 0;
  });

  /** What was written since the last time, one text for each output. */
  const take = (): string[] => outputs.map((output) => daemon.take(output).toString('latin1'));

  const received = () => daemon.sources[0]!.counts.received;
  const failed = () => daemon.sources[0]!.program.failed.reduce((sum, count) => sum + count, 0);

  /** Sends a datagram and returns what became of it; a second passes first, so that a malformed message is told of. */
  function handle(datagram: Uint8Array): { lines: string[]; events: number; malformed: number } {
    vi.advanceTimersByTime(1000);
    vi.setSystemTime(new Date('2026-11-21T07:10:11Z'));
    const before = received();
    send(kernel, datagram);
    kernel.drain();
    expect(
      kernel.sockets.some(({ pending }) => pending),
      'it ends',
    ).toBe(false);
    return { lines: take(), events: received() - before, malformed: countMalformed() };
  }

  let known = 0;
  /** Messages that were counted as malformed since the last time; told of in one line at most, as no time passed. */
  function countMalformed(): number {
    const [line, ...more] = daemon.log.splice(0);
    expect(more, 'once a second').toEqual([]);
    if (line === undefined) return 0;
    // The line is written with the first of them: what was counted behind it shows in the next.
    const [, count] = /malformed message, (\d+) so far/.exec(line) ?? [];
    const fresh = Number(count) - known;
    known = Number(count);
    return fresh;
  }

  /** What must become of a datagram: messages that are good, and whether any is not. */
  function expectedOf(datagram: Uint8Array): { events: number; isMalformed: boolean } {
    const view = new DataView(datagram.slice().buffer);
    let events = 0;
    let isMalformed = false;
    for (let at = 0; at < datagram.length; ) {
      const end = messageEnd(view, at, datagram.length);
      if (end < 0) return { events, isMalformed: true };
      if (messageType(view, at) >= NLMSG_MIN_TYPE) {
        if (isGood(view, at, end)) events++;
        else isMalformed = true;
      }
      at += align(end - at);
    }
    return { events, isMalformed };
  }

  /** Sends a datagram and checks everything that must hold of it. */
  function check(datagram: Uint8Array): void {
    const expected = expectedOf(datagram);
    const { events, malformed, lines } = handle(datagram);
    expect(events).toBe(expected.events);
    expect(malformed > 0).toBe(expected.isMalformed);
    for (const text of lines) expect(text === '' || text.endsWith('\n')).toBe(true);
    const [emu = '', json = ''] = lines.map((text) => text.split('\n').slice(0, -1));
    expect([emu.length, json.length], 'one line each').toEqual([events, events]);
    for (const line of json) JSON.parse(line);
    for (const line of emu) expect(line).toMatch(/^Nov 21 |^[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d [^\0-\x1f]*$/);
    expect(failed(), 'no plugin threw').toBe(0);
  }

  test('every recording is understood', () => {
    for (const sample of samples) {
      const { events, malformed } = handle(sample);
      expect([events > 0, malformed]).toEqual([true, 0]);
    }
  });

  test('recordings cut off at every byte', () => {
    for (const sample of samples.slice(0, 12)) {
      for (let size = 0; size < sample.length; size++) check(sample.slice(0, size));
    }
  });

  test('anything: each message becomes one line or is counted, and nothing else happens', () => {
    fc.assert(fc.property(anything, check), { numRuns, seed });
  });

  test('a good message behind anything is written as if it had come alone', () => {
    const alone = new Map(samples.map((sample) => [sample, handle(sample).lines]));
    fc.assert(
      fc.property(anything, fc.constantFrom(...samples), (datagram, sample) => {
        handle(datagram);
        expect(handle(sample).lines).toEqual(alone.get(sample));
      }),
      { numRuns, seed },
    );
  });

  test('what is understood of a damaged message does not depend on the one before', () => {
    const pair = fc.tuple(fc.constantFrom(...samples), fc.constantFrom(...samples));
    fc.assert(
      fc.property(anything, pair, (datagram, [one, other]) => {
        handle(one);
        const { lines } = handle(datagram);
        handle(other);
        expect(handle(datagram).lines).toEqual(lines);
      }),
      { numRuns, seed },
    );
  });

  test('a flood of rubbish is told of once a second, with its number', () => {
    vi.advanceTimersByTime(1000);
    for (let i = 0; i < 500; i++) {
      send(kernel, Uint8Array.of(1, 2, 3, 4, 5));
      kernel.drain();
      vi.advanceTimersByTime(10);
    }
    expect(daemon.log).toHaveLength(5);
    const counts = daemon.log.map((line) => Number(/message, (\d+) so far: 0102030405$/.exec(line)?.[1]));
    expect(counts.map((count) => count - counts[0]!)).toEqual([0, 100, 200, 300, 400]);
    expect(daemon.log[0]).toMatch(new RegExp(`^error: .*:${name}: malformed`));
    daemon.log.length = 0;
    known = counts.at(-1)! + 99;
  });
});

describe(`NFCT with a memory, seed ${seed}`, () => {
  test('whatever comes, a good connection is reported once at its end', async () => {
    vi.useFakeTimers({ now: new Date('2026-11-21T07:10:11Z'), toFake: ['Date', 'performance'] });
    const kernel = new FakeKernel();
    const daemon = await TestDaemon.start(
      '[global]\nstack=ct1:NFCT,ip2str1:IP2STR,json1:JSON\n[ct1]\nhash_max_entries=50\n[json1]\nfile="/out/json"\n',
    );
    try {
      await kernel.idle();
      const samples = samplesOf('conntrack');
      const [begin, end] = ['tcp: new', 'tcp: destroy'].map(
        (start) => recordings('conntrack').find((one) => one.name.startsWith(start))!.bytes,
      ) as [Uint8Array, Uint8Array];
      fc.assert(
        fc.property(fc.array(fc.oneof(damaged(samples), nested(samples)), { maxLength: 8 }), (datagrams) => {
          for (const datagram of [begin, ...datagrams, end]) {
            kernel.event(datagram);
            kernel.drain();
          }
          const lines = daemon.take('json').toString('utf8').trimEnd().split('\n');
          const fresh = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
          expect(fresh.at(-1)).toMatchObject({ 'orig.l4.sport': 44000, 'ct.event': 4 });
          expect(daemon.sources[0]!.program.failed[1]).toBe(0);
        }),
        { numRuns: numRuns >> 2, seed },
      );
    } finally {
      await daemon.stop();
      daemon.remove();
      vi.useRealTimers();
    }
  });
});
