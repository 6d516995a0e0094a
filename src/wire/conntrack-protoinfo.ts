import { HOST_LITTLE_ENDIAN, U32 } from './netlink.ts';

// A constant of this module's own, see netlink.ts on speed.
const LITTLE = HOST_LITTLE_ENDIAN;

/** What conntrack knows about the state of a connection's transport protocol: CTA_PROTOINFO. */
export class ProtoInfo {
  /** 1 << CTA_PROTOINFO_TCP, _DCCP or _SCTP: at most one in what the kernel sends. */
  present = 0;
  /** 1 << CTA_PROTOINFO_{TCP,DCCP,SCTP}_* of that protocol's fields. */
  fields = 0;
  /** TCP_CONNTRACK_*, CT_DCCP_* or SCTP_CONNTRACK_*. */
  state = 0;
  tcpWindowScaleOrig = 0;
  tcpWindowScaleReply = 0;
  /** IP_CT_TCP_FLAG_*. */
  tcpFlagsOrig = 0;
  tcpFlagsMaskOrig = 0;
  tcpFlagsReply = 0;
  tcpFlagsMaskReply = 0;
  sctpVtagOrig = U32;
  sctpVtagReply = U32;
  dccpRole = 0;
  dccpHandshakeHigh = U32;
  dccpHandshakeLow = U32;
}

/** Forgets the last state. */
export function clearProtoInfo(info: ProtoInfo): void {
  info.present = 0;
  info.fields = 0;
}

/** Decodes the attributes of CTA_PROTOINFO between `start` and `end`; false when they are malformed. */
export function decodeProtoInfo(view: DataView, start: number, end: number, into: ProtoInfo): boolean {
  for (let at = start; at < end; ) {
    if (end - at < 4) return false;
    const length = view.getUint16(at, LITTLE);
    if (length < 4 || length > end - at) return false;
    const from = at + 4;
    const type = view.getUint16(at + 2, LITTLE) & 0x3fff;
    switch (type) {
      case 1: // CTA_PROTOINFO_TCP
        if (!decodeTcp(view, from, at + length, into)) return false;
        break;
      case 2: // CTA_PROTOINFO_DCCP
        if (!decodeDccp(view, from, at + length, into)) return false;
        break;
      case 3: // CTA_PROTOINFO_SCTP
        if (!decodeSctp(view, from, at + length, into)) return false;
        break;
    }
    if (type < 32) into.present |= 1 << type;
    at += (length + 3) & ~3;
  }
  return true;
}

function decodeTcp(view: DataView, start: number, end: number, into: ProtoInfo): boolean {
  let fields = 0;
  for (let at = start; at < end; ) {
    if (end - at < 4) return false;
    const length = view.getUint16(at, LITTLE);
    if (length < 4 || length > end - at) return false;
    const from = at + 4;
    const size = length - 4;
    const type = view.getUint16(at + 2, LITTLE) & 0x3fff;
    switch (type) {
      case 1: // CTA_PROTOINFO_TCP_STATE
        if (size !== 1) return false;
        into.state = view.getUint8(from);
        break;
      case 2: // CTA_PROTOINFO_TCP_WSCALE_ORIGINAL
        if (size !== 1) return false;
        into.tcpWindowScaleOrig = view.getUint8(from);
        break;
      case 3: // CTA_PROTOINFO_TCP_WSCALE_REPLY
        if (size !== 1) return false;
        into.tcpWindowScaleReply = view.getUint8(from);
        break;
      case 4: // CTA_PROTOINFO_TCP_FLAGS_ORIGINAL
        // struct nf_ct_tcp_flags
        if (size < 2) return false;
        into.tcpFlagsOrig = view.getUint8(from);
        into.tcpFlagsMaskOrig = view.getUint8(from + 1);
        break;
      case 5: // CTA_PROTOINFO_TCP_FLAGS_REPLY
        if (size < 2) return false;
        into.tcpFlagsReply = view.getUint8(from);
        into.tcpFlagsMaskReply = view.getUint8(from + 1);
        break;
    }
    if (type < 32) fields |= 1 << type;
    at += (length + 3) & ~3;
  }
  into.fields = fields;
  return true;
}

function decodeDccp(view: DataView, start: number, end: number, into: ProtoInfo): boolean {
  let fields = 0;
  for (let at = start; at < end; ) {
    if (end - at < 4) return false;
    const length = view.getUint16(at, LITTLE);
    if (length < 4 || length > end - at) return false;
    const from = at + 4;
    const size = length - 4;
    const type = view.getUint16(at + 2, LITTLE) & 0x3fff;
    switch (type) {
      case 1: // CTA_PROTOINFO_DCCP_STATE
        if (size !== 1) return false;
        into.state = view.getUint8(from);
        break;
      case 2: // CTA_PROTOINFO_DCCP_ROLE
        if (size !== 1) return false;
        into.dccpRole = view.getUint8(from);
        break;
      case 3: // CTA_PROTOINFO_DCCP_HANDSHAKE_SEQ
        if (size !== 8) return false;
        into.dccpHandshakeHigh = view.getUint32(from);
        into.dccpHandshakeLow = view.getUint32(from + 4);
        break;
    }
    if (type < 32) fields |= 1 << type;
    at += (length + 3) & ~3;
  }
  into.fields = fields;
  return true;
}

function decodeSctp(view: DataView, start: number, end: number, into: ProtoInfo): boolean {
  let fields = 0;
  for (let at = start; at < end; ) {
    if (end - at < 4) return false;
    const length = view.getUint16(at, LITTLE);
    if (length < 4 || length > end - at) return false;
    const from = at + 4;
    const size = length - 4;
    const type = view.getUint16(at + 2, LITTLE) & 0x3fff;
    switch (type) {
      case 1: // CTA_PROTOINFO_SCTP_STATE
        if (size !== 1) return false;
        into.state = view.getUint8(from);
        break;
      case 2: // CTA_PROTOINFO_SCTP_VTAG_ORIGINAL
        if (size !== 4) return false;
        into.sctpVtagOrig = view.getUint32(from);
        break;
      case 3: // CTA_PROTOINFO_SCTP_VTAG_REPLY
        if (size !== 4) return false;
        into.sctpVtagReply = view.getUint32(from);
        break;
    }
    if (type < 32) fields |= 1 << type;
    at += (length + 3) & ~3;
  }
  into.fields = fields;
  return true;
}
