import type { ConntrackEntry } from '../../wire/conntrack.ts';
import { CTA_TIMESTAMP_EVENT, CTA_TIMESTAMP_START, CTA_TIMESTAMP_STOP } from '../../wire/ctnetlink.ts';
import { subsecondNanoseconds, wholeSeconds } from '../../wire/nanoseconds.ts';
import { U32 } from '../../wire/netlink.ts';

// V8 folds constants of this module only.
const TIMESTAMP_EVENT = 1 << CTA_TIMESTAMP_EVENT;
const TIMESTAMP_START = 1 << CTA_TIMESTAMP_START;
const TIMESTAMP_STOP = 1 << CTA_TIMESTAMP_STOP;

/** A point in time as records hold it. */
export class Moment {
  seconds = U32;
  microseconds = 0;
  known = false;

  set(seconds: number, microseconds: number): void {
    this.seconds = seconds;
    this.microseconds = microseconds;
    this.known = true;
  }
}

/** The kernel's own times of begin and end, where net.netfilter.nf_conntrack_timestamp is 1; not known otherwise. */
export function readTimes({ timestamps }: ConntrackEntry, start: Moment, end: Moment): void {
  start.known = (timestamps.present & TIMESTAMP_START) !== 0;
  end.known = (timestamps.present & TIMESTAMP_STOP) !== 0;
  if (start.known) setMoment(start, timestamps.startHigh, timestamps.startLow);
  if (end.known) setMoment(end, timestamps.stopHigh, timestamps.stopLow);
}

/** A connection that is new began when the kernel says that its event happened (since Linux 6.14), or just now. */
export function setBegin(entry: ConntrackEntry, start: Moment, now: Moment): void {
  if ((entry.present & TIMESTAMP_EVENT) !== 0) setMoment(start, entry.eventTimeHigh, entry.eventTimeLow);
  else start.set(now.seconds, now.microseconds);
}

/**
 * The begin of a connection that a dump shows: the kernel's own time. Where it notes none, one that the dump before had not
 * (`appeared`) has begun by now, and of any other nobody knows.
 */
export function readBegin({ timestamps }: ConntrackEntry, start: Moment, now: Moment, appeared: boolean): void {
  start.set(now.seconds, now.microseconds);
  start.known = appeared;
  if ((timestamps.present & TIMESTAMP_START) !== 0) setMoment(start, timestamps.startHigh, timestamps.startLow);
}

function setMoment(moment: Moment, high: number, low: number): void {
  moment.set(wholeSeconds(high, low), Math.floor(subsecondNanoseconds(high, low) / 1000));
}
