import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { JudgedPackets } from '../../../src/input/judged-packets.ts';
import { Silence } from '../../../src/input/silence.ts';
import { Memory } from '../../../src/pipeline/memory.ts';
import { Trace } from '../../../src/wire/nftrace.ts';

let packets: JudgedPackets;
let drops: number;
let legacy: boolean;
let asked: number;
/** Told by the kernel, and read when somebody looks. */
let unread: (() => void)[];
let dropped: number[];
let silence: Silence;

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000 });
  packets = new JudgedPackets(new Memory(1 << 20));
  drops = asked = 0;
  legacy = true;
  unread = [];
  dropped = [];
  silence = new Silence(packets, {
    drain: () => {
      for (const read of unread.splice(0)) read();
    },
    drops: () => drops,
    hasLegacyRules: async () => asked++ >= 0 && legacy,
    onDropped: (place) => {
      dropped.push(place);
      packets.end(place);
    },
    onEnd() {},
  });
});
afterEach(() => {
  silence.stop();
  vi.useRealTimers();
});

function begin(id: number): void {
  const trace = new Trace();
  trace.id = id;
  packets.begin(trace, Date.now());
  silence.watch();
}

test('a packet of which nobody speaks was dropped where there are rules of iptables-legacy, and only there', async () => {
  begin(1);
  await vi.advanceTimersByTimeAsync(499);
  expect(dropped).toEqual([]);
  await vi.advanceTimersByTimeAsync(1);
  expect(dropped).toEqual([0]);
  expect(packets.undecided).toBe(0);
  await vi.advanceTimersByTimeAsync(20_000);
  legacy = false;
  begin(2);
  await vi.advanceTimersByTimeAsync(600);
  expect([dropped.length, packets.undecided, packets.waiting]).toEqual([1, 1, 0]);
});

test('nothing is concluded from silence where a message was lost since', async () => {
  begin(1);
  drops = 1;
  await vi.advanceTimersByTimeAsync(600);
  expect([dropped.length, packets.undecided]).toEqual([0, 1]);
  begin(2);
  await vi.advanceTimersByTimeAsync(600);
  expect([dropped.length, packets.undecided]).toEqual([1, 1]);
});

test('what was told and not read yet counts first; one that waits for less is looked at later; the rules are asked for once in 10 s', async () => {
  begin(1);
  await vi.advanceTimersByTimeAsync(300);
  begin(2);
  unread.push(() => packets.end(packets.find(1)));
  await vi.advanceTimersByTimeAsync(200);
  expect([dropped.length, packets.undecided]).toEqual([0, 0]);
  await vi.advanceTimersByTimeAsync(500);
  expect([dropped.length, packets.undecided]).toEqual([1, 0]);
  for (let id = 3; id < 12; id++) {
    begin(id);
    await vi.advanceTimersByTimeAsync(600);
  }
  expect(dropped).toHaveLength(10);
  expect(asked).toBe(1);
});

test('without anybody who waits there is no timer, and none after the end', async () => {
  silence.watch();
  expect(vi.getTimerCount()).toBe(0);
  begin(1);
  expect(vi.getTimerCount()).toBe(1);
  silence.stop();
  silence.watch();
  expect(vi.getTimerCount()).toBe(0);
});
