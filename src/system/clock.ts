/** Wall-clock time as records hold it, read once a batch: what has no time of its own came just now. */
export class Clock {
  /** Seconds since 1970. */
  seconds = 0;
  microseconds = 0;

  update(): void {
    const now = Date.now();
    this.seconds = Math.floor(now / 1000); // beyond 31 bits from 2038 on
    this.microseconds = (now - this.seconds * 1000) * 1000;
  }
}
