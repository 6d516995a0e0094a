import type { Config } from '../config/config.ts';
import { type Environment, linkSource, type Source } from '../pipeline/link.ts';
import { Memory } from '../pipeline/memory.ts';
import { type Plan, planIdentity } from '../pipeline/plan.ts';
import type { Log } from '../pipeline/plugin.ts';
import { Runner } from '../pipeline/runner.ts';
import { Shared } from '../pipeline/shared.ts';
import type { Snapshot } from '../pipeline/snapshot.ts';
import { Clock } from '../system/clock.ts';
import { summary } from './summary.ts';

/**
 * Bytes of pipeline memory. Inputs of one kind share what they receive into, and the rest is a few KB for each; much more
 * would set V8's garbage collector to work.
 */
const MEMORY = 32 << 20;

/** The stacks that one thread runs. */
export class Stacks {
  readonly #log: Log;
  readonly #environment: Environment;
  readonly #runner: Runner;
  /** What runs for each plan, by the plan's identity. */
  #sources: ReadonlyMap<string, Source> = new Map();

  constructor({ global, neutron }: Config, log: Log) {
    this.#log = log;
    this.#environment = {
      memory: new Memory(MEMORY),
      log,
      clock: new Clock(),
      compat: global.compat !== '',
      neutron,
      gapRecords: global.gap_records,
      shared: new Shared(),
    };
    this.#runner = new Runner(log);
  }

  /**
   * Has exactly these plans run: what runs already goes on undisturbed, what could not start is tried again. Returns how many
   * outputs of those that were started can get events.
   */
  async run(plans: readonly Plan[]): Promise<number> {
    const wanted = new Map(plans.map((plan) => [planIdentity(plan), plan]));
    const kept = [...this.#sources].filter(
      ([identity, source]) => wanted.has(identity) && this.#runner.failureOf(source) === undefined,
    );
    const stay = new Set(kept.map(([, source]) => source));
    const going = [...this.#sources.values()].filter((source) => !stay.has(source));
    const come = [...wanted]
      .filter(([identity]) => !kept.some(([other]) => other === identity))
      .map(([identity, plan]) => [identity, linkSource(plan, this.#environment)] as const);
    for (const source of going) this.#log.info(`${source.name}: its stacks have changed`);
    this.#sources = new Map([...kept, ...come]);
    return this.#runner.change(
      going,
      come.map(([, source]) => source),
    );
  }

  /** SIGHUP: every file is opened again under its name. */
  reopen(): void {
    this.#runner.reopen();
  }

  /** SIGUSR2. */
  signal(): void {
    this.#runner.signal();
  }

  snapshot(): Snapshot {
    return this.#runner.snapshot();
  }

  /** Lines with the counters of every input. */
  summary(): string[] {
    return summary(this.#runner.sources, this.#runner.past);
  }

  /** Reads what the kernel holds ready, writes it out and closes everything, for good. */
  stop(): Promise<void> {
    return this.#runner.stop();
  }
}
