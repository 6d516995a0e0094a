import type { Run } from './plugin.ts';
import type { Record } from './record.ts';

/**
 * The stacks of one input as one list of steps. Stacks that begin with the same plugins share those steps; a step that
 * returns false is followed by the next one that does not depend on it. What ended where is counted, so that for every
 * output: received = written + filtered + failed.
 */
export class Program {
  readonly #steps: Run[];
  readonly #next: Int32Array;
  /** Events that each step let go no further. */
  readonly stopped: Float64Array;
  /** Events in which each step threw. */
  readonly failed: Float64Array;
  readonly #onError: (step: number, error: unknown) => void;

  /** `next[i]` is the first step after those that depend on step i. */
  constructor(steps: readonly Run[], next: readonly number[], onError: (step: number, error: unknown) => void) {
    this.#steps = [...steps];
    this.#next = Int32Array.from(next);
    this.stopped = new Float64Array(steps.length);
    this.failed = new Float64Array(steps.length);
    this.#onError = onError;
  }

  /** Lets nothing pass this step any more: its plugin could not start. What it stops from now on has failed. */
  disable(step: number): void {
    this.#steps[step] = refuse;
  }

  /** Whether `disable` was called for this step. */
  isDisabled(step: number): boolean {
    return this.#steps[step] === refuse;
  }

  /** Begins to count anew. */
  forget(): void {
    this.stopped.fill(0);
    this.failed.fill(0);
  }

  run(record: Record): void {
    this.#run(record, 0, this.#steps.length);
  }

  /** Takes an event up again where this step let it go no further: there it was not stopped, then. */
  resume(record: Record, step: number): void {
    this.stopped[step]!--;
    this.#run(record, step + 1, this.#next[step]!);
  }

  #run(record: Record, from: number, end: number): void {
    const steps = this.#steps;
    let at = from;
    while (at < end) {
      try {
        while (at < end) {
          if (steps[at]!(record)) at++;
          else {
            this.stopped[at]!++;
            at = this.#next[at]!;
          }
        }
      } catch (error) {
        this.failed[at]!++;
        this.#onError(at, error);
        at = this.#next[at]!;
      }
    }
  }
}

const refuse: Run = () => false;
