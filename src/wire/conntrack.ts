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
import {
  CTA_COUNTERS_ORIG,
  CTA_COUNTERS_REPLY,
  CTA_HELP,
  CTA_HELP_INFO,
  CTA_HELP_NAME,
  CTA_ID,
  CTA_LABELS,
  CTA_LABELS_MASK,
  CTA_MARK,
  CTA_MARK_MASK,
  CTA_MAX,
  CTA_PROTOINFO,
  CTA_SECCTX,
  CTA_SECCTX_NAME,
  CTA_SECMARK,
  CTA_SEQ_ADJ_ORIG,
  CTA_SEQ_ADJ_REPLY,
  CTA_STATUS,
  CTA_STATUS_MASK,
  CTA_SYNPROXY,
  CTA_TIMEOUT,
  CTA_TIMESTAMP,
  CTA_TIMESTAMP_EVENT,
  CTA_TUPLE_MASTER,
  CTA_TUPLE_ORIG,
  CTA_TUPLE_REPLY,
  CTA_USE,
  CTA_ZONE,
  IPCTNL_MSG_CT_DELETE,
  IPCTNL_MSG_CT_NEW,
} from './ctnetlink.ts';
import {
  align,
  attributeEnd,
  attributeType,
  messageFlags,
  messagePort,
  messageType,
  NLA_HEADER,
  NLM_F_CREATE,
  NLM_F_EXCL,
  NLMSG_HEADER,
  stringLength,
} from './netlink.ts';
import { NFNL_HEADER } from './nfnetlink.ts';

/** What happened to an entry; the values are ulogd's `ct.event`. An entry of a dump counts as updated. */
export const CONNTRACK_NEW = 1;
export const CONNTRACK_UPDATE = 2;
export const CONNTRACK_DESTROY = 4;

/**
 * A conntrack entry, decoded. A field counts only when the bit of its attribute (1 << CTA_*) is set in `present`, and in a
 * nest the bit in the nest's own mask too; what an earlier entry left in the others is not erased. Offsets are into the
 * view that was decoded.
 */
export class ConntrackEntry {
  present = 0;
  /** CONNTRACK_NEW, _UPDATE or _DESTROY. */
  event = 0;
  /** NFPROTO_IPV4 or NFPROTO_IPV6. */
  family = 0;
  /** Netlink port of whoever caused the event or asked for the entry; 0 for traffic. */
  port = 0;
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
  timeout = 0;
  mark = 0;
  markMask = 0;
  readonly origCounters = new Counters();
  readonly replyCounters = new Counters();
  /** References held on the entry. */
  use = 0;
  id = 0;
  readonly origSeqAdj = new SeqAdj();
  readonly replySeqAdj = new SeqAdj();
  secmark = 0;
  zone = 0;
  securityContextOffset = 0;
  /** 0 when the kernel sent no name. */
  securityContextLength = 0;
  readonly timestamps = new Timestamps();
  /** Nanoseconds since 1970 at which the event happened, as halves of a 64-bit number. */
  eventTimeHigh = 0;
  eventTimeLow = 0;
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
    const to = attributeEnd(view, at, end);
    if (to < 0) return false;
    const type = attributeType(view, at);
    const from = at + NLA_HEADER;
    const size = to - from;
    at += align(to - at);
    if (type > CTA_MAX || ((wanted >>> type) & 1) === 0) continue;
    switch (type) {
      case CTA_TUPLE_ORIG:
        if (!decodeTuple(view, from, to, into.orig)) return false;
        break;
      case CTA_TUPLE_REPLY:
        if (!decodeTuple(view, from, to, into.reply)) return false;
        break;
      case CTA_STATUS:
        // Some machines need CTA_TIMESTAMP_EVENT aligned, and the padding before it, CTA_TIMESTAMP_PAD, has this number.
        if (size === 0) continue;
        if (size !== 4) return false;
        into.status = view.getUint32(from);
        break;
      case CTA_PROTOINFO:
        if (!decodeProtoInfo(view, from, to, into.protoInfo)) return false;
        break;
      case CTA_HELP:
        if (!decodeHelper(view, from, to, into)) return false;
        break;
      case CTA_TIMEOUT:
        if (size !== 4) return false;
        into.timeout = view.getUint32(from);
        break;
      case CTA_MARK:
        if (size !== 4) return false;
        into.mark = view.getUint32(from);
        break;
      case CTA_COUNTERS_ORIG:
        if (!decodeCounters(view, from, to, into.origCounters)) return false;
        break;
      case CTA_COUNTERS_REPLY:
        if (!decodeCounters(view, from, to, into.replyCounters)) return false;
        break;
      case CTA_USE:
        if (size !== 4) return false;
        into.use = view.getUint32(from);
        break;
      case CTA_ID:
        if (size !== 4) return false;
        into.id = view.getUint32(from);
        break;
      case CTA_TUPLE_MASTER:
        if (!decodeTuple(view, from, to, into.master)) return false;
        break;
      case CTA_SEQ_ADJ_ORIG:
        if (!decodeSeqAdj(view, from, to, into.origSeqAdj)) return false;
        break;
      case CTA_SEQ_ADJ_REPLY:
        if (!decodeSeqAdj(view, from, to, into.replySeqAdj)) return false;
        break;
      case CTA_SECMARK:
        if (size !== 4) return false;
        into.secmark = view.getUint32(from);
        break;
      case CTA_ZONE:
        if (size !== 2) return false;
        into.zone = view.getUint16(from);
        break;
      case CTA_SECCTX:
        if (!decodeSecurityContext(view, from, to, into)) return false;
        break;
      case CTA_TIMESTAMP:
        if (!decodeTimestamps(view, from, to, into.timestamps)) return false;
        break;
      case CTA_MARK_MASK:
        if (size !== 4) return false;
        into.markMask = view.getUint32(from);
        break;
      case CTA_LABELS:
        into.labelsOffset = from;
        into.labelsLength = size;
        break;
      case CTA_LABELS_MASK:
        into.labelsMaskOffset = from;
        into.labelsMaskLength = size;
        break;
      case CTA_SYNPROXY:
        if (!decodeSynproxy(view, from, to, into.synproxy)) return false;
        break;
      case CTA_STATUS_MASK:
        if (size !== 4) return false;
        into.statusMask = view.getUint32(from);
        break;
      case CTA_TIMESTAMP_EVENT:
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
    const to = attributeEnd(view, at, end);
    if (to < 0) return false;
    const from = at + NLA_HEADER;
    switch (attributeType(view, at)) {
      case CTA_HELP_NAME:
        into.helperOffset = from;
        into.helperLength = stringLength(view, from, to);
        break;
      case CTA_HELP_INFO:
        into.helperInfoOffset = from;
        into.helperInfoLength = to - from;
        break;
    }
    at += align(to - at);
  }
  return true;
}

function decodeSecurityContext(view: DataView, start: number, end: number, into: ConntrackEntry): boolean {
  into.securityContextLength = 0;
  for (let at = start; at < end; ) {
    const to = attributeEnd(view, at, end);
    if (to < 0) return false;
    const from = at + NLA_HEADER;
    if (attributeType(view, at) === CTA_SECCTX_NAME) {
      into.securityContextOffset = from;
      into.securityContextLength = stringLength(view, from, to);
    }
    at += align(to - at);
  }
  return true;
}
