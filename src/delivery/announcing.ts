import type { Batch } from './batch.ts';
import type { Destination, Progress } from './destination.ts';

/**
 * Sends something ahead of the first batch of each connection, and again after a while, for a peer that has to be told
 * how to read what follows. For destinations that do not acknowledge.
 */
export class AnnouncingDestination implements Destination {
  readonly name: string;
  readonly acknowledges = false;
  readonly #inner: Destination;
  readonly #before: (next: Uint8Array) => Uint8Array | undefined;
  readonly #interval: number;
  #last = Number.NEGATIVE_INFINITY;

  /** `before` makes what goes ahead of a batch, if anything; `interval` is in milliseconds, Infinity for once a connection. */
  constructor(inner: Destination, before: (next: Uint8Array) => Uint8Array | undefined, interval: number) {
    this.name = inner.name;
    this.#inner = inner;
    this.#before = before;
    this.#interval = interval;
  }

  connect(progress: Progress): void {
    this.#last = Number.NEGATIVE_INFINITY;
    this.#inner.connect(progress);
  }

  send(batch: Batch): boolean {
    const now = performance.now();
    if (now - this.#last >= this.#interval) {
      const bytes = this.#before(batch.bytes);
      if (bytes !== undefined && !this.#inner.send({ bytes, events: 0, time: batch.time })) return false;
      this.#last = now;
    }
    return this.#inner.send(batch);
  }

  finish(done: () => void): void {
    this.#inner.finish(done);
  }

  close(): void {
    this.#inner.close();
  }
}
