import type { ConntrackEntry } from '../../wire/conntrack.ts';
import type { Counters } from '../../wire/conntrack-parts.ts';
import type { Tuple } from '../../wire/conntrack-tuple.ts';
import * as cta from '../../wire/ctnetlink.ts';

const ENTRY = (1 << cta.CTA_TUPLE_ORIG) | (1 << cta.CTA_TUPLE_REPLY) | (1 << cta.CTA_ID);
const NUMBER = 1 << cta.CTA_PROTO_NUM;
const PORTS = (1 << cta.CTA_PROTO_SRC_PORT) | (1 << cta.CTA_PROTO_DST_PORT);
const ICMP = (1 << cta.CTA_PROTO_ICMP_ID) | (1 << cta.CTA_PROTO_ICMP_TYPE) | (1 << cta.CTA_PROTO_ICMP_CODE);
const ICMPV6 = (1 << cta.CTA_PROTO_ICMPV6_ID) | (1 << cta.CTA_PROTO_ICMPV6_TYPE) | (1 << cta.CTA_PROTO_ICMPV6_CODE);
const COUNTERS = (1 << cta.CTA_COUNTERS_PACKETS) | (1 << cta.CTA_COUNTERS_BYTES);

/**
 * Whether a decoded entry has all that the kernel says of every connection (ctnetlink_conntrack_event in
 * nf_conntrack_netlink.c), and nothing by half. Without, values that an earlier entry left behind would count.
 */
export function isWhole(entry: ConntrackEntry): boolean {
  return (
    (entry.present & ENTRY) === ENTRY &&
    isWholeTuple(entry.orig) &&
    isWholeTuple(entry.reply) &&
    areWholeCounters(entry.origCounters) &&
    areWholeCounters(entry.replyCounters)
  );
}

function isWholeTuple({ sourceLength, destinationLength, protoPresent }: Tuple): boolean {
  if (sourceLength === 0 || sourceLength !== destinationLength) return false;
  const protocol = protoPresent & (NUMBER | PORTS | ICMP | ICMPV6);
  return (
    protocol === (NUMBER | PORTS) ||
    protocol === NUMBER ||
    protocol === (NUMBER | ICMP) ||
    protocol === (NUMBER | ICMPV6)
  );
}

function areWholeCounters({ present }: Counters): boolean {
  return present === 0 || (present & COUNTERS) === COUNTERS;
}
