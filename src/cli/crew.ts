import type { Config } from '../config/config.ts';
import type { Log } from '../pipeline/plugin.ts';
import type { Snapshot } from '../pipeline/snapshot.ts';
import type { Capability } from '../system/capabilities.ts';
import { become, type Identity } from '../system/user.ts';
import type { Loaded } from './load.ts';
import type { Attached } from './namespace-stacks.ts';
import { Stacks } from './stacks.ts';

/** Who runs the stacks: this thread, or threads of their own. */
export interface Crew {
  /**
   * Has the stacks of this configuration run, and no others; what runs already goes on undisturbed. Returns how many outputs
   * of those that were started can get events.
   */
  run(loaded: Loaded): Promise<number>;
  /** Gives up root, in every thread; these capabilities are kept. */
  become(identity: Identity, kept: readonly Capability[]): Promise<void>;
  /** SIGHUP: resolves when every file is open again. */
  reopen(): Promise<void>;
  /** SIGUSR2. */
  signal(): void;
  /** What has become of every event by now; rejects when a thread cannot say. */
  snapshot(): Promise<Snapshot>;
  /** Lines with the counters of every input. */
  summary(): Promise<string[]>;
  /** What listens in namespaces that the configuration names by a pattern. */
  namespaces(): Promise<Attached[]>;
  /** Attaches a namespace by name now. Returns how many inputs it matches; rejects when there is no such namespace. */
  attach(name: string): Promise<number>;
  /** Lets go of a namespace. Returns how many inputs listened there. */
  detach(name: string): Promise<number>;
  /** Reads what the kernel holds ready, writes it out and closes everything. */
  stop(): Promise<void>;
  /** Rejects when a thread ends that should not; never resolves. */
  readonly broken: Promise<never>;
}

/** Runs all stacks in this thread. */
export class SoloCrew implements Crew {
  readonly broken = new Promise<never>(() => {});
  readonly #stacks: Stacks;

  constructor(config: Config, log: Log) {
    this.#stacks = new Stacks(config, log);
  }

  run({ plans }: Loaded): Promise<number> {
    return this.#stacks.run(plans);
  }

  async become(identity: Identity, kept: readonly Capability[]): Promise<void> {
    become(identity, kept);
  }

  async reopen(): Promise<void> {
    this.#stacks.reopen();
  }

  signal(): void {
    this.#stacks.signal();
  }

  async snapshot(): Promise<Snapshot> {
    return this.#stacks.snapshot();
  }

  async summary(): Promise<string[]> {
    return this.#stacks.summary();
  }

  async namespaces(): Promise<Attached[]> {
    return this.#stacks.namespaces();
  }

  attach(name: string): Promise<number> {
    return this.#stacks.attach(name);
  }

  detach(name: string): Promise<number> {
    return this.#stacks.detach(name);
  }

  stop(): Promise<void> {
    return this.#stacks.stop();
  }
}
