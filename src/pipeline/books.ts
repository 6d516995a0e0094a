import { InputLedger, type OutputAccount, total } from './ledger.ts';
import type { LinkedStage, Source } from './link.ts';

/** The way of every event to one output. */
export interface OutputLedger extends Omit<OutputAccount, 'sink'> {
  readonly name: string;
  /** Events that its input read. */
  readonly received: number;
  /** Events that a plugin let go no further, by plugin. */
  readonly filtered: Readonly<Record<string, number>>;
  /** Events in which a plugin threw, or that it did not take because it could not start, by plugin. */
  readonly failed: Readonly<Record<string, number>>;
  /** Events that reached the output. */
  readonly taken: number;
}

/** Each output of an input, in the order of the stacks. An output that keeps no account has written what it took. */
export function outputLedgers(source: Source): OutputLedger[] {
  return source.stages.filter(({ role }) => role === 'output').map((output) => outputLedger(source, output));
}

/** What became of the events of an input on their way to one output. */
export function outputLedger({ stages, program, counts }: Source, output: LinkedStage): OutputLedger {
  const filtered: [string, number][] = [];
  const failed: [string, number][] = [];
  let taken = counts.received;
  for (let at: LinkedStage | undefined = output; at; at = at.parent === undefined ? undefined : stages[at.parent]) {
    const stopped = program.stopped[at.step] as number;
    const threw = program.failed[at.step] as number;
    const left = program.isDisabled(at.step) ? 0 : stopped;
    const lost = stopped + threw - left;
    taken -= left + lost;
    if (left > 0) filtered.unshift([at.name, left]);
    if (lost > 0) failed.unshift([at.name, lost]);
  }
  const { sink: _, ...account } = accountOf(output, taken);
  return {
    name: output.name,
    received: counts.received,
    filtered: Object.fromEntries(filtered),
    failed: Object.fromEntries(failed),
    taken,
    ...account,
  };
}

/** What is left of sources that are gone. */
export class Past {
  /** How many there were. */
  sources = 0;
  /** Their counts, added up. */
  readonly counts = new InputLedger();
  /** Events in which a plugin threw, or that it did not take because it could not start. */
  failed = 0;
  /** Events that outputs gave up which are closed. */
  dropped = 0;
  readonly #taken = new WeakMap<object, number>();

  /** Keeps what a source counted. */
  add(source: Source): void {
    this.sources++;
    for (const what of Object.keys(source.counts) as (keyof InputLedger)[]) this.counts[what] += source.counts[what];
    const { failed, stopped } = source.program;
    for (const [step, threw] of failed.entries()) {
      this.failed += threw + (source.program.isDisabled(step) ? (stopped[step] as number) : 0);
    }
    for (const stage of source.stages) {
      const sink = stage.role === 'output' ? stage.service.account?.().sink : undefined;
      if (sink !== undefined) this.#taken.set(sink, this.takenBy(sink) + outputLedger(source, stage).taken);
    }
  }

  /** Keeps what a stage has dropped that is closed. */
  close({ service }: LinkedStage): void {
    this.dropped += total(service.account?.().dropped ?? {});
  }

  /** Events that a destination, which is still open, took from them. */
  takenBy(sink: object): number {
    return this.#taken.get(sink) ?? 0;
  }
}

/** A destination with all that feeds it. */
export interface Sink {
  readonly key: object;
  readonly feeders: readonly (readonly [source: Source, output: LinkedStage])[];
  /** Events that reached it. */
  readonly taken: number;
  readonly account: OutputAccount;
}

/** Every destination, in the order of the stacks. */
export function sinksOf(sources: readonly Source[], past: Past): Sink[] {
  const sinks = new Map<
    object,
    { key: object; feeders: [Source, LinkedStage][]; taken: number; account: OutputAccount }
  >();
  for (const source of sources) {
    for (const stage of source.stages) {
      if (stage.role !== 'output') continue;
      const { taken } = outputLedger(source, stage);
      const account = accountOf(stage, taken);
      const sink = sinks.get(account.sink) ?? {
        key: account.sink,
        feeders: [],
        taken: past.takenBy(account.sink),
        account,
      };
      sink.feeders.push([source, stage]);
      sink.taken += taken;
      sinks.set(account.sink, sink);
    }
  }
  return [...sinks.values()];
}

function accountOf({ service }: LinkedStage, taken: number): OutputAccount {
  return service.account?.() ?? { sink: service, written: taken, queued: 0, dropped: {}, bytes: 0 };
}

/**
 * Checks that every event is in exactly one column: received = filtered + failed + written + queued + spooled + dropped.
 * Returns a sentence for each sum that does not hold, and nothing when all do. True between any two events.
 */
export function imbalances(sources: readonly Source[], past = new Past()): string[] {
  return sinksOf(sources, past).flatMap(({ feeders, taken, account }) => {
    const counted = account.written + account.queued + (account.spooled ?? 0) + total(account.dropped);
    const names = feeders.map(([source, stage]) => `${source.name} … ${stage.name}`).join(' and ');
    return taken === counted ? [] : [`${names} took ${taken} events, and ${counted} are accounted for`];
  });
}
