import { IPCTNL_MSG_CT_GET_STATS, IPCTNL_MSG_CT_GET_STATS_CPU } from './ctnetlink.ts';
import { align, attributeEnd, attributeType, messageType, NLA_HEADER, NLMSG_HEADER } from './netlink.ts';
import { NFNL_HEADER } from './nfnetlink.ts';

/** Numbers that conntrack keeps about itself: one processor's counters, or the totals of the namespace. */
export class ConntrackStats {
  /** Whose counters these are; means nothing for the totals. */
  cpu = 0;
  /** Bits of the filled `values`. */
  present = 0;
  /** By attribute: CTA_STATS_* of a processor, CTA_STATS_GLOBAL_* of the totals. */
  readonly values = new Uint32Array(32);
}

/** Decodes the IPCTNL_MSG_CT_GET_STATS or _STATS_CPU message between `start` and `end`; false when malformed or neither. */
export function decodeConntrackStats(view: DataView, start: number, end: number, into: ConntrackStats): boolean {
  if (end - start < NFNL_HEADER) return false;
  const message = messageType(view, start);
  if (message !== IPCTNL_MSG_CT_GET_STATS && message !== IPCTNL_MSG_CT_GET_STATS_CPU) return false;
  into.cpu = view.getUint16(start + NLMSG_HEADER + 2); // ctnetlink_ct_stat_cpu_fill_info: the resource is the processor
  into.present = 0;
  for (let at = start + NFNL_HEADER; at < end; ) {
    const to = attributeEnd(view, at, end);
    if (to < 0) return false;
    const type = attributeType(view, at);
    if (type < 32) {
      if (to - at !== NLA_HEADER + 4) return false;
      into.values[type] = view.getUint32(at + NLA_HEADER);
      into.present |= 1 << type;
    }
    at += align(to - at);
  }
  return true;
}
