import type { EventLoopUtilization } from 'node:perf_hooks';

/** Milliseconds between two samples. */
const INTERVAL = 5000;

interface Sample {
  readonly time: number;
  readonly counts: ReadonlyMap<object, number>;
  readonly loop: EventLoopUtilization;
}

/** How fast counters grow: what they gained over the last five to ten seconds, by samples that are taken meanwhile. */
export class Rates {
  readonly #count: () => ReadonlyMap<object, number>;
  #older: Sample;
  #newer: Sample;
  #timer: NodeJS.Timeout | undefined;

  /** `count` reads every counter, by what it belongs to. */
  constructor(count: () => ReadonlyMap<object, number>) {
    this.#count = count;
    this.#older = this.#newer = this.#sample();
  }

  start(): void {
    this.#older = this.#newer = this.#sample();
    this.#timer ??= setInterval(() => {
      this.#older = this.#newer;
      this.#newer = this.#sample();
    }, INTERVAL).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  /** Events a second of a counter that stands at `count` now. */
  of(subject: object, count: number): number {
    const { time, counts } = this.#older;
    return ((count - (counts.get(subject) ?? 0)) * 1000) / Math.max(performance.now() - time, 1);
  }

  /** Share of the time in which this thread had something to do, from 0 to 1. */
  get busy(): number {
    return performance.eventLoopUtilization(this.#older.loop).utilization;
  }

  #sample(): Sample {
    return { time: performance.now(), counts: this.#count(), loop: performance.eventLoopUtilization() };
  }
}
