import type { Batch } from './batch.ts';

/** What a batch takes in memory beside its bytes: without it, a queue of tiny batches would outgrow its limit. */
export const BATCH_OVERHEAD = 256;
const SHRINK = 1024;

/** Batches in the order in which they came, bounded in bytes. What does not fit is the caller's to place or to count. */
export class Queue<Item extends Batch = Batch> {
  readonly maxBytes: number;
  /** Bytes held, with what the batches cost beside their own. */
  bytes = 0;
  /** Bytes of the batches alone. */
  payload = 0;
  events = 0;
  #items: (Item | undefined)[] = [];
  #first = 0;

  /** Without a limit the caller must bound it in another way. */
  constructor(maxBytes = Number.POSITIVE_INFINITY) {
    this.maxBytes = maxBytes;
  }

  /** Batches held. */
  get length(): number {
    return this.#items.length - this.#first;
  }

  /** The oldest batch. */
  get head(): Item | undefined {
    return this.#items[this.#first];
  }

  /** Whether a batch of `size` bytes fits now. */
  fits(size: number): boolean {
    return this.bytes + size + BATCH_OVERHEAD <= this.maxBytes;
  }

  /** Takes a batch behind all others; false when it does not fit. */
  push(item: Item): boolean {
    if (!this.fits(item.bytes.length)) return false;
    this.#items.push(item);
    this.bytes += item.bytes.length + BATCH_OVERHEAD;
    this.payload += item.bytes.length;
    this.events += item.events;
    return true;
  }

  /** Events of the batches for which `counts` holds. */
  eventsOf(counts: (item: Item) => boolean): number {
    let events = 0;
    for (const item of this.#items) if (item !== undefined && counts(item)) events += item.events;
    return events;
  }

  /** Gives up the oldest batch. */
  shift(): Item | undefined {
    const item = this.#items[this.#first];
    if (item === undefined) return undefined;
    this.#items[this.#first++] = undefined;
    this.bytes -= item.bytes.length + BATCH_OVERHEAD;
    this.payload -= item.bytes.length;
    this.events -= item.events;
    if (this.#first === this.#items.length || this.#first >= SHRINK) {
      this.#items = this.#items.slice(this.#first);
      this.#first = 0;
    }
    return item;
  }
}
