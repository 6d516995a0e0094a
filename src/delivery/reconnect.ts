/** Milliseconds before the second attempt, about; each further one waits twice as long. */
const FIRST_DELAY = 100;

/**
 * When to try a connection again: delays double up to a limit, and each is cut by up to a half at random, so that many
 * daemons do not come back at once. Only monotonic time is used: a step of the clock changes nothing.
 */
export class Reconnect {
  readonly #maxDelay: number;
  readonly #random: () => number;
  #delay = FIRST_DELAY;
  #since = 0;
  #timer: NodeJS.Timeout | undefined;
  /** Attempts that were made after a failure. */
  retries = 0;

  /** `maxDelay` in milliseconds; `random` is below 1. */
  constructor(maxDelay: number, random: () => number = Math.random) {
    this.#maxDelay = Math.max(maxDelay, 1);
    this.#random = random;
  }

  /** Says that a connection stands. */
  connected(): void {
    this.#since = performance.now();
  }

  /** Has `attempt` called when it is time; returns the delay in milliseconds. */
  after(attempt: () => void): number {
    clearTimeout(this.#timer);
    // A peer that takes connections and drops them is as bad as none: only one that held for longer counts as good.
    if (this.#since > 0 && performance.now() - this.#since >= this.#delay) this.#delay = FIRST_DELAY;
    this.#since = 0;
    const whole = Math.min(this.#delay, this.#maxDelay);
    const delay = whole - (whole / 2) * this.#random();
    this.#delay = Math.min(this.#delay * 2, this.#maxDelay);
    this.#timer = setTimeout(() => {
      this.retries++;
      attempt();
    }, delay);
    return delay;
  }

  /** No further attempt. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
