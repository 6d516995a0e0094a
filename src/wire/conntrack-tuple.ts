import { HOST_LITTLE_ENDIAN } from './netlink.ts';

// A constant of this module's own, see netlink.ts on speed.
const LITTLE = HOST_LITTLE_ENDIAN;

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
    if (end - at < 4) return false;
    const length = view.getUint16(at, LITTLE);
    if (length < 4 || length > end - at) return false;
    const from = at + 4;
    const type = view.getUint16(at + 2, LITTLE) & 0x3fff;
    switch (type) {
      case 1: // CTA_TUPLE_IP
        if (!decodeAddresses(view, from, at + length, into)) return false;
        break;
      case 2: // CTA_TUPLE_PROTO
        if (!decodeProto(view, from, at + length, into)) return false;
        break;
      case 3: // CTA_TUPLE_ZONE
        if (length !== 6) return false;
        into.zone = view.getUint16(from);
        break;
    }
    if (type < 32) into.present |= 1 << type;
    at += (length + 3) & ~3;
  }
  return true;
}

function decodeAddresses(view: DataView, start: number, end: number, into: Tuple): boolean {
  for (let at = start; at < end; ) {
    if (end - at < 4) return false;
    const length = view.getUint16(at, LITTLE);
    if (length < 4 || length > end - at) return false;
    const from = at + 4;
    const size = length - 4;
    switch (view.getUint16(at + 2, LITTLE) & 0x3fff) {
      case 1: // CTA_IP_V4_SRC
        if (size !== 4) return false;
        into.sourceOffset = from;
        into.sourceLength = 4;
        break;
      case 2: // CTA_IP_V4_DST
        if (size !== 4) return false;
        into.destinationOffset = from;
        into.destinationLength = 4;
        break;
      case 3: // CTA_IP_V6_SRC
        if (size !== 16) return false;
        into.sourceOffset = from;
        into.sourceLength = 16;
        break;
      case 4: // CTA_IP_V6_DST
        if (size !== 16) return false;
        into.destinationOffset = from;
        into.destinationLength = 16;
        break;
    }
    at += (length + 3) & ~3;
  }
  return true;
}

function decodeProto(view: DataView, start: number, end: number, into: Tuple): boolean {
  let present = 0;
  for (let at = start; at < end; ) {
    if (end - at < 4) return false;
    const length = view.getUint16(at, LITTLE);
    if (length < 4 || length > end - at) return false;
    const from = at + 4;
    const size = length - 4;
    const type = view.getUint16(at + 2, LITTLE) & 0x3fff;
    switch (type) {
      case 1: // CTA_PROTO_NUM
        if (size !== 1) return false;
        into.protocol = view.getUint8(from);
        break;
      case 2: // CTA_PROTO_SRC_PORT
        if (size !== 2) return false;
        into.sourcePort = view.getUint16(from);
        break;
      case 3: // CTA_PROTO_DST_PORT
        if (size !== 2) return false;
        into.destinationPort = view.getUint16(from);
        break;
      case 4: // CTA_PROTO_ICMP_ID
      case 7: // CTA_PROTO_ICMPV6_ID
        if (size !== 2) return false;
        into.icmpId = view.getUint16(from);
        break;
      case 5: // CTA_PROTO_ICMP_TYPE
      case 8: // CTA_PROTO_ICMPV6_TYPE
        if (size !== 1) return false;
        into.icmpType = view.getUint8(from);
        break;
      case 6: // CTA_PROTO_ICMP_CODE
      case 9: // CTA_PROTO_ICMPV6_CODE
        if (size !== 1) return false;
        into.icmpCode = view.getUint8(from);
        break;
    }
    if (type < 32) present |= 1 << type;
    at += (length + 3) & ~3;
  }
  into.protoPresent = present;
  return true;
}
