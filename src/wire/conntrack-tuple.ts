import {
  CTA_IP_V4_DST,
  CTA_IP_V4_SRC,
  CTA_IP_V6_DST,
  CTA_IP_V6_SRC,
  CTA_PROTO_DST_PORT,
  CTA_PROTO_ICMP_CODE,
  CTA_PROTO_ICMP_ID,
  CTA_PROTO_ICMP_TYPE,
  CTA_PROTO_ICMPV6_CODE,
  CTA_PROTO_ICMPV6_ID,
  CTA_PROTO_ICMPV6_TYPE,
  CTA_PROTO_NUM,
  CTA_PROTO_SRC_PORT,
  CTA_TUPLE_IP,
  CTA_TUPLE_PROTO,
  CTA_TUPLE_ZONE,
} from './ctnetlink.ts';
import { align, attributeEnd, attributeType, NLA_HEADER } from './netlink.ts';

/** Who talks to whom, in one direction: CTA_TUPLE_ORIG, CTA_TUPLE_REPLY or CTA_TUPLE_MASTER. */
export class Tuple {
  /** 1 << CTA_TUPLE_*. */
  present = 0;
  /** Where the nested attributes themselves are: a request for this entry copies them. */
  offset = 0;
  length = 0;
  sourceOffset = 0;
  /** 4, 16, or 0 when there is no address. */
  sourceLength = 0;
  destinationOffset = 0;
  destinationLength = 0;
  /** 1 << CTA_PROTO_* of the fields below. */
  protoPresent = 0;
  /** IP protocol number. */
  protocol = 0;
  /** Ports of TCP, UDP, UDP-Lite, SCTP, DCCP; of GRE the call keys (nf_conntrack_proto_gre.c). */
  sourcePort = 0;
  destinationPort = 0;
  /** Of ICMP or ICMPv6: `protoPresent` tells which. */
  icmpId = 0;
  icmpType = 0;
  icmpCode = 0;
  /** Zone of this direction alone. */
  zone = 0;
}

/** Forgets the last tuple. */
export function clearTuple(tuple: Tuple): void {
  tuple.present = 0;
  tuple.protoPresent = 0;
  tuple.sourceLength = 0;
  tuple.destinationLength = 0;
}

/** Decodes the attributes of a tuple between `start` and `end`; false when they are malformed. */
export function decodeTuple(view: DataView, start: number, end: number, into: Tuple): boolean {
  into.offset = start;
  into.length = end - start;
  for (let at = start; at < end; ) {
    const to = attributeEnd(view, at, end);
    if (to < 0) return false;
    const from = at + NLA_HEADER;
    switch (attributeType(view, at)) {
      case CTA_TUPLE_IP:
        if (!decodeAddresses(view, from, to, into)) return false;
        into.present |= 1 << CTA_TUPLE_IP;
        break;
      case CTA_TUPLE_PROTO:
        if (!decodeProto(view, from, to, into)) return false;
        into.present |= 1 << CTA_TUPLE_PROTO;
        break;
      case CTA_TUPLE_ZONE:
        if (to - from !== 2) return false;
        into.zone = view.getUint16(from);
        into.present |= 1 << CTA_TUPLE_ZONE;
        break;
    }
    at += align(to - at);
  }
  return true;
}

function decodeAddresses(view: DataView, start: number, end: number, into: Tuple): boolean {
  for (let at = start; at < end; ) {
    const to = attributeEnd(view, at, end);
    if (to < 0) return false;
    const from = at + NLA_HEADER;
    const size = to - from;
    switch (attributeType(view, at)) {
      case CTA_IP_V4_SRC:
        if (size !== 4) return false;
        into.sourceOffset = from;
        into.sourceLength = 4;
        break;
      case CTA_IP_V4_DST:
        if (size !== 4) return false;
        into.destinationOffset = from;
        into.destinationLength = 4;
        break;
      case CTA_IP_V6_SRC:
        if (size !== 16) return false;
        into.sourceOffset = from;
        into.sourceLength = 16;
        break;
      case CTA_IP_V6_DST:
        if (size !== 16) return false;
        into.destinationOffset = from;
        into.destinationLength = 16;
        break;
    }
    at += align(to - at);
  }
  return true;
}

function decodeProto(view: DataView, start: number, end: number, into: Tuple): boolean {
  let present = 0;
  for (let at = start; at < end; ) {
    const to = attributeEnd(view, at, end);
    if (to < 0) return false;
    const from = at + NLA_HEADER;
    const size = to - from;
    const type = attributeType(view, at);
    switch (type) {
      case CTA_PROTO_NUM:
        if (size !== 1) return false;
        into.protocol = view.getUint8(from);
        break;
      case CTA_PROTO_SRC_PORT:
        if (size !== 2) return false;
        into.sourcePort = view.getUint16(from);
        break;
      case CTA_PROTO_DST_PORT:
        if (size !== 2) return false;
        into.destinationPort = view.getUint16(from);
        break;
      case CTA_PROTO_ICMP_ID:
      case CTA_PROTO_ICMPV6_ID:
        if (size !== 2) return false;
        into.icmpId = view.getUint16(from);
        break;
      case CTA_PROTO_ICMP_TYPE:
      case CTA_PROTO_ICMPV6_TYPE:
        if (size !== 1) return false;
        into.icmpType = view.getUint8(from);
        break;
      case CTA_PROTO_ICMP_CODE:
      case CTA_PROTO_ICMPV6_CODE:
        if (size !== 1) return false;
        into.icmpCode = view.getUint8(from);
        break;
    }
    if (type <= CTA_PROTO_ICMPV6_CODE) present |= 1 << type;
    at += align(to - at);
  }
  into.protoPresent = present;
  return true;
}
