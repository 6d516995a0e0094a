import type { LinkedStage, Source } from './link.ts';
import type { Log, Service } from './plugin.ts';

/** Starts and stops linked stacks. A plugin that cannot start takes down its own stacks only. */
export class Runner {
  readonly sources: readonly Source[];
  readonly #log: Log;
  readonly #running = new Set<Source>();

  constructor(sources: readonly Source[], log: Log) {
    this.sources = sources;
    this.#log = log;
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
    return outputs;
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
      this.#log.error(
        `stack ${name}: ${error instanceof Error ? error.message : String(error)}; this stack is not run`,
      );
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
