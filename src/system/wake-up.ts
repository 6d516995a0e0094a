// How a pump is woken. Waking the event loop costs tens of microseconds, whether one datagram waits or hundreds: at high
// rates it is better to sleep a few milliseconds and find many; at low rates the socket itself wakes us, at once.

/** Bytes that the kernel charges the socket buffer for a datagram beyond its own: struct sk_buff and rounding. */
export const DATAGRAM_OVERHEAD = 768;
const SHORTEST = 5;
const LONGEST = 20;
/** From so many bytes in 20 ms on, twice as long a sleep is worth it: a wake-up costs some 100 us, cold caches and all. */
const PLENTY = 64 << 10;
/** Datagrams that a sleep of `LONGEST` must promise to be worth it: more to begin sleeping than to go on. */
const WORTH_BEGINNING = 4;
const WORTH_KEEPING = 2;

/**
 * Milliseconds to sleep before the next drain, or 0 to be woken by the socket, after `datagrams` with `bytes` in all
 * came within `elapsed` ms and the sleep before was `before` ms (0: none). Sleeps double up to 20 ms, or 40 under
 * load, and are never so long that what comes meanwhile would take more than a quarter of the socket's buffer of
 * `bufferSize` bytes.
 */
export function nextDelay(
  before: number,
  datagrams: number,
  bytes: number,
  elapsed: number,
  bufferSize: number,
): number {
  const span = Math.max(elapsed, 0.1);
  const expected = (datagrams / span) * LONGEST;
  if (expected < (before > 0 ? WORTH_KEEPING : WORTH_BEGINNING)) return 0;
  const charge = (bytes + datagrams * DATAGRAM_OVERHEAD) / span;
  const safe = Math.floor(bufferSize / 4 / charge);
  const longest = (bytes / span) * LONGEST < PLENTY ? LONGEST : 2 * LONGEST;
  const wanted = before > 0 ? Math.min(before * 2, longest) : SHORTEST;
  return Math.min(wanted, safe);
}

/** The state that the decision needs: how much came since when. */
export class WakeUp {
  #delay = 0;
  #since: number;
  #datagrams = 0;
  #bytes = 0;

  /** Starts measuring at `now` (ms). */
  constructor(now: number) {
    this.#since = now;
  }

  /** The milliseconds to sleep (0: wait for the socket) after a drain that ended at `now` (ms). */
  after(datagrams: number, bytes: number, now: number, bufferSize: number): number {
    this.#datagrams += datagrams;
    this.#bytes += bytes;
    const elapsed = now - this.#since;
    // Woken by the socket we see a datagram or two at a time, and a short sleep may find none: too few to judge by.
    if (elapsed < LONGEST && (this.#delay === 0 || this.#datagrams < WORTH_BEGINNING)) return this.#delay;
    this.#delay = nextDelay(this.#delay, this.#datagrams, this.#bytes, elapsed, bufferSize);
    this.#since = now;
    this.#datagrams = 0;
    this.#bytes = 0;
    return this.#delay;
  }
}
