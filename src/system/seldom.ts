/** Says when something may be done again that is not to be done often, such as to complain. */
export class Seldom {
  readonly #interval: number;
  #last = Number.NEGATIVE_INFINITY;

  /** `interval` is in milliseconds. */
  constructor(interval: number) {
    this.#interval = interval;
  }

  /** Whether the interval is over since this was last true. */
  isTime(): boolean {
    const now = performance.now();
    if (now - this.#last < this.#interval) return false;
    this.#last = now;
    return true;
  }
}
