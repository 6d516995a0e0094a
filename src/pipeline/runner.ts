import type { LinkedStage, Source } from './link.ts';
import type { Log, Service } from './plugin.ts';
import { Rates } from './rates.ts';
import { countersOf, type Snapshot, takeSnapshot } from './snapshot.ts';

/** Starts and stops linked stacks. A plugin that cannot start takes down its own stacks only. */
export class Runner {
  readonly sources: readonly Source[];
  readonly #log: Log;
  readonly #running = new Set<Source>();
  /** Why a plugin could not start. */
  readonly #failures = new Map<Service, string>();
  readonly #rates: Rates;

  constructor(sources: readonly Source[], log: Log) {
    this.sources = sources;
    this.#log = log;
    this.#rates = new Rates(() => countersOf(sources));
  }

  /** Opens outputs before the inputs that feed them. Returns how many outputs can now get events. */
  async start(): Promise<number> {
    let outputs = 0;
    for (const source of this.sources) {
      const alive = await this.#startStages(source);
      if (alive > 0 && (await this.#attempt(source.name, source.service))) {
        this.#running.add(source);
        outputs += alive;
      }
    }
    this.#rates.start();
    return outputs;
  }

  /** What has become of every event by now. */
  snapshot(): Snapshot {
    return takeSnapshot(this.sources, this.#rates, (source, stage) => {
      const failure = this.#failures.get((stage ?? source).service);
      // Without an output that runs, an input is not even tried.
      return failure ?? (stage === undefined && !this.#running.has(source) ? 'no output of it runs' : undefined);
    });
  }

  /** Starts filters and outputs, the last first; returns the number of outputs that events reach. */
  async #startStages(source: Source): Promise<number> {
    const dead = new Set<number>();
    for (const stage of source.stages.toReversed()) {
      if (await this.#attempt(`${source.name} … ${stage.name}`, stage.service)) continue;
      source.program.disable(stage.step);
      dead.add(stage.step);
    }
    const reached = (stage: LinkedStage): boolean =>
      !dead.has(stage.step) && (stage.parent === undefined || reached(source.stages[stage.parent] as LinkedStage));
    return source.stages.filter((stage) => stage.role === 'output' && reached(stage)).length;
  }

  async #attempt(name: string, service: Service): Promise<boolean> {
    try {
      await service.start?.();
      return true;
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.#failures.set(service, reason);
      this.#log.error(`stack ${name}: ${reason}; this stack is not run`);
      return false;
    }
  }

  /** SIGHUP. */
  reopen(): void {
    for (const service of this.#services()) service.reopen?.();
  }

  /** SIGUSR2. */
  signal(): void {
    for (const service of this.#services()) service.signal?.();
  }

  /** Reads what the kernel holds ready, writes it out and closes everything. */
  async stop(): Promise<void> {
    this.#rates.stop();
    for (const source of this.#running) await source.service.stop?.();
    for (const source of this.sources) for (const stage of source.stages) await stage.service.stop?.();
  }

  *#services(): Generator<Service> {
    for (const source of this.#running) {
      yield source.service;
      for (const stage of source.stages) yield stage.service;
    }
  }
}
