import { imbalances, outputLedgers, type Past, type Sink, sinksOf } from './books.ts';
import type { InputLedger, OutputAccount } from './ledger.ts';
import type { LinkedStage, Source } from './link.ts';
import type { SocketState } from './plugin.ts';
import type { Rates } from './rates.ts';

/** Counts by what was counted. */
export type Counts = Readonly<Record<string, number>>;

/** The way of an input's events to one output: its `events` = filtered + failed + taken. */
export interface StackSnapshot {
  readonly output: string;
  /** Events that a plugin let go no further, by plugin. */
  readonly filtered: Counts;
  /** Events in which a plugin threw, or that it did not take because it could not start, by plugin. */
  readonly failed: Counts;
  /** Events that reached the output. */
  readonly taken: number;
}

/** An input's books, and how its socket is. */
export interface InputSnapshot extends Omit<InputLedger, 'received'> {
  readonly name: string;
  /** File of the network namespace that it listens in; the daemon's own when missing. */
  readonly namespace?: string;
  /** Why it does not run. */
  readonly failure?: string;
  /** Events that it read. */
  readonly events: number;
  /** Events a second, over the last five to ten seconds. */
  readonly rate: number;
  readonly socket?: SocketState;
  /** What it counts besides. */
  readonly counters: Counts;
  readonly stacks: readonly StackSnapshot[];
}

/** A destination's books: taken = written + queued + spooled + dropped. Stacks that share a destination are one. */
export interface OutputSnapshot extends Required<Omit<OutputAccount, 'sink' | 'connected' | 'lag'>> {
  readonly name: string;
  readonly inputs: readonly string[];
  /** Why it does not run. */
  readonly failure?: string;
  readonly taken: number;
  /** Events written a second, over the last five to ten seconds. */
  readonly rate: number;
  readonly connected?: boolean;
  readonly lag?: number;
  readonly counters: Counts;
}

/** All that one thread can say of what it runs, between two events. */
export interface Snapshot {
  readonly inputs: readonly InputSnapshot[];
  readonly outputs: readonly OutputSnapshot[];
  /** A sentence for each sum that does not hold. */
  readonly imbalances: readonly string[];
  readonly threads: readonly ThreadSnapshot[];
  readonly past: PastSnapshot;
}

/** What inputs counted that are gone: the configuration no longer has them, or their network namespace is. */
export interface PastSnapshot extends Omit<InputLedger, 'received'> {
  readonly inputs: number;
  readonly events: number;
  /** Events in which a plugin threw, or that it did not take because it could not start. */
  readonly failed: number;
  /** Events that outputs gave up which are closed. */
  readonly dropped: number;
}

export interface ThreadSnapshot {
  readonly inputs: readonly string[];
  /** Share of the last five to ten seconds in which the thread had something to do, from 0 to 1. */
  readonly busy: number;
}

/** Whose failure is asked for: an input's or a stage's service. */
type FailureOf = (source: Source, stage?: LinkedStage) => string | undefined;

/** Brings the books up to date with the kernel, and copies them. */
export function takeSnapshot(sources: readonly Source[], past: Past, rates: Rates, failureOf: FailureOf): Snapshot {
  return {
    inputs: sources.map((source) => inputSnapshot(source, rates, failureOf(source))),
    outputs: sinksOf(sources, past).map((sink) => outputSnapshot(sink, rates, failureOf)),
    imbalances: imbalances(sources, past),
    threads: [{ inputs: sources.map(({ name }) => name), busy: rates.busy }],
    past: pastSnapshot(past),
  };
}

function pastSnapshot({ sources, counts: { received, ...counts }, failed, dropped }: Past): PastSnapshot {
  return { inputs: sources, events: received, ...counts, failed, dropped };
}

/** What several threads say, as one. */
export function joinSnapshots(all: readonly Snapshot[]): Snapshot {
  return {
    inputs: all.flatMap(({ inputs }) => inputs),
    outputs: all.flatMap(({ outputs }) => outputs),
    imbalances: all.flatMap(({ imbalances }) => imbalances),
    threads: all.flatMap(({ threads }) => threads),
    past: all.map(({ past }) => past).reduce(addPast),
  };
}

function addPast(a: PastSnapshot, b: PastSnapshot): PastSnapshot {
  const sums = (Object.keys(a) as (keyof PastSnapshot)[]).map((what) => [what, a[what] + b[what]]);
  return Object.fromEntries(sums) as PastSnapshot;
}

/** Every counter that has a rate, by what it belongs to. */
export function countersOf(sources: readonly Source[], past: Past): Map<object, number> {
  const counts = new Map<object, number>(sources.map((source) => [source.counts, source.counts.received]));
  for (const { key, account } of sinksOf(sources, past)) counts.set(key, account.written);
  return counts;
}

function inputSnapshot(source: Source, rates: Rates, failure: string | undefined): InputSnapshot {
  const socket = source.service.socket?.(); // before its counts are read
  const { received, ...counts } = source.counts;
  return {
    name: source.name,
    ...(source.namespace === undefined ? {} : { namespace: source.namespace }),
    ...(failure === undefined ? {} : { failure }),
    events: received,
    rate: rates.of(source.counts, received),
    ...counts,
    ...(socket === undefined ? {} : { socket }),
    counters: source.service.counters?.() ?? {},
    stacks: outputLedgers(source).map(({ name, filtered, failed, taken }) => ({
      output: name,
      filtered,
      failed,
      taken,
    })),
  };
}

function outputSnapshot({ key, feeders, taken, account }: Sink, rates: Rates, failureOf: FailureOf): OutputSnapshot {
  const [[, first]] = feeders as readonly [Sink['feeders'][number]];
  const failure = feeders.map((feeder) => failureOf(...feeder)).find((one) => one !== undefined);
  const { sink: _, ...books } = account;
  return {
    name: first.name,
    inputs: feeders.map(([{ name }]) => name),
    ...(failure === undefined ? {} : { failure }),
    taken,
    rate: rates.of(key, account.written),
    spooled: 0,
    retries: 0,
    ...books,
    counters: first.service.counters?.() ?? {},
  };
}
