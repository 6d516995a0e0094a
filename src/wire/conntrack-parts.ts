import { HOST_LITTLE_ENDIAN, U32 } from './netlink.ts';

// A constant of this module's own, see netlink.ts on speed.
const LITTLE = HOST_LITTLE_ENDIAN;

/** The small nests of a conntrack entry. `present` holds the bits of the nest's own attributes, 0 when it is not there. */

/** Traffic of one direction: CTA_COUNTERS_ORIG, CTA_COUNTERS_REPLY. Halves of 64-bit numbers. */
export class Counters {
  /** 1 << CTA_COUNTERS_*; the 32-bit forms set the bits of CTA_COUNTERS_PACKETS and _BYTES too. */
  present = 0;
  packetsHigh = U32;
  packetsLow = U32;
  bytesHigh = U32;
  bytesLow = U32;
}

/** Life of an entry in nanoseconds since 1970, as halves of 64-bit numbers: CTA_TIMESTAMP. */
export class Timestamps {
  present = 0;
  startHigh = U32;
  startLow = U32;
  stopHigh = U32;
  stopLow = U32;
}

/** How a helper or SYNPROXY shifted TCP sequence numbers of one direction: CTA_SEQ_ADJ_ORIG, CTA_SEQ_ADJ_REPLY. */
export class SeqAdj {
  present = 0;
  correctionPosition = U32;
  /** Signed. */
  offsetBefore = 0;
  /** Signed. */
  offsetAfter = 0;
}

/** What SYNPROXY remembers: CTA_SYNPROXY. */
export class Synproxy {
  present = 0;
  initialSequence = U32;
  initialTimestamp = U32;
  timestampOffset = U32;
}

/** Decodes a CTA_COUNTERS_* nest between `start` and `end`; false when it is malformed. */
export function decodeCounters(view: DataView, start: number, end: number, into: Counters): boolean {
  let present = 0;
  for (let at = start; at < end; ) {
    if (end - at < 4) return false;
    const length = view.getUint16(at, LITTLE);
    if (length < 4 || length > end - at) return false;
    const from = at + 4;
    const size = length - 4;
    const type = view.getUint16(at + 2, LITTLE) & 0x3fff;
    switch (type) {
      case 1: // CTA_COUNTERS_PACKETS
        if (size !== 8) return false;
        into.packetsHigh = view.getUint32(from);
        into.packetsLow = view.getUint32(from + 4);
        break;
      case 2: // CTA_COUNTERS_BYTES
        if (size !== 8) return false;
        into.bytesHigh = view.getUint32(from);
        into.bytesLow = view.getUint32(from + 4);
        break;
      case 3: // CTA_COUNTERS32_PACKETS
        if (size !== 4) return false;
        into.packetsHigh = 0;
        into.packetsLow = view.getUint32(from);
        present |= 1 << 1;
        break;
      case 4: // CTA_COUNTERS32_BYTES
        if (size !== 4) return false;
        into.bytesHigh = 0;
        into.bytesLow = view.getUint32(from);
        present |= 1 << 2;
        break;
    }
    if (type < 32) present |= 1 << type;
    at += (length + 3) & ~3;
  }
  into.present = present;
  return true;
}

/** Decodes a CTA_TIMESTAMP nest between `start` and `end`; false when it is malformed. */
export function decodeTimestamps(view: DataView, start: number, end: number, into: Timestamps): boolean {
  let present = 0;
  for (let at = start; at < end; ) {
    if (end - at < 4) return false;
    const length = view.getUint16(at, LITTLE);
    if (length < 4 || length > end - at) return false;
    const from = at + 4;
    const size = length - 4;
    const type = view.getUint16(at + 2, LITTLE) & 0x3fff;
    switch (type) {
      case 1: // CTA_TIMESTAMP_START
        if (size !== 8) return false;
        into.startHigh = view.getUint32(from);
        into.startLow = view.getUint32(from + 4);
        break;
      case 2: // CTA_TIMESTAMP_STOP
        if (size !== 8) return false;
        into.stopHigh = view.getUint32(from);
        into.stopLow = view.getUint32(from + 4);
        break;
    }
    if (type < 32) present |= 1 << type;
    at += (length + 3) & ~3;
  }
  into.present = present;
  return true;
}

/** Decodes a CTA_SEQ_ADJ_* nest between `start` and `end`; false when it is malformed. */
export function decodeSeqAdj(view: DataView, start: number, end: number, into: SeqAdj): boolean {
  let present = 0;
  for (let at = start; at < end; ) {
    if (end - at < 4) return false;
    const length = view.getUint16(at, LITTLE);
    if (length < 4 || length > end - at) return false;
    const from = at + 4;
    const type = view.getUint16(at + 2, LITTLE) & 0x3fff;
    switch (type) {
      case 1: // CTA_SEQADJ_CORRECTION_POS
        if (length !== 8) return false;
        into.correctionPosition = view.getUint32(from);
        break;
      case 2: // CTA_SEQADJ_OFFSET_BEFORE
        if (length !== 8) return false;
        into.offsetBefore = view.getInt32(from);
        break;
      case 3: // CTA_SEQADJ_OFFSET_AFTER
        if (length !== 8) return false;
        into.offsetAfter = view.getInt32(from);
        break;
    }
    if (type < 32) present |= 1 << type;
    at += (length + 3) & ~3;
  }
  into.present = present;
  return true;
}

/** Decodes a CTA_SYNPROXY nest between `start` and `end`; false when it is malformed. */
export function decodeSynproxy(view: DataView, start: number, end: number, into: Synproxy): boolean {
  let present = 0;
  for (let at = start; at < end; ) {
    if (end - at < 4) return false;
    const length = view.getUint16(at, LITTLE);
    if (length < 4 || length > end - at) return false;
    const from = at + 4;
    const type = view.getUint16(at + 2, LITTLE) & 0x3fff;
    switch (type) {
      case 1: // CTA_SYNPROXY_ISN
        if (length !== 8) return false;
        into.initialSequence = view.getUint32(from);
        break;
      case 2: // CTA_SYNPROXY_ITS
        if (length !== 8) return false;
        into.initialTimestamp = view.getUint32(from);
        break;
      case 3: // CTA_SYNPROXY_TSOFF
        if (length !== 8) return false;
        into.timestampOffset = view.getUint32(from);
        break;
    }
    if (type < 32) present |= 1 << type;
    at += (length + 3) & ~3;
  }
  into.present = present;
  return true;
}
