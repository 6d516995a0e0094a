import type { KeySpecs } from '../pipeline/key.ts';

/** Keys of a packet as the kernel hands it over: what NFLOG writes, in ulogd's order. */
export const packetKeys = {
  'raw.mac': { type: 'raw', doc: 'Link layer header.' },
  'raw.pkt': { type: 'raw', doc: 'The packet from its network header on.', ipfix: { vendor: 21373, field: 1 } },
  'raw.pktlen': { type: 'u32', doc: 'Bytes of the packet that are there.', ipfix: { vendor: 21373, field: 2 } },
  'raw.pktcount': { type: 'u32', doc: 'Packets that the record stands for: always 1.', ipfix: { field: 2 } },
  'oob.prefix': {
    type: 'string',
    doc: 'Prefix of the rule that logged the packet.',
    ipfix: { vendor: 21373, field: 3 },
  },
  'oob.time.sec': { type: 'u32', doc: 'Time of the packet, in seconds since 1970.', ipfix: { field: 150 } },
  'oob.time.usec': { type: 'u32', doc: 'Microseconds beyond oob.time.sec.', ipfix: { field: 154 } },
  'oob.mark': { type: 'u32', doc: 'Mark of the packet; 0 if it has none.', ipfix: { vendor: 21373, field: 4 } },
  'oob.ifindex_in': { type: 'u32', doc: 'Index of the interface the packet came in by.', ipfix: { field: 10 } },
  'oob.ifindex_out': { type: 'u32', doc: 'Index of the interface the packet goes out by.', ipfix: { field: 14 } },
  'oob.hook': {
    type: 'u8',
    doc: 'Netfilter hook: 0 prerouting, 1 input, 2 forward, 3 output, 4 postrouting.',
    ipfix: { vendor: 21373, field: 5 },
  },
  'raw.mac_len': { type: 'u16', doc: 'Bytes of raw.mac.' },
  'oob.seq.local': { type: 'u32', doc: 'Number of the packet within its group.', ipfix: { vendor: 21373, field: 7 } },
  'oob.seq.global': { type: 'u32', doc: 'Number of the packet over all groups.', ipfix: { vendor: 21373, field: 8 } },
  'oob.family': { type: 'u8', doc: 'Protocol family of the rule: 2 IPv4, 10 IPv6, 7 bridge, 3 ARP, 5 netdev.' },
  'oob.protocol': { type: 'u16', doc: 'Ethertype of the packet.' },
  'oob.uid': { type: 'u32', doc: 'User that owns the sending socket.' },
  'oob.gid': { type: 'u32', doc: 'Group that owns the sending socket.' },
  'raw.label': { type: 'u8', doc: 'Label given by the option numeric_label.' },
  'raw.type': { type: 'u16', doc: 'Hardware type (ARPHRD): 1 is Ethernet.' },
  'raw.mac.saddr': { type: 'raw', doc: 'Hardware address of the sender.', ipfix: { field: 56 } },
  'raw.mac.addrlen': { type: 'u16', doc: 'Bytes of raw.mac.saddr.' },
  raw: { type: 'raw', doc: 'The whole netlink message.' },
  ct: { type: 'raw', doc: 'Connection of the packet, as ctnetlink attributes (attach_conntrack).' },
} as const satisfies KeySpecs;
