import { CONNTRACK_DESTROY, type ConntrackEntry, decodeConntrack } from './conntrack.ts';

/** `enum tcp_conntrack` in linux/netfilter/nf_conntrack_tcp.h. */
const TCP_CONNTRACK_LAST_ACK = 6;
const TCP_CONNTRACK_TIME_WAIT = 7;
const TCP_CONNTRACK_CLOSE = 8;

const TUPLE_ORIG = 1 << 1; // CTA_TUPLE_ORIG
const PROTOINFO = 1 << 4; // CTA_PROTOINFO
const TIMEOUT = 1 << 7; // CTA_TIMEOUT
const TCP = 1 << 1; // CTA_PROTOINFO_TCP
const IPPROTO_TCP = 6;
const STATE = 1 << 1; // CTA_PROTOINFO_TCP_STATE

/** Reasons, as numbers of `EndReason.WORDS`. */
export const UNKNOWN = -1;
export const TIMED_OUT = 0;
export const TCP_CLOSE = 1;
export const RESET = 2;
export const DELETED = 3;

/** Why a connection ended, from the message that said so. */
export class EndReason {
  static readonly WORDS = ['timeout', 'tcp-close', 'reset', 'deleted by userspace'] as const;
  readonly #entry: ConntrackEntry;

  constructor(entry: ConntrackEntry) {
    this.#entry = entry;
  }

  /**
   * The reason in the ctnetlink message between `start` and `end`, as a number of WORDS; -1 when it is not about an end, or the kernel does not tell.
   * Since Linux 5.8 a message says in which state TCP was, and how much time was left (ctnetlink_conntrack_event).
   */
  of(view: DataView, start: number, end: number): number {
    const entry = this.#entry;
    if (
      !decodeConntrack(view, start, end, entry, TUPLE_ORIG | PROTOINFO | TIMEOUT) ||
      entry.event !== CONNTRACK_DESTROY
    )
      return UNKNOWN;
    if (entry.port !== 0) return DELETED;
    const { protoInfo } = entry;
    // A kernel before that is silent of both: what it ends may have been anything.
    if (entry.orig.protocol === IPPROTO_TCP && (entry.present & PROTOINFO) === 0) return UNKNOWN;
    if ((entry.present & PROTOINFO) !== 0 && (protoInfo.present & TCP) !== 0 && (protoInfo.fields & STATE) !== 0) {
      if (protoInfo.state === TCP_CONNTRACK_CLOSE) return RESET;
      // Both sides have said that they are done.
      if (protoInfo.state === TCP_CONNTRACK_TIME_WAIT || protoInfo.state === TCP_CONNTRACK_LAST_ACK) return TCP_CLOSE;
    }
    // Ended before its time by the kernel itself: to make room, or because a device went. It does not say which.
    return (entry.present & TIMEOUT) !== 0 && entry.timeout > 0 ? UNKNOWN : TIMED_OUT;
  }
}
