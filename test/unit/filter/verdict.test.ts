import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import verdict from '../../../src/filter/verdict.ts';
import { packetKeys } from '../../../src/input/packet-keys.ts';
import { outputLedgers } from '../../../src/pipeline/books.ts';
import type { Source } from '../../../src/pipeline/link.ts';
import { defineOutput, type FilterPlugin, type InputPlugin } from '../../../src/pipeline/plugin.ts';
import type { Record as Values } from '../../../src/pipeline/record.ts';
import { input, type Linked, link } from '../../support/stacks.ts';

const BEFORE = 'flowlogd NEW ';
const BEHIND = 'flowlogd ACCEPT ';

const ipv4 = (id: number, port = 80) =>
  Buffer.from(
    `45000028${id.toString(16).padStart(4, '0')}400040060000` +
      `0a050008c0a81549c004${port.toString(16).padStart(4, '0')}0000000100000000500204000000000`.padEnd(65, '0'),
    'hex',
  );
const ipv6 = (port: number) =>
  Buffer.from(
    `6000000000080640${'20010db8'.padEnd(32, '0')}${'20010db9'.padEnd(32, '0')}c004${port.toString(16).padStart(4, '0')}00000001`,
    'hex',
  );

interface Caught {
  readonly action: string;
  readonly prefix: string;
  readonly rule: string;
  readonly packet: string;
  readonly mark: number;
}

let events: Caught[];
let flushed: number;
let source: Source;
let linked: Linked;
/** What the kernel has ready and nobody has read: done by `drain`. */
let ready: (() => void) | undefined;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  begin();
});
afterEach(() => vi.useRealTimers());

function begin(options: Readonly<Record<string, unknown>> = {}): void {
  events = [];
  flushed = 0;
  ready = undefined;
  const IN = input('IN', { ...packetKeys, 'ct.event': { type: 'u32', doc: 'A key.' } }, 'raw');
  const read = {
    'verdict.action': { type: 'string' },
    'verdict.prefix': { type: 'string' },
    'oob.prefix': { type: 'string' },
    'raw.pkt': { type: 'raw' },
    'oob.mark': { type: 'u32' },
  } as const;
  const CATCHER = defineOutput({
    name: 'CATCHER',
    summary: 'For a test.',
    example: '',
    accepts: ['raw', 'packet', 'flow'],
    options: {},
    reads: read,
    link: ({ read: slots, record }) => {
      const bytes = (slot: number) =>
        record.valid[slot] === 1
          ? Buffer.from(record.bytes.subarray(record.value[slot]!, record.value[slot]! + record.extra[slot]!))
          : Buffer.alloc(0);
      return {
        run: () =>
          events.push({
            action: bytes(slots['verdict.action']).toString(),
            prefix: bytes(slots['oob.prefix']).toString(),
            rule: bytes(slots['verdict.prefix']).toString(),
            packet: bytes(slots['raw.pkt']).toString('hex'),
            mark: record.value[slots['oob.mark']]!,
          }) > 0,
        flush: () => void flushed++,
      };
    },
  });
  const plugins = [
    { ...IN, link: (...all: Parameters<InputPlugin['link']>) => ({ ...IN.link(...all), drain: () => ready?.() }) },
    verdict as unknown as FilterPlugin,
    CATCHER as never,
  ];
  source = link(['in:IN,verdict1:VERDICT,out:CATCHER'], plugins, { options: { verdict1: options } })[0]!;
  linked = IN.linked.at(-1)!;
}

/** One record of the group, in memory that the next one overwrites. */
function log(prefix: string, packet: Buffer, mark = 7): void {
  const { record, write, deliver } = linked;
  const at = record.bytes.length - 70_000;
  put(record, at, packet);
  record.setBytes(write['raw.pkt']!, at, packet.length);
  put(record, at + 66_000, Buffer.from(prefix));
  record.setBytes(write['oob.prefix']!, at + 66_000, prefix.length);
  record.setNumber(write['oob.mark']!, mark);
  deliver.event();
}
const put = (record: Values, at: number, bytes: Buffer) => record.bytes.set(bytes, at);
const books = () => outputLedgers(source)[0]!;
const actions = () => events.map(({ action }) => action);

test('a packet that comes out behind all rules was accepted: one event, at once', () => {
  log(BEFORE, ipv4(1));
  expect(events).toEqual([]);
  log(BEHIND, ipv4(1));
  expect(events).toEqual([{ action: 'accept', prefix: 'ACCEPT ', rule: '', packet: ipv4(1).toString('hex'), mark: 7 }]);
  vi.advanceTimersByTime(10_000);
  expect(actions()).toEqual(['accept']);
  expect(books()).toMatchObject({ received: 2, filtered: { 'verdict1:VERDICT': 1 }, taken: 1 });
});

test('one that does not was dropped: told after a second, as it was, and written out', () => {
  log(BEFORE, ipv4(1), 5);
  log('else ', ipv4(2, 99), 6);
  expect(events.splice(0)).toMatchObject([{ action: '', prefix: 'else ', mark: 6 }]);
  expect(books()).toMatchObject({ received: 2, filtered: { 'verdict1:VERDICT': 1 }, taken: 1 });
  vi.advanceTimersByTime(999);
  expect(events).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(events).toEqual([{ action: 'drop', prefix: 'DROP ', rule: '', packet: ipv4(1).toString('hex'), mark: 5 }]);
  expect(flushed).toBe(1);
  expect(books()).toMatchObject({ received: 2, filtered: {}, taken: 2 });
});

test('each waits a second of its own, and what a drop holds is told apart by every field that no rule changes', () => {
  log(BEFORE, ipv4(1, 80));
  vi.advanceTimersByTime(500);
  for (const [id, port] of [[1, 81], [2, 80], [3, 80]] as const) log(BEFORE, ipv4(id, port)); // biome-ignore format: pairs
  log(BEFORE, ipv6(80));
  log(BEFORE, ipv6(81));
  log(BEHIND, ipv4(2, 80));
  log(BEHIND, ipv6(81));
  expect(actions()).toEqual(['accept', 'accept']);
  vi.advanceTimersByTime(500);
  expect(events.slice(2).map(({ packet }) => packet)).toEqual([ipv4(1, 80).toString('hex')]);
  vi.advanceTimersByTime(500);
  expect(
    events
      .slice(3)
      .map(({ packet }) => packet)
      .toSorted(),
  ).toEqual([ipv4(1, 81), ipv4(3, 80), ipv6(80)].map((packet) => packet.toString('hex')).toSorted());
  expect(new Set(actions().slice(2))).toEqual(new Set(['drop']));
});

test('the last rule of the router that logged the packet is named, and its record is part of the verdict', () => {
  for (const packet of [ipv4(1), ipv4(2)]) {
    log(BEFORE, packet);
    log('fw-in: ', packet);
    log(`fw-${'x'.repeat(200)}`, packet);
    log('fw-policy: ', packet);
  }
  log(BEHIND, ipv4(2));
  vi.advanceTimersByTime(1000);
  expect(events).toMatchObject([
    { action: 'accept', prefix: 'ACCEPT fw-policy: ', rule: 'fw-policy: ' },
    { action: 'drop', prefix: 'DROP fw-policy: ', rule: 'fw-policy: ' },
  ]);
  // What it logs of a packet that was not judged stays a record as it is.
  log('fw-in: ', ipv4(3));
  expect(events.at(-1)).toMatchObject({ action: '', prefix: 'fw-in: ', rule: '' });
});

test('an acceptance is certain also where its begin was not seen', () => {
  log(BEHIND, ipv4(1));
  expect(actions()).toEqual(['accept']);
});

test('a daemon that is late reads on before it concludes', () => {
  log(BEFORE, ipv4(1));
  log(BEFORE, ipv4(2));
  ready = () => log(BEHIND, ipv4(1));
  vi.advanceTimersByTime(1000);
  expect(events.map(({ action, packet }) => [action, packet])).toEqual([
    ['accept', ipv4(1).toString('hex')],
    ['drop', ipv4(2).toString('hex')],
  ]);
});

test.each(['lost', 'lostEstimated', 'kernelDrops', 'overruns'] as const)(
  'where something was lost meanwhile (%s) nothing is concluded; what came later is certain again',
  (count) => {
    log(BEFORE, ipv4(1));
    vi.advanceTimersByTime(300);
    linked.deliver.ledger[count]++;
    log(BEFORE, ipv4(2));
    vi.advanceTimersByTime(1000);
    expect(events.map(({ action, prefix }) => [action, prefix])).toEqual([
      ['unknown', 'UNKNOWN '],
      ['drop', 'DROP '],
    ]);
  },
);

test('what is held is bounded, and what finds no room is told at once as unknown', () => {
  for (let id = 0; id < 300; id++) log(BEFORE, ipv4(id));
  expect(actions()).toEqual(Array(44).fill('unknown'));
  log(BEFORE, ipv4(300), 0);
  expect(source.stages[0]?.service.counters?.()).toEqual({ 'packets that could not be held': 45 });
  log(BEHIND, ipv4(17));
  log(BEFORE, ipv4(301)); // there is room again
  vi.advanceTimersByTime(1000);
  expect(actions().slice(45)).toEqual(['accept', ...Array(256).fill('drop')]);
  // Longer than the room for each, and too short to be known again.
  log(BEFORE, Buffer.concat([ipv4(1), Buffer.alloc(5000)]));
  log(BEFORE, ipv4(1).subarray(0, 27));
  log(BEFORE, Buffer.alloc(0));
  expect(actions().slice(-3)).toEqual(['unknown', 'unknown', 'unknown']);
});

test('the end of the daemon tells what still waits, as unknown', () => {
  log(BEFORE, ipv4(1));
  source.settle();
  expect(actions()).toEqual(['unknown']);
  expect(books()).toMatchObject({ received: 1, filtered: {}, taken: 1 });
  vi.advanceTimersByTime(5000);
  expect(events).toHaveLength(1);
});

test('wait= is how long', () => {
  begin({ wait: 3000 });
  log(BEFORE, ipv4(1));
  vi.advanceTimersByTime(2999);
  expect(events).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(actions()).toEqual(['drop']);
});

test('a connection that conntrack knows was accepted, whatever is told of it', () => {
  for (const event of [1, 2, 4]) {
    linked.record.setNumber(linked.write['ct.event']!, event);
    linked.deliver.event();
  }
  expect(actions()).toEqual(['accept', 'accept', 'accept']);
});
