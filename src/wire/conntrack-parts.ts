import {
  CTA_COUNTERS_BYTES,
  CTA_COUNTERS_PACKETS,
  CTA_COUNTERS32_BYTES,
  CTA_COUNTERS32_PACKETS,
  CTA_SEQADJ_CORRECTION_POS,
  CTA_SEQADJ_OFFSET_AFTER,
  CTA_SEQADJ_OFFSET_BEFORE,
  CTA_SYNPROXY_ISN,
  CTA_SYNPROXY_ITS,
  CTA_SYNPROXY_TSOFF,
  CTA_TIMESTAMP_START,
  CTA_TIMESTAMP_STOP,
} from './ctnetlink.ts';
import { align, attributeEnd, attributeType, NLA_HEADER } from './netlink.ts';

/** The small nests of a conntrack entry. `present` holds the bits of the nest's own attributes, 0 when it is not there. */

/** Traffic of one direction: CTA_COUNTERS_ORIG, CTA_COUNTERS_REPLY. Halves of 64-bit numbers. */
export class Counters {
  /** 1 << CTA_COUNTERS_PACKETS and _BYTES, also when the kernel sent the 32-bit forms. */
  present = 0;
  packetsHigh = 0;
  packetsLow = 0;
  bytesHigh = 0;
  bytesLow = 0;
}

/** Life of an entry in nanoseconds since 1970, as halves of 64-bit numbers: CTA_TIMESTAMP. */
export class Timestamps {
  present = 0;
  startHigh = 0;
  startLow = 0;
  stopHigh = 0;
  stopLow = 0;
}

/** How a helper or SYNPROXY shifted TCP sequence numbers of one direction: CTA_SEQ_ADJ_ORIG, CTA_SEQ_ADJ_REPLY. */
export class SeqAdj {
  present = 0;
  correctionPosition = 0;
  /** Signed. */
  offsetBefore = 0;
  /** Signed. */
  offsetAfter = 0;
}

/** What SYNPROXY remembers: CTA_SYNPROXY. */
export class Synproxy {
  present = 0;
  initialSequence = 0;
  initialTimestamp = 0;
  timestampOffset = 0;
}

/** Decodes a CTA_COUNTERS_* nest between `start` and `end`; false when it is malformed. */
export function decodeCounters(view: DataView, start: number, end: number, into: Counters): boolean {
  let present = 0;
  for (let at = start; at < end; ) {
    const to = attributeEnd(view, at, end);
    if (to < 0) return false;
    const from = at + NLA_HEADER;
    const size = to - from;
    switch (attributeType(view, at)) {
      case CTA_COUNTERS_PACKETS:
        if (size !== 8) return false;
        into.packetsHigh = view.getUint32(from);
        into.packetsLow = view.getUint32(from + 4);
        present |= 1 << CTA_COUNTERS_PACKETS;
        break;
      case CTA_COUNTERS_BYTES:
        if (size !== 8) return false;
        into.bytesHigh = view.getUint32(from);
        into.bytesLow = view.getUint32(from + 4);
        present |= 1 << CTA_COUNTERS_BYTES;
        break;
      case CTA_COUNTERS32_PACKETS:
        if (size !== 4) return false;
        into.packetsHigh = 0;
        into.packetsLow = view.getUint32(from);
        present |= 1 << CTA_COUNTERS_PACKETS;
        break;
      case CTA_COUNTERS32_BYTES:
        if (size !== 4) return false;
        into.bytesHigh = 0;
        into.bytesLow = view.getUint32(from);
        present |= 1 << CTA_COUNTERS_BYTES;
        break;
    }
    at += align(to - at);
  }
  into.present = present;
  return true;
}

/** Decodes a CTA_TIMESTAMP nest between `start` and `end`; false when it is malformed. */
export function decodeTimestamps(view: DataView, start: number, end: number, into: Timestamps): boolean {
  let present = 0;
  for (let at = start; at < end; ) {
    const to = attributeEnd(view, at, end);
    if (to < 0) return false;
    const from = at + NLA_HEADER;
    const size = to - from;
    switch (attributeType(view, at)) {
      case CTA_TIMESTAMP_START:
        if (size !== 8) return false;
        into.startHigh = view.getUint32(from);
        into.startLow = view.getUint32(from + 4);
        present |= 1 << CTA_TIMESTAMP_START;
        break;
      case CTA_TIMESTAMP_STOP:
        if (size !== 8) return false;
        into.stopHigh = view.getUint32(from);
        into.stopLow = view.getUint32(from + 4);
        present |= 1 << CTA_TIMESTAMP_STOP;
        break;
    }
    at += align(to - at);
  }
  into.present = present;
  return true;
}

/** Decodes a CTA_SEQ_ADJ_* nest between `start` and `end`; false when it is malformed. */
export function decodeSeqAdj(view: DataView, start: number, end: number, into: SeqAdj): boolean {
  let present = 0;
  for (let at = start; at < end; ) {
    const to = attributeEnd(view, at, end);
    if (to < 0) return false;
    const from = at + NLA_HEADER;
    const type = attributeType(view, at);
    if (type <= CTA_SEQADJ_OFFSET_AFTER) {
      if (to - from !== 4) return false;
      present |= 1 << type;
      if (type === CTA_SEQADJ_CORRECTION_POS) into.correctionPosition = view.getUint32(from);
      else if (type === CTA_SEQADJ_OFFSET_BEFORE) into.offsetBefore = view.getInt32(from);
      else if (type === CTA_SEQADJ_OFFSET_AFTER) into.offsetAfter = view.getInt32(from);
    }
    at += align(to - at);
  }
  into.present = present;
  return true;
}

/** Decodes a CTA_SYNPROXY nest between `start` and `end`; false when it is malformed. */
export function decodeSynproxy(view: DataView, start: number, end: number, into: Synproxy): boolean {
  let present = 0;
  for (let at = start; at < end; ) {
    const to = attributeEnd(view, at, end);
    if (to < 0) return false;
    const from = at + NLA_HEADER;
    const type = attributeType(view, at);
    if (type <= CTA_SYNPROXY_TSOFF) {
      if (to - from !== 4) return false;
      present |= 1 << type;
      if (type === CTA_SYNPROXY_ISN) into.initialSequence = view.getUint32(from);
      else if (type === CTA_SYNPROXY_ITS) into.initialTimestamp = view.getUint32(from);
      else if (type === CTA_SYNPROXY_TSOFF) into.timestampOffset = view.getUint32(from);
    }
    at += align(to - at);
  }
  into.present = present;
  return true;
}
