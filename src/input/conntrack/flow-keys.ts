import type { KeySpecs } from '../../pipeline/key.ts';

/** Keys of a connection, in ulogd's order. IPFIX elements are those that the output IPFIX sends them as. */
export const flowKeys = {
  'orig.ip.saddr': { type: 'ip', doc: 'Source address in the original direction.', ipfix: { field: 8 } },
  'orig.ip.daddr': { type: 'ip', doc: 'Destination address in the original direction.', ipfix: { field: 12 } },
  'orig.ip.protocol': { type: 'u8', doc: 'IP protocol number.', ipfix: { field: 4 } },
  'orig.l4.sport': { type: 'u16', doc: 'Source port in the original direction.', ipfix: { field: 7 } },
  'orig.l4.dport': { type: 'u16', doc: 'Destination port in the original direction.', ipfix: { field: 11 } },
  'orig.raw.pktlen': {
    type: 'u64',
    doc: 'Bytes in the original direction; 0 unless net.netfilter.nf_conntrack_acct is 1.',
    ipfix: { field: 85 },
  },
  'orig.raw.pktcount': { type: 'u64', doc: 'Packets in the original direction.', ipfix: { field: 86 } },
  'reply.ip.saddr': { type: 'ip', doc: 'Source address in the reply direction: after DNAT.', ipfix: { field: 226 } },
  'reply.ip.daddr': {
    type: 'ip',
    doc: 'Destination address in the reply direction: after SNAT.',
    ipfix: { field: 225 },
  },
  'reply.ip.protocol': { type: 'u8', doc: 'IP protocol number of the reply direction.', ipfix: { field: 4 } },
  'reply.l4.sport': { type: 'u16', doc: 'Source port in the reply direction.', ipfix: { field: 228 } },
  'reply.l4.dport': { type: 'u16', doc: 'Destination port in the reply direction.', ipfix: { field: 227 } },
  'reply.raw.pktlen': { type: 'u64', doc: 'Bytes in the reply direction.', ipfix: { vendor: 29305, field: 85 } },
  'reply.raw.pktcount': { type: 'u64', doc: 'Packets in the reply direction.', ipfix: { vendor: 29305, field: 86 } },
  'icmp.code': { type: 'u8', doc: 'ICMP code of the packet that began the connection.', ipfix: { field: 32 } },
  'icmp.type': { type: 'u8', doc: 'ICMP type of the packet that began the connection.', ipfix: { field: 32 } },
  'icmpv6.code': { type: 'u8', doc: 'ICMPv6 code of the packet that began the connection.', ipfix: { field: 139 } },
  'icmpv6.type': { type: 'u8', doc: 'ICMPv6 type of the packet that began the connection.', ipfix: { field: 139 } },
  'ct.mark': { type: 'u32', doc: 'Mark of the connection; 0 if it has none.', ipfix: { vendor: 21373, field: 4 } },
  'ct.id': { type: 'u32', doc: "The kernel's number for the connection.", ipfix: { field: 148 } },
  'ct.event': { type: 'u32', doc: 'What happened: 1 new, 2 changed, 4 ended.', ipfix: { field: 233 } },
  'flow.start.sec': { type: 'u32', doc: 'Begin of the connection, in seconds since 1970.', ipfix: { field: 152 } },
  'flow.start.usec': { type: 'u32', doc: 'Microseconds beyond flow.start.sec.', ipfix: { field: 152 } },
  'flow.end.sec': { type: 'u32', doc: 'End of the connection, in seconds since 1970.', ipfix: { field: 153 } },
  'flow.end.usec': { type: 'u32', doc: 'Microseconds beyond flow.end.sec.', ipfix: { field: 153 } },
  'oob.family': { type: 'u8', doc: 'Protocol family: 2 IPv4, 10 IPv6.' },
  'oob.protocol': { type: 'u16', doc: 'Always 0: a connection has no ethertype.' },
  ct: { type: 'raw', doc: 'The whole ctnetlink message.' },
  'flow.reconstructed': {
    type: 'bool',
    doc: '1 where the event of the begin was lost, and a dump of the table showed the connection.',
  },
  'flow.unobserved': {
    type: 'bool',
    doc: '1 where the event of the end was lost, and a dump of the table no longer showed the connection; counters are the last known.',
  },
  'flow.end.window.sec': {
    type: 'u32',
    doc: 'Earliest time at which an unobserved connection can have ended, in seconds since 1970; flow.end.sec is the latest.',
  },
  'flow.end.window.usec': { type: 'u32', doc: 'Microseconds beyond flow.end.window.sec.' },
} as const satisfies KeySpecs;
