/** What an input has read, and what it knows to have missed. Counts only grow. */
export class InputLedger {
  /** Events handed to the stacks. */
  received = 0;
  /** Netlink messages of the kernel, batches of packets counted as one. */
  datagrams = 0;
  /** Messages that no decoder understood. */
  malformed = 0;
  /** Times that the kernel said that the socket's buffer was full. */
  overruns = 0;
  /** Datagrams that the kernel counted as not delivered to the socket. */
  kernelDrops = 0;
  /** Events lost in the kernel by its own numbering: exact. */
  lost = 0;
  /** Events lost in the kernel that nothing numbers: an estimate. */
  lostEstimated = 0;
  /** Gaps that were reported to the outputs. */
  gaps = 0;
}

/** Events that an input missed, as its outputs write it into their own stream. Times are in ms since 1970. */
export interface Gap {
  /** The input's network namespace is gone: nothing more comes, and nothing need be missing. */
  readonly end?: true;
  /** Name of the input's network namespace, where an option names it. */
  readonly netns?: string;
  readonly input: string;
  /** The last time at which nothing was missing yet. */
  readonly from: number;
  /** When reading resumed. */
  readonly to: number;
  readonly lost: number;
  /** The kernel's own numbers say how many; otherwise it is an estimate. */
  readonly exact: boolean;
  readonly cause: string;
}

/** What became of the events that an output took. */
export interface OutputAccount {
  /** The same object for outputs that share a destination: their events are counted together. */
  readonly sink: object;
  /** Events that have left for good. */
  readonly written: number;
  /** Events that wait in memory. */
  readonly queued: number;
  /** Events that wait on the disk. */
  readonly spooled?: number;
  /** Events given up, by reason. */
  readonly dropped: Readonly<Record<string, number>>;
  /** Bytes written. */
  readonly bytes: number;
  /** Attempts beyond the first. */
  readonly retries?: number;
  /** Whether the destination can be reached now, where that is known. */
  readonly connected?: boolean;
  /** Age in milliseconds of the oldest event that waits. */
  readonly lag?: number;
}

/** Sum of the counts in one column of a ledger. */
export const total = (counts: Readonly<Record<string, number>>): number =>
  Object.values(counts).reduce((sum, count) => sum + count, 0);
