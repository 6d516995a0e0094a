/** Bytes on their way to a destination, opaque to delivery: some whole lines, a message, a statement. */
export interface Batch {
  readonly bytes: Uint8Array;
  /** Events that the bytes tell of. */
  readonly events: number;
  /** When it was made: milliseconds since 1970. */
  readonly time: number;
}

/** Why events were dropped. Each reason has a counter of its own. */
export const DROP_REASONS = ['queue full', 'spool full', 'spool corrupt', 'refused', 'stopped'] as const;
export type DropReason = (typeof DROP_REASONS)[number];

/** Events dropped, by reason. */
export type Drops = Record<DropReason, number>;

/** Counters at zero. */
export function noDrops(): Drops {
  return { 'queue full': 0, 'spool full': 0, 'spool corrupt': 0, refused: 0, stopped: 0 };
}
