import type { Config } from '../config/config.ts';
import { type Environment, linkSource } from '../pipeline/link.ts';
import { Memory } from '../pipeline/memory.ts';
import type { Plan } from '../pipeline/plan.ts';
import type { Log } from '../pipeline/plugin.ts';
import { Runner } from '../pipeline/runner.ts';
import type { Snapshot } from '../pipeline/snapshot.ts';
import { Clock } from '../system/clock.ts';
import { become, type Identity } from '../system/user.ts';
import { summary } from './summary.ts';

/** Who runs the stacks: this thread, or threads of their own. */
export interface Crew {
  /** Opens outputs, then inputs; returns how many outputs can get events. */
  start(): Promise<number>;
  /** Gives up root, in every thread. */
  become(identity: Identity): Promise<void>;
  /** SIGHUP: resolves when every file is open again. */
  reopen(): Promise<void>;
  /** SIGUSR2. */
  signal(): void;
  /** What has become of every event by now; rejects when a thread cannot say. */
  snapshot(): Promise<Snapshot>;
  /** Lines with the counters of every input. */
  summary(): Promise<string[]>;
  /** Reads what the kernel holds ready, writes it out and closes everything. */
  stop(): Promise<void>;
  /** Rejects when a thread ends that should not; never resolves. */
  readonly broken: Promise<never>;
}

/** Bytes of pipeline memory for each input with its stacks, and once more. Much beyond 32 MB would set V8's garbage collector to work. */
const MEMORY = 4 << 20;

/** Links plans into stacks that this thread will run. */
export function linkStacks({ global }: Config, plans: readonly Plan[], log: Log): Runner {
  const environment: Environment = {
    memory: new Memory(MEMORY * (1 + plans.length)),
    log,
    clock: new Clock(),
    compat: global.compat !== '',
    gapRecords: global.gap_records,
    shared: new Map(),
  };
  return new Runner(
    plans.map((plan) => linkSource(plan, environment)),
    log,
  );
}

/** Runs all stacks in this thread. */
export class SoloCrew implements Crew {
  readonly broken = new Promise<never>(() => {});
  readonly #runner: Runner;

  constructor(config: Config, plans: readonly Plan[], log: Log) {
    this.#runner = linkStacks(config, plans, log);
  }

  start(): Promise<number> {
    return this.#runner.start();
  }

  async become(identity: Identity): Promise<void> {
    become(identity);
  }

  async reopen(): Promise<void> {
    this.#runner.reopen();
  }

  signal(): void {
    this.#runner.signal();
  }

  async snapshot(): Promise<Snapshot> {
    return this.#runner.snapshot();
  }

  async summary(): Promise<string[]> {
    return summary(this.#runner.sources);
  }

  stop(): Promise<void> {
    return this.#runner.stop();
  }
}
