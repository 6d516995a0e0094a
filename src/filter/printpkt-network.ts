import type { Slots } from '../pipeline/plugin.ts';
import type { Record } from '../pipeline/record.ts';
import { Literal, writeDecimal, writeHardwareAddress, writePaddedHex, writeShort } from '../wire/ascii.ts';
import { MAX_HARDWARE_ADDRESS } from '../wire/ethernet.ts';
import { writeField } from '../wire/field.ts';
import { IPV4_FRAGMENT_OFFSET, IPV6_HEADER } from '../wire/ip.ts';
import type { printpktReads } from './printpkt-reads.ts';
import { linkTransport } from './printpkt-transport.ts';

/** Writes a part of the line at an offset, and returns the offset behind it. */
export type Write = (record: Record, at: number) => number;

const SPACE = 0x20;
const SRC = new Literal('SRC=');
const DST = new Literal('DST=');
const LEN = new Literal('LEN=');
const ID = new Literal(' ID=');
const FRAG = new Literal('FRAG:');
const TC = new Literal('TC=');
const HOPLIMIT = new Literal('HOPLIMIT=');
const FLOWLBL = new Literal('FLOWLBL=');
const FRAG6 = new Literal('FRAG: ');
const ID6 = new Literal(' ID: ');
const PROTO_ARP = new Literal('PROTO=ARP ');
const CODE = new Literal('CODE=');
const REPLY_MAC = new Literal('REPLY_MAC=');
const INCOMPLETE = new Literal('INCOMPLETE ');
/** What ulogd 2.0.8 makes of a packet without an IPv4 header. */
const NO_IPV4 = new Literal('LEN=0 TOS=00 PREC=0x00 TTL=0 ID=0 PROTO=0 ');
const NO_PROTOCOL = new Literal('PROTO=0 ');
/** The type of service with the words around it, and the flags of the fragment field, for every value. */
const TOS = Array.from(
  { length: 256 },
  (_, tos) => new Literal(` TOS=${hex(tos & 0x1e)} PREC=0x${hex(tos & 0xe0)} TTL=`),
);
const FLAGS = Array.from(
  { length: 8 },
  (_, bits) => new Literal(`${bits & 4 ? 'CE ' : ''}${bits & 2 ? 'DF ' : ''}${bits & 1 ? 'MF ' : ''}`),
);

const ARP_REQUEST = 1;
const ARP_REPLY = 2;
const ARP_NAK = 10;
const REQUEST = new Literal('REQUEST ');
const REPLY = new Literal('REPLY ');
const NAK = new Literal('NAK ');

function hex(value: number): string {
  return value.toString(16).toUpperCase().padStart(2, '0');
}

/** The part of an IPv4 packet: its header and what it carries. */
export function linkIpv4(read: Slots<typeof printpktReads>, compat: boolean): Write {
  const { 'ip.saddr.str': saddr, 'ip.daddr.str': daddr, 'ip.totlen': totlen, 'ip.tos': tos, 'ip.ttl': ttl } = read;
  const { 'ip.id': id, 'ip.fragoff': fragoff, 'ip.protocol': protocol } = read;
  const transport = linkTransport(read, compat);
  return (record, at) => {
    const { bytes, view, value, valid } = record;
    let to = writeAddresses(record, saddr, daddr, at);
    if (valid[totlen] === 0) return (compat ? NO_IPV4 : INCOMPLETE).writeTo(view, to);
    const fragment = value[fragoff]!;
    to = writeDecimal(view, LEN.writeTo(view, to), value[totlen]!);
    to = writeDecimal(view, TOS[value[tos]!]!.writeTo(view, to), value[ttl]!);
    to = writeDecimal(view, ID.writeTo(view, to), value[id]!);
    bytes[to++] = SPACE;
    if (fragment !== 0) {
      to = FLAGS[fragment >> 13]!.writeTo(view, to);
      if ((fragment & IPV4_FRAGMENT_OFFSET) !== 0) {
        to = writeDecimal(view, FRAG.writeTo(view, to), fragment & IPV4_FRAGMENT_OFFSET);
        bytes[to++] = SPACE;
      }
    }
    return transport(record, to, value[protocol]!, (fragment & IPV4_FRAGMENT_OFFSET) !== 0, 4);
  };
}

/** The part of an IPv6 packet: its headers and what it carries. */
export function linkIpv6(read: Slots<typeof printpktReads>, compat: boolean): Write {
  const { 'ip.saddr.str': saddr, 'ip.daddr.str': daddr, 'ip6.payloadlen': payloadlen, 'ip6.priority': priority } = read;
  const { 'ip6.hoplimit': hoplimit, 'ip6.flowlabel': flowlabel, 'ip6.nexthdr': nexthdr } = read;
  const { 'ip6.fragoff': fragoff, 'ip6.fragid': fragid } = read;
  const transport = linkTransport(read, compat);
  return (record, at) => {
    const { bytes, view, value, valid } = record;
    let to = writeAddresses(record, saddr, daddr, at);
    if (valid[payloadlen] === 1) {
      to = writeField(bytes, view, to, LEN, value[payloadlen]! + IPV6_HEADER);
      to = writeField(bytes, view, to, TC, value[priority]!);
      to = writeField(bytes, view, to, HOPLIMIT, value[hoplimit]!);
      to = writeField(bytes, view, to, FLOWLBL, value[flowlabel]!);
    }
    if (valid[fragoff] === 1) {
      to = writeDecimal(view, FRAG6.writeTo(view, to), value[fragoff]!);
      to = writePaddedHex(bytes, ID6.writeTo(view, to), value[fragid]! | 0, 8);
      bytes[to++] = SPACE;
    }
    if (valid[nexthdr] === 0) return (compat ? NO_PROTOCOL : INCOMPLETE).writeTo(view, to);
    return transport(record, to, value[nexthdr]!, valid[fragoff] === 1 && value[fragoff] !== 0, 6);
  };
}

/** The part of an ARP packet. */
export function linkArp(read: Slots<typeof printpktReads>, compat: boolean): Write {
  const { 'arp.saddr.str': saddr, 'arp.daddr.str': daddr, 'arp.operation': operation, 'arp.shwaddr': shwaddr } = read;
  return (record, at) => {
    const { bytes, view, value, extra, valid } = record;
    let to = PROTO_ARP.writeTo(view, writeAddresses(record, saddr, daddr, at));
    if (valid[operation] === 0) return compat ? to : INCOMPLETE.writeTo(view, to);
    switch (value[operation]) {
      case ARP_REQUEST:
        return REQUEST.writeTo(view, to);
      case ARP_REPLY:
        to = REPLY.writeTo(view, to);
        if (valid[shwaddr] === 0) return to;
        to = REPLY_MAC.writeTo(view, to);
        to = writeHardwareAddress(bytes, to, bytes, value[shwaddr]!, Math.min(extra[shwaddr]!, MAX_HARDWARE_ADDRESS));
        bytes[to++] = SPACE;
        return to;
      case ARP_NAK:
        return NAK.writeTo(view, to);
      default:
        return writeField(bytes, view, to, CODE, value[operation]!);
    }
  };
}

function writeAddresses(record: Record, source: number, destination: number, at: number): number {
  const { valid } = record;
  let to = at;
  if (valid[source] === 1) to = writeAddress(record, SRC, source, to);
  if (valid[destination] === 1) to = writeAddress(record, DST, destination, to);
  return to;
}

function writeAddress({ bytes, view, value, extra }: Record, name: Literal, slot: number, at: number): number {
  const to = writeShort(view, name.writeTo(view, at), view, value[slot]!, extra[slot]!);
  bytes[to] = SPACE;
  return to + 1;
}
