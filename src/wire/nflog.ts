import { HOST_LITTLE_ENDIAN, NLMSG_HEADER, stringLength, U32 } from './netlink.ts';
import { NFNL_HEADER, NFNL_SUBSYS_ULOG } from './nfnetlink.ts';

/** Packets that NFLOG hands over (linux/netfilter/nfnetlink_log.h; written by __build_packet_message in nfnetlink_log.c). */

// A constant of this module's own, see netlink.ts on speed.
const LITTLE = HOST_LITTLE_ENDIAN;

/** Message type of a logged packet. */
export const NFULNL_PACKET = NFNL_SUBSYS_ULOG << 8;

// Attributes of a packet. All integers are big-endian.
export const NFULA_PACKET_HDR = 1;
export const NFULA_MARK = 2;
export const NFULA_TIMESTAMP = 3;
export const NFULA_IFINDEX_INDEV = 4;
export const NFULA_IFINDEX_OUTDEV = 5;
export const NFULA_IFINDEX_PHYSINDEV = 6;
export const NFULA_IFINDEX_PHYSOUTDEV = 7;
export const NFULA_HWADDR = 8;
export const NFULA_PAYLOAD = 9;
export const NFULA_PREFIX = 10;
export const NFULA_UID = 11;
export const NFULA_SEQ = 12;
export const NFULA_SEQ_GLOBAL = 13;
export const NFULA_GID = 14;
export const NFULA_HWTYPE = 15;
export const NFULA_HWHEADER = 16;
export const NFULA_HWLEN = 17;
export const NFULA_CT = 18;
export const NFULA_CT_INFO = 19;
export const NFULA_VLAN = 20;
export const NFULA_L2HDR = 21;

// Attributes inside NFULA_VLAN.
export const NFULA_VLAN_PROTO = 1;
export const NFULA_VLAN_TCI = 2;

/**
 * A packet, decoded. A field counts only when the bit of its attribute (1 << NFULA_*) is set in `present`, which
 * also has the bits of attributes unknown here; what an earlier packet left in the others is not erased. Offsets are into the view that was decoded.
 */
export class NflogPacket {
  present = 0;
  /** NFPROTO_* of the rule that logged the packet. */
  family = 0;
  group = 0;
  /** Ethertype. */
  hwProtocol = 0;
  /** Netfilter hook: 0 prerouting, 1 input, 2 forward, 3 output, 4 postrouting. */
  hook = 0;
  mark = U32;
  /** Seconds since 1970. */
  seconds = U32;
  microseconds = 0;
  indev = 0;
  outdev = 0;
  /** Bridge port behind `indev`. */
  physIndev = 0;
  physOutdev = 0;
  /** Source address of the frame. */
  hwAddressOffset = 0;
  hwAddressLength = 0;
  payloadOffset = 0;
  payloadLength = 0;
  prefixOffset = 0;
  prefixLength = 0;
  uid = U32;
  gid = U32;
  /** Counts the packets of this group. */
  sequence = U32;
  /** Counts the packets of all groups. */
  globalSequence = U32;
  /** ARPHRD_*. */
  hwType = 0;
  hwHeaderOffset = 0;
  hwHeaderLength = 0;
  hwHeaderSize = 0;
  /** Attributes of the connection: for decodeConntrackAttributes. */
  conntrackOffset = 0;
  conntrackLength = 0;
  /** IP_CT_*: where in its connection the packet stands. */
  conntrackInfo = 0;
  /** 1 << NFULA_VLAN_* of the two below. */
  vlanPresent = 0;
  vlanProtocol = 0;
  vlanTci = 0;
  /** Whole link layer header, VLAN tags included. */
  l2HeaderOffset = 0;
  l2HeaderLength = 0;
}

/**
 * Decodes the NFULNL_PACKET message between `start` and `end` (messageEnd). Attributes whose bit in `wanted` is clear are
 * not looked into. False when the message is malformed; `into` is then half written.
 */
export function decodePacket(view: DataView, start: number, end: number, into: NflogPacket, wanted: number): boolean {
  if (end - start < NFNL_HEADER) return false;
  into.family = view.getUint8(start + NLMSG_HEADER);
  into.group = view.getUint16(start + NLMSG_HEADER + 2);
  into.vlanPresent = 0;
  let present = 0;
  for (let at = start + NFNL_HEADER; at < end; ) {
    if (end - at < 4) return false;
    const length = view.getUint16(at, LITTLE);
    if (length < 4 || length > end - at) return false;
    const type = view.getUint16(at + 2, LITTLE) & 0x3fff;
    const from = at + 4;
    const to = at + length;
    const size = length - 4;
    at += (length + 3) & ~3;
    if (type >= 32 || ((wanted >>> type) & 1) === 0) continue;
    present |= 1 << type;
    switch (type) {
      case 1: // NFULA_PACKET_HDR
        if (size < 4) return false;
        into.hwProtocol = view.getUint16(from);
        into.hook = view.getUint8(from + 2);
        break;
      case 2: // NFULA_MARK
        if (size !== 4) return false;
        into.mark = view.getUint32(from);
        break;
      case 3: // NFULA_TIMESTAMP
        if (size < 16) return false;
        into.seconds = view.getUint32(from) * 0x100000000 + view.getUint32(from + 4);
        into.microseconds = view.getUint32(from + 12);
        break;
      case 4: // NFULA_IFINDEX_INDEV
        if (size !== 4) return false;
        into.indev = view.getUint32(from);
        break;
      case 5: // NFULA_IFINDEX_OUTDEV
        if (size !== 4) return false;
        into.outdev = view.getUint32(from);
        break;
      case 6: // NFULA_IFINDEX_PHYSINDEV
        if (size !== 4) return false;
        into.physIndev = view.getUint32(from);
        break;
      case 7: // NFULA_IFINDEX_PHYSOUTDEV
        if (size !== 4) return false;
        into.physOutdev = view.getUint32(from);
        break;
      case 8: // NFULA_HWADDR
        // struct nfulnl_msg_packet_hw: the length of the address, two bytes of padding, room for eight.
        if (size < 4 || view.getUint16(from) > size - 4) return false;
        into.hwAddressOffset = from + 4;
        into.hwAddressLength = view.getUint16(from);
        break;
      case 9: // NFULA_PAYLOAD
        into.payloadOffset = from;
        into.payloadLength = size;
        break;
      case 10: // NFULA_PREFIX
        into.prefixOffset = from;
        into.prefixLength = stringLength(view, from, to);
        break;
      case 11: // NFULA_UID
        if (size !== 4) return false;
        into.uid = view.getUint32(from);
        break;
      case 12: // NFULA_SEQ
        if (size !== 4) return false;
        into.sequence = view.getUint32(from);
        break;
      case 13: // NFULA_SEQ_GLOBAL
        if (size !== 4) return false;
        into.globalSequence = view.getUint32(from);
        break;
      case 14: // NFULA_GID
        if (size !== 4) return false;
        into.gid = view.getUint32(from);
        break;
      case 15: // NFULA_HWTYPE
        if (size !== 2) return false;
        into.hwType = view.getUint16(from);
        break;
      case 16: // NFULA_HWHEADER
        into.hwHeaderOffset = from;
        into.hwHeaderLength = size;
        break;
      case 17: // NFULA_HWLEN
        if (size !== 2) return false;
        into.hwHeaderSize = view.getUint16(from);
        break;
      case 18: // NFULA_CT
        into.conntrackOffset = from;
        into.conntrackLength = size;
        break;
      case 19: // NFULA_CT_INFO
        if (size !== 4) return false;
        into.conntrackInfo = view.getUint32(from);
        break;
      case 20: // NFULA_VLAN
        if (!decodeVlan(view, from, to, into)) return false;
        break;
      case 21: // NFULA_L2HDR
        into.l2HeaderOffset = from;
        into.l2HeaderLength = size;
        break;
    }
  }
  into.present = present;
  return true;
}

function decodeVlan(view: DataView, start: number, end: number, into: NflogPacket): boolean {
  for (let at = start; at < end; ) {
    if (end - at < 4) return false;
    const length = view.getUint16(at, LITTLE);
    if (length < 4 || length > end - at) return false;
    switch (view.getUint16(at + 2, LITTLE) & 0x3fff) {
      case 1: // NFULA_VLAN_PROTO
        if (length !== 6) return false;
        into.vlanProtocol = view.getUint16(at + 4);
        into.vlanPresent |= 1 << NFULA_VLAN_PROTO;
        break;
      case 2: // NFULA_VLAN_TCI
        if (length !== 6) return false;
        into.vlanTci = view.getUint16(at + 4);
        into.vlanPresent |= 1 << NFULA_VLAN_TCI;
        break;
    }
    at += (length + 3) & ~3;
  }
  return true;
}
