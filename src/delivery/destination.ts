import type { Batch } from './batch.ts';

/**
 * What a destination tells its sender. All calls come from the event loop, never from within `connect` or `send`.
 * After `closed`, nothing counts any more until the next `connect`.
 */
export interface Progress {
  /** The connection stands. */
  connected(): void;
  /** There is room again after `send` returned false. */
  ready(): void;
  /** The oldest `count` batches that were accepted have arrived. */
  acknowledged(count: number): void;
  /** The oldest batch that was accepted will never be taken, however often it is sent: `events` of it are lost. */
  refused(events: number): void;
  /** No connection could be made, or it ended; the reason is for the operator. */
  closed(reason: string): void;
}

/** Where bytes go: a connection that comes and goes. It keeps nothing that the sender does not know of. */
export interface Destination {
  /** For messages: `tcp://192.0.2.7:12345`. */
  readonly name: string;
  /** True when it calls `acknowledged`: what is not acknowledged goes again. Else accepted is sent. */
  readonly acknowledges: boolean;
  /** Begins to connect. */
  connect(progress: Progress): void;
  /** Takes a whole batch, which it must not change, or none of it: false, and `ready` follows. */
  send(batch: Batch): boolean;
  /** No more is to come: `done` is called once all that was accepted has left this process. */
  finish(done: () => void): void;
  /** Ends the connection at once, or the attempt. Harmless when called again. */
  close(): void;
}
