import { type StatsFs, statfsSync } from 'node:fs';
import type { MinFree } from './file-keeping.ts';

/** Milliseconds between two looks at the file system, unless it fills up faster. */
const INTERVAL = 1000;

/** Says whether a file may grow: not while its file system has less free space than it should. */
export class DiskGuard {
  readonly #directory: string;
  readonly #minFree: MinFree;
  #nextLook = Number.NEGATIVE_INFINITY;
  /** Bytes that may be written before the space runs short, as far as was known at the last look. */
  #room = 0;

  /** `directory` is one on the file system. */
  constructor(directory: string, minFree: MinFree) {
    this.#directory = directory;
    this.#minFree = minFree;
  }

  /** Whether `bytes` more may be written at `now`, in milliseconds of performance.now(). Counts them as written. */
  allows(bytes: number, now: number): boolean {
    if (this.#minFree.bytes === 0 && this.#minFree.share === 0) return true;
    // Between two looks others write too, but what we write ourselves must not overshoot.
    if (now >= this.#nextLook || (this.#room >= 0 && bytes > this.#room)) this.#look(now);
    if (bytes > this.#room) {
      this.#room = -1; // the next look is not before its time
      return false;
    }
    this.#room -= bytes;
    return true;
  }

  /** For messages: what is free, and what should be. */
  describe(): string {
    const found = this.#free();
    if (found === undefined) return 'free space unknown';
    const { free, size } = found;
    const { bytes, share } = this.#minFree;
    return share > 0
      ? `${((100 * free) / size).toFixed(1)} % of the disk is free, and min_free is ${100 * share} %`
      : `${free} bytes of the disk are free, and min_free is ${bytes}`;
  }

  #look(now: number): void {
    this.#nextLook = now + INTERVAL;
    const found = this.#free();
    // Who cannot say how much is free is not asked to keep any: writing will show.
    this.#room = found ? found.free - this.#minFree.bytes - this.#minFree.share * found.size : Number.POSITIVE_INFINITY;
  }

  #free(): { free: number; size: number } | undefined {
    let stats: StatsFs;
    try {
      stats = statfsSync(this.#directory);
    } catch {
      return undefined;
    }
    // What df shows as available: without the part that is reserved for root.
    const { bavail, blocks, bsize } = stats;
    return blocks === 0 ? undefined : { free: bavail * bsize, size: blocks * bsize };
  }
}
