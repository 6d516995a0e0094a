/** Lets `rate` events a second pass, and `burst` more after a pause; a rate of 0 lets all pass. */
export class TokenBucket {
  readonly #rate: number;
  readonly #burst: number;
  #tokens: number;
  #last = 0;
  /** Events that did not pass. */
  suppressed = 0;

  constructor(rate: number, burst: number) {
    this.#rate = rate;
    this.#burst = Math.max(burst, 1);
    this.#tokens = this.#burst;
  }

  /** Whether an event at `now` (ms, of any clock that does not go back) passes. */
  take(now: number): boolean {
    if (this.#rate === 0) return true;
    this.#tokens = Math.min(this.#burst, this.#tokens + ((now - this.#last) * this.#rate) / 1000);
    this.#last = now;
    if (this.#tokens < 1) {
      this.suppressed++;
      return false;
    }
    this.#tokens--;
    return true;
  }
}
