import {
  Counters,
  decodeCounters,
  decodeSeqAdj,
  decodeSynproxy,
  decodeTimestamps,
  SeqAdj,
  Synproxy,
  Timestamps,
} from './conntrack-parts.ts';
import { clearProtoInfo, decodeProtoInfo, ProtoInfo } from './conntrack-protoinfo.ts';
import { clearTuple, decodeTuple, Tuple } from './conntrack-tuple.ts';
import { IPCTNL_MSG_CT_DELETE, IPCTNL_MSG_CT_NEW } from './ctnetlink.ts';
import {
  HOST_LITTLE_ENDIAN,
  messageFlags,
  messagePort,
  messageType,
  NLM_F_CREATE,
  NLM_F_EXCL,
  NLMSG_HEADER,
  stringLength,
  U32,
} from './netlink.ts';
import { NFNL_HEADER } from './nfnetlink.ts';

// A constant of this module's own, see netlink.ts on speed.
const LITTLE = HOST_LITTLE_ENDIAN;

/** What happened to an entry; the values are ulogd's `ct.event`. An entry of a dump counts as updated. */
export const CONNTRACK_NEW = 1;
export const CONNTRACK_UPDATE = 2;
export const CONNTRACK_DESTROY = 4;

/**
 * A conntrack entry, decoded. A field counts only when the bit of its attribute (1 << CTA_*) is set in `present`, and in a
 * nest the bit in the nest's own mask too (masks also have the bits of attributes unknown here); what an earlier entry left
 * in the others is not erased. Offsets are into the
 * view that was decoded.
 */
export class ConntrackEntry {
  present = 0;
  /** CONNTRACK_NEW, _UPDATE or _DESTROY. */
  event = 0;
  /** NFPROTO_IPV4 or NFPROTO_IPV6. */
  family = 0;
  /** Netlink port of whoever caused the event or asked for the entry; 0 for traffic. */
  port = U32;
  readonly orig = new Tuple();
  readonly reply = new Tuple();
  /** The connection that expected this one. */
  readonly master = new Tuple();
  /** IPS_*. */
  status = 0;
  readonly protoInfo = new ProtoInfo();
  helperOffset = 0;
  /** 0 when the kernel sent no name. */
  helperLength = 0;
  helperInfoOffset = 0;
  helperInfoLength = 0;
  /** Seconds until the entry expires. */
  timeout = U32;
  mark = U32;
  markMask = U32;
  readonly origCounters = new Counters();
  readonly replyCounters = new Counters();
  /** References held on the entry. */
  use = 0;
  id = U32;
  readonly origSeqAdj = new SeqAdj();
  readonly replySeqAdj = new SeqAdj();
  secmark = U32;
  zone = 0;
  securityContextOffset = 0;
  /** 0 when the kernel sent no name. */
  securityContextLength = 0;
  readonly timestamps = new Timestamps();
  /** Nanoseconds since 1970 at which the event happened, as halves of a 64-bit number. */
  eventTimeHigh = U32;
  eventTimeLow = U32;
  /** A bitmap in words of the machine's byte order. */
  labelsOffset = 0;
  labelsLength = 0;
  labelsMaskOffset = 0;
  labelsMaskLength = 0;
  readonly synproxy = new Synproxy();
  statusMask = 0;
}

/**
 * Decodes the ctnetlink message between `start` and `end` (messageEnd). Attributes whose bit in `wanted` is clear are not
 * looked into. False when the message is malformed or not about an entry; `into` is then half written.
 */
export function decodeConntrack(
  view: DataView,
  start: number,
  end: number,
  into: ConntrackEntry,
  wanted: number,
): boolean {
  if (end - start < NFNL_HEADER) return false;
  switch (messageType(view, start)) {
    case IPCTNL_MSG_CT_NEW:
      // ctnetlink_conntrack_event in nf_conntrack_netlink.c: new entries have these flags, changed ones have not.
      into.event = (messageFlags(view, start) & (NLM_F_CREATE | NLM_F_EXCL)) !== 0 ? CONNTRACK_NEW : CONNTRACK_UPDATE;
      break;
    case IPCTNL_MSG_CT_DELETE:
      into.event = CONNTRACK_DESTROY;
      break;
    default:
      return false;
  }
  into.port = messagePort(view, start);
  into.family = view.getUint8(start + NLMSG_HEADER);
  return decodeConntrackAttributes(view, start + NFNL_HEADER, end, into, wanted);
}

/** Decodes the attributes of an entry between `start` and `end`, as they also stand in NFULA_CT; false when malformed. */
export function decodeConntrackAttributes(
  view: DataView,
  start: number,
  end: number,
  into: ConntrackEntry,
  wanted: number,
): boolean {
  clearEntry(into);
  let present = 0;
  for (let at = start; at < end; ) {
    if (end - at < 4) return false;
    const length = view.getUint16(at, LITTLE);
    if (length < 4 || length > end - at) return false;
    const type = view.getUint16(at + 2, LITTLE) & 0x3fff;
    const from = at + 4;
    const to = at + length;
    const size = length - 4;
    at += (length + 3) & ~3;
    if (type >= 32 || ((wanted >>> type) & 1) === 0) continue;
    switch (type) {
      case 1: // CTA_TUPLE_ORIG
        if (!decodeTuple(view, from, to, into.orig)) return false;
        break;
      case 2: // CTA_TUPLE_REPLY
        if (!decodeTuple(view, from, to, into.reply)) return false;
        break;
      case 3: // CTA_STATUS
        // Some machines need CTA_TIMESTAMP_EVENT aligned, and the padding before it, CTA_TIMESTAMP_PAD, has this number.
        if (size === 0) continue;
        if (size !== 4) return false;
        into.status = view.getUint32(from);
        break;
      case 4: // CTA_PROTOINFO
        if (!decodeProtoInfo(view, from, to, into.protoInfo)) return false;
        break;
      case 5: // CTA_HELP
        if (!decodeHelper(view, from, to, into)) return false;
        break;
      case 7: // CTA_TIMEOUT
        if (size !== 4) return false;
        into.timeout = view.getUint32(from);
        break;
      case 8: // CTA_MARK
        if (size !== 4) return false;
        into.mark = view.getUint32(from);
        break;
      case 9: // CTA_COUNTERS_ORIG
        if (!decodeCounters(view, from, to, into.origCounters)) return false;
        break;
      case 10: // CTA_COUNTERS_REPLY
        if (!decodeCounters(view, from, to, into.replyCounters)) return false;
        break;
      case 11: // CTA_USE
        if (size !== 4) return false;
        into.use = view.getUint32(from);
        break;
      case 12: // CTA_ID
        if (size !== 4) return false;
        into.id = view.getUint32(from);
        break;
      case 14: // CTA_TUPLE_MASTER
        if (!decodeTuple(view, from, to, into.master)) return false;
        break;
      case 15: // CTA_SEQ_ADJ_ORIG
        if (!decodeSeqAdj(view, from, to, into.origSeqAdj)) return false;
        break;
      case 16: // CTA_SEQ_ADJ_REPLY
        if (!decodeSeqAdj(view, from, to, into.replySeqAdj)) return false;
        break;
      case 17: // CTA_SECMARK
        if (size !== 4) return false;
        into.secmark = view.getUint32(from);
        break;
      case 18: // CTA_ZONE
        if (size !== 2) return false;
        into.zone = view.getUint16(from);
        break;
      case 19: // CTA_SECCTX
        if (!decodeSecurityContext(view, from, to, into)) return false;
        break;
      case 20: // CTA_TIMESTAMP
        if (!decodeTimestamps(view, from, to, into.timestamps)) return false;
        break;
      case 21: // CTA_MARK_MASK
        if (size !== 4) return false;
        into.markMask = view.getUint32(from);
        break;
      case 22: // CTA_LABELS
        into.labelsOffset = from;
        into.labelsLength = size;
        break;
      case 23: // CTA_LABELS_MASK
        into.labelsMaskOffset = from;
        into.labelsMaskLength = size;
        break;
      case 24: // CTA_SYNPROXY
        if (!decodeSynproxy(view, from, to, into.synproxy)) return false;
        break;
      case 26: // CTA_STATUS_MASK
        if (size !== 4) return false;
        into.statusMask = view.getUint32(from);
        break;
      case 27: // CTA_TIMESTAMP_EVENT
        if (size !== 8) return false;
        into.eventTimeHigh = view.getUint32(from);
        into.eventTimeLow = view.getUint32(from + 4);
        break;
      // CTA_NAT_SRC, CTA_NAT_DST and CTA_FILTER stand in requests only: their bit in `present` is all that is kept.
    }
    present |= 1 << type;
  }
  into.present = present;
  return true;
}

function clearEntry(entry: ConntrackEntry): void {
  clearTuple(entry.orig);
  clearTuple(entry.reply);
  clearTuple(entry.master);
  clearProtoInfo(entry.protoInfo);
  entry.origCounters.present = 0;
  entry.replyCounters.present = 0;
  entry.origSeqAdj.present = 0;
  entry.replySeqAdj.present = 0;
  entry.timestamps.present = 0;
  entry.synproxy.present = 0;
}

function decodeHelper(view: DataView, start: number, end: number, into: ConntrackEntry): boolean {
  into.helperLength = 0;
  into.helperInfoLength = 0;
  for (let at = start; at < end; ) {
    if (end - at < 4) return false;
    const length = view.getUint16(at, LITTLE);
    if (length < 4 || length > end - at) return false;
    const from = at + 4;
    switch (view.getUint16(at + 2, LITTLE) & 0x3fff) {
      case 1: // CTA_HELP_NAME
        into.helperOffset = from;
        into.helperLength = stringLength(view, from, at + length);
        break;
      case 2: // CTA_HELP_INFO
        into.helperInfoOffset = from;
        into.helperInfoLength = length - 4;
        break;
    }
    at += (length + 3) & ~3;
  }
  return true;
}

function decodeSecurityContext(view: DataView, start: number, end: number, into: ConntrackEntry): boolean {
  into.securityContextLength = 0;
  for (let at = start; at < end; ) {
    if (end - at < 4) return false;
    const length = view.getUint16(at, LITTLE);
    if (length < 4 || length > end - at) return false;
    const from = at + 4;
    if ((view.getUint16(at + 2, LITTLE) & 0x3fff) === 1 /* CTA_SECCTX_NAME */) {
      into.securityContextOffset = from;
      into.securityContextLength = stringLength(view, from, at + length);
    }
    at += (length + 3) & ~3;
  }
  return true;
}
