import { Past } from './books.ts';
import type { LinkedStage, Source } from './link.ts';
import { identityOf, type Step } from './plan.ts';
import type { Log, Service } from './plugin.ts';
import { Rates } from './rates.ts';
import { countersOf, type Snapshot, takeSnapshot } from './snapshot.ts';

/**
 * Starts and stops linked stacks, all together or some beside others that run. A plugin that cannot start takes down its own
 * stacks only.
 */
export class Runner {
  /** What sources that are gone have left. */
  readonly past = new Past();
  readonly #log: Log;
  #sources: Source[] = [];
  readonly #running = new Set<Source>();
  /** Changes under way, by the sources that come with them. */
  readonly #coming = new Map<Source, Promise<unknown>>();
  /** Why a plugin could not start. */
  readonly #failures = new WeakMap<Service, string>();
  readonly #rates = new Rates(() => countersOf(this.#sources, this.past));
  #stopped = false;

  constructor(log: Log) {
    this.#log = log;
    this.#rates.start();
  }

  /** All that are there, also those that could not start. */
  get sources(): readonly Source[] {
    return this.#sources;
  }

  /** Why the source or a part of it does not run; undefined when all is well. */
  failureOf(source: Source): string | undefined {
    const services = [source, ...source.stages].map(({ service }) => service);
    return services.map((service) => this.#failures.get(service)).find((failure) => failure !== undefined);
  }

  /** What has become of every event by now. */
  snapshot(): Snapshot {
    return takeSnapshot(this.#sources, this.past, this.#rates, (source, stage) => {
      const failure = this.#failures.get((stage ?? source).service);
      // Without an output that runs, an input is not even tried.
      return failure ?? (stage === undefined && !this.#running.has(source) ? 'no output of it runs' : undefined);
    });
  }

  /**
   * Ends some sources and starts others; those beside them do not notice. Outputs open before the inputs that feed them. An
   * input that comes takes over from one that goes if they are the same and know how to, and no event is lost; other inputs
   * read what is left before they close, and close before one opens. Returns how many outputs of those that come can now get
   * events. `parting` is called when those that go have been read to the end, and their outputs are still open.
   */
  async change(going: readonly Source[], coming: readonly Source[], parting?: () => void): Promise<number> {
    const change = this.#change(going, coming, parting);
    for (const source of coming) this.#coming.set(source, change);
    try {
      return await change;
    } finally {
      for (const source of coming) this.#coming.delete(source);
    }
  }

  async #change(going: readonly Source[], coming: readonly Source[], parting?: () => void): Promise<number> {
    await this.#settled(going);
    if (this.#stopped) return 0;
    const before = going.filter((source) => this.#sources.includes(source));
    this.#sources.push(...coming);
    const late = await this.#openStages(coming, before);
    for (const source of coming) {
      const old = before.find((one) => this.#running.has(one) && canTakeOver(source, one));
      if (old === undefined || outputsReached(source) === 0) continue;
      this.#running.delete(old);
      await this.#startInput(source, old.service.handOver?.());
    }
    for (const source of before) await this.#stopInput(source);
    parting?.();
    for (const source of coming) {
      if (!this.#running.has(source) && outputsReached(source) > 0) await this.#startInput(source);
    }
    for (const source of before) await this.#retire(source);
    for (const { source, stage } of late) await this.#openStage(source, stage);
    return coming.reduce((sum, source) => sum + (this.#running.has(source) ? outputsReached(source) : 0), 0);
  }

  /** Waits until no change brings these any more. */
  async #settled(sources: readonly Source[]): Promise<void> {
    await Promise.allSettled(sources.map((source) => this.#coming.get(source)));
  }

  /**
   * Opens filters and outputs, the last first. Returns those that may find open what there can be once only, such as a spool:
   * their predecessors have to close first. Until then they gather what they are to write.
   */
  async #openStages(coming: readonly Source[], before: readonly Source[]): Promise<Late[]> {
    const predecessors = new Set(before.flatMap(({ stages }) => stages.map(({ name }) => name)));
    const late: Late[] = [];
    for (const source of coming) {
      for (const stage of source.stages.toReversed()) {
        if (!predecessors.has(stage.name)) await this.#openStage(source, stage);
        else if ((await failureOf(() => stage.service.start?.())) !== undefined) late.push({ source, stage });
      }
    }
    return late;
  }

  async #openStage(source: Source, stage: LinkedStage): Promise<void> {
    const error = await failureOf(() => stage.service.start?.());
    if (error === undefined) return;
    source.program.disable(stage.step);
    this.#refuse(source, `${source.name} … ${stage.name}`, stage.service, error);
  }

  async #startInput(source: Source, inherited?: unknown): Promise<void> {
    const error = await failureOf(() => source.service.start?.(inherited));
    if (error === undefined) {
      this.#running.add(source);
      return;
    }
    this.#refuse(source, source.name, source.service, error);
    // What it had opened before it failed would stay open, and keep a namespace alive.
    await this.#stop(source.name, source.service);
  }

  #refuse(source: Source, name: string, service: Service, error: unknown): void {
    const reason = error instanceof Error ? error.message : String(error);
    this.#failures.set(service, reason);
    // What is gone needs no help: it went between being seen and being opened.
    if (source.isGone()) this.#log.info(`stack ${name}: ${reason}`);
    else this.#log.error(`stack ${name}: ${reason}; this stack is not run`);
  }

  async #stopInput(source: Source): Promise<void> {
    if (this.#running.delete(source)) await this.#stop(source.name, source.service, source.isGone());
    source.settle();
  }

  /** Forgets an ended source, but for its counts. */
  async #retire(source: Source): Promise<void> {
    for (const stage of await this.#stopStages(source)) this.past.close(stage);
    this.past.add(source);
    this.#sources = this.#sources.filter((one) => one !== source);
    source.release();
  }

  /** Writes out what a source has left with its outputs, and closes those that nobody else uses, which it returns. */
  async #stopStages(source: Source): Promise<LinkedStage[]> {
    const closed: LinkedStage[] = [];
    for (const stage of source.stages) {
      if (stage.leave()) closed.push(stage);
      else stage.service.flush?.();
    }
    for (const { name, service } of closed) await this.#stop(name, service);
    return closed;
  }

  async #stop(name: string, service: Service, isGone = false): Promise<void> {
    const error = await failureOf(() => service.stop?.(isGone));
    if (error !== undefined) this.#log.error(`${name}: ${error instanceof Error ? error.message : String(error)}`);
  }

  /** SIGHUP. */
  reopen(): void {
    for (const service of this.#services()) service.reopen?.();
  }

  /** SIGUSR2. */
  signal(): void {
    for (const service of this.#services()) service.signal?.();
  }

  /** Reads what the kernel holds ready, writes it out and closes everything, for good. */
  async stop(): Promise<void> {
    await this.#settled(this.#sources);
    if (this.#stopped) return;
    this.#stopped = true;
    this.#rates.stop();
    for (const source of this.#sources) await this.#stopInput(source);
    for (const source of this.#sources) await this.#stopStages(source);
  }

  *#services(): Generator<Service> {
    for (const source of this.#running) {
      yield source.service;
      for (const stage of source.stages) yield stage.service;
    }
  }
}

interface Late {
  readonly source: Source;
  readonly stage: LinkedStage;
}

function canTakeOver(source: Source, old: Source): boolean {
  return (
    old.service.handOver !== undefined &&
    !old.isGone() &&
    source.name === old.name &&
    identityOf(listening(source)) === identityOf(listening(old))
  );
}

/** The input as its socket knows it: in which other namespaces there are inputs like it makes no difference. */
const listening = ({ plan: { input } }: Source): Step => ({
  ...input.step,
  options: { ...input.step.options, network_namespaces: '' },
});

/** Outputs to which the input's events come: with no disabled step before them. */
function outputsReached({ stages, program }: Source): number {
  const isReached = ({ step, parent }: LinkedStage): boolean =>
    !program.isDisabled(step) && (parent === undefined || isReached(stages[parent] as LinkedStage));
  return stages.filter((stage) => stage.role === 'output' && isReached(stage)).length;
}

/** What an attempt threw; undefined when it went well. */
async function failureOf(attempt: () => void | Promise<void>): Promise<unknown> {
  try {
    await attempt();
    return undefined;
  } catch (error) {
    return error ?? new Error('unknown');
  }
}
