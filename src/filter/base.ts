import { defineFilter, type Slots } from '../pipeline/plugin.ts';
import type { Record } from '../pipeline/record.ts';
import { ETHERNET_HEADER, ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_OFFSET } from '../wire/ethernet.ts';
import {
  IPPROTO_ESP,
  IPV4_FRAGMENT_OFFSET,
  IPV4_HEADER,
  IPV6_HEADER,
  NFPROTO_ARP,
  NFPROTO_BRIDGE,
  NFPROTO_IPV4,
  NFPROTO_IPV6,
  NFPROTO_NETDEV,
} from '../wire/ip.ts';
import { Ipv6Chain, walkExtensionHeaders } from '../wire/ipv6.ts';
import { baseKeys } from './base-keys.ts';
import { type DecodeTransport, linkTransport } from './base-transport.ts';

/** Hook of a netdev rule on packets that leave (NF_NETDEV_EGRESS in linux/netfilter.h). */
const NETDEV_EGRESS = 1;
/** Bytes of an ARP packet up to its addresses, and of one for IPv4 over Ethernet (RFC 826). */
const ARP_HEADER = 8;
const ARP_ETHERNET_IPV4 = 28;

/** BASE: the headers of a packet, field by field. */
export default defineFilter({
  name: 'BASE',
  summary: 'Decodes the headers of each packet: IPv4, IPv6, ARP, TCP, UDP, SCTP, ICMP.',
  accepts: ['raw'],
  gives: 'packet',
  example: 'stack=log1:NFLOG,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,print1:PRINTPKT,emu1:LOGEMU',
  options: {},
  reads: {
    'raw.pkt': { type: 'raw' },
    'oob.family': { type: 'u8' },
    'oob.protocol': { type: 'u16' },
    'oob.hook': { type: 'u8', optional: true },
  },
  writes: baseKeys,
  link({ read, write, memory, compat }) {
    const { 'raw.pkt': packet, 'oob.family': family, 'oob.protocol': protocol, 'oob.hook': hook } = read;
    const protocolCopy = write['oob.protocol'];
    const transport = linkTransport(write, memory, compat);
    const ipv4 = linkIpv4(write, transport, compat);
    const ipv6 = linkIpv6(write, transport, compat);
    const arp = linkArp(write, compat);

    function byEthertype(record: Record, start: number, end: number): void {
      if (record.valid[protocol] === 0) return;
      switch (record.value[protocol]) {
        case ETHERTYPE_IPV4:
          ipv4(record, start, end);
          break;
        case ETHERTYPE_IPV6:
          ipv6(record, start, end);
          break;
        case ETHERTYPE_ARP:
          arp(record, start, end);
      }
    }

    /** On egress the kernel hands over the frame from its link layer header on: nf_hook_egress runs behind dev_hard_header. */
    function netdev(record: Record, start: number, end: number): void {
      const { view, value, valid } = record;
      const framed =
        valid[hook] === 1 &&
        value[hook] === NETDEV_EGRESS &&
        end - start >= ETHERNET_HEADER &&
        view.getUint16(start + ETHERTYPE_OFFSET) === value[protocol];
      byEthertype(record, framed ? start + ETHERNET_HEADER : start, end);
    }

    return {
      run(record) {
        const { value, valid } = record;
        record.copy(protocol, protocolCopy);
        if (valid[packet] === 0 || valid[family] === 0) return true;
        const start = value[packet]!;
        const end = start + record.extra[packet]!;
        switch (value[family]) {
          case NFPROTO_IPV4:
            ipv4(record, start, end);
            break;
          case NFPROTO_IPV6:
            ipv6(record, start, end);
            break;
          case NFPROTO_BRIDGE:
            byEthertype(record, start, end);
            break;
          // ulogd 2.0.8 decodes nothing for these two.
          case NFPROTO_ARP:
            if (!compat) arp(record, start, end);
            break;
          case NFPROTO_NETDEV:
            if (!compat) netdev(record, start, end);
        }
        return true;
      },
    };
  },
});

type Decode = (record: Record, start: number, end: number) => void;

function linkIpv4(write: Slots<typeof baseKeys>, transport: DecodeTransport, compat: boolean): Decode {
  const { 'ip.saddr': saddr, 'ip.daddr': daddr, 'ip.protocol': protocol, 'ip.tos': tos, 'ip.ttl': ttl } = write;
  const { 'ip.totlen': totlen, 'ip.ihl': ihl, 'ip.csum': csum, 'ip.id': id, 'ip.fragoff': fragoff } = write;
  return (record, start, end) => {
    const { view } = record;
    if (end - start < IPV4_HEADER) return;
    const words = view.getUint8(start) & 15;
    const payload = start + words * 4;
    // ulogd 2.0.8 gives up a packet that has nothing behind its header.
    if (compat && payload >= end) return;
    const fragment = view.getUint16(start + 6);
    const carried = view.getUint8(start + 9);
    record.setBytes(saddr, start + 12, 4);
    record.setBytes(daddr, start + 16, 4);
    record.setNumber(protocol, carried);
    record.setNumber(tos, view.getUint8(start + 1));
    record.setNumber(ttl, view.getUint8(start + 8));
    record.setNumber(totlen, view.getUint16(start + 2));
    record.setNumber(ihl, words);
    record.setNumber(csum, view.getUint16(start + 10));
    record.setNumber(id, view.getUint16(start + 4));
    record.setNumber(fragoff, fragment);
    // A later fragment has no transport header, nor has one whose header length is a lie; ulogd 2.0.8 reads one all the same.
    if (compat || ((fragment & IPV4_FRAGMENT_OFFSET) === 0 && words >= 5)) transport(record, carried, payload, end, 4);
  };
}

function linkIpv6(write: Slots<typeof baseKeys>, transport: DecodeTransport, compat: boolean): Decode {
  const { 'ip.saddr': saddr, 'ip.daddr': daddr, 'ip.protocol': protocol, 'ahesp.spi': spi } = write;
  const { 'ip6.payloadlen': payloadlen, 'ip6.priority': priority, 'ip6.flowlabel': flowlabel } = write;
  const { 'ip6.hoplimit': hoplimit, 'ip6.nexthdr': nexthdr, 'ip6.fragoff': fragoff, 'ip6.fragid': fragid } = write;
  const chain = new Ipv6Chain();
  return (record, start, end) => {
    const { view } = record;
    if (end - start < IPV6_HEADER) return;
    const word = view.getUint32(start);
    record.setBytes(saddr, start + 8, 16);
    record.setBytes(daddr, start + 24, 16);
    record.setNumber(payloadlen, view.getUint16(start + 4));
    record.setNumber(priority, (word >>> 20) & 0xff);
    record.setNumber(flowlabel, word & 0xfffff);
    record.setNumber(hoplimit, view.getUint8(start + 7));
    const known = walkExtensionHeaders(view, start, end, chain, compat);
    if (chain.fragmented) {
      record.setNumber(fragoff, chain.fragmentOffset);
      record.setNumber(fragid, chain.fragmentId);
    }
    if (chain.authenticated && !compat) record.setNumber(spi, chain.spi);
    if (!known) return;
    const { later } = chain;
    if (compat && !later && chain.protocol === IPPROTO_ESP && !fitsAsExtension(view, chain.offset, end)) return;
    record.setNumber(nexthdr, chain.protocol);
    // ulogd 2.0.8 leaves ip.protocol out where it finds nothing to decode.
    if (!compat || (!later && chain.protocol !== IPPROTO_ESP)) record.setNumber(protocol, chain.protocol);
    if (!later) transport(record, chain.protocol, chain.offset, end, 6);
  };
}

/** ulogd 2.0.8 takes ESP for an authentication header, and a byte of its SPI for the length. */
function fitsAsExtension(view: DataView, at: number, end: number): boolean {
  return end - at >= 8 && (view.getUint8(at + 1) + 2) << 2 <= end - at;
}

function linkArp(write: Slots<typeof baseKeys>, compat: boolean): Decode {
  const { 'arp.hwtype': hwtype, 'arp.protocoltype': protocoltype, 'arp.operation': operation } = write;
  const { 'arp.shwaddr': shwaddr, 'arp.saddr': saddr, 'arp.dhwaddr': dhwaddr, 'arp.daddr': daddr } = write;
  return (record, start, end) => {
    const { view } = record;
    // ulogd 2.0.8 takes every ARP packet for IPv4 over Ethernet, and a shorter one for none.
    if (end - start < (compat ? ARP_ETHERNET_IPV4 : ARP_HEADER)) return;
    record.setNumber(hwtype, view.getUint16(start));
    record.setNumber(protocoltype, view.getUint16(start + 2));
    record.setNumber(operation, view.getUint16(start + 6));
    const hardware = compat ? 6 : view.getUint8(start + 4);
    const length = compat ? 4 : view.getUint8(start + 5);
    const sender = start + ARP_HEADER;
    const target = sender + hardware + length;
    if (target + hardware + length > end) return;
    record.setBytes(shwaddr, sender, hardware);
    record.setBytes(dhwaddr, target, hardware);
    if (length !== 4 || (!compat && view.getUint16(start + 2) !== ETHERTYPE_IPV4)) return;
    record.setBytes(saddr, sender + hardware, 4);
    record.setBytes(daddr, target + hardware, 4);
  };
}
