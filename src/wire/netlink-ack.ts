import {
  align,
  attributeEnd,
  attributeType,
  HOST_LITTLE_ENDIAN,
  messageEnd,
  messageFlags,
  messageSequence,
  messageType,
  NLA_HEADER,
  NLM_F_ACK_TLVS,
  NLM_F_CAPPED,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSG_HEADER,
  stringLength,
} from './netlink.ts';

// Attributes of an extended acknowledgement, sent when the socket has set NETLINK_EXT_ACK.
export const NLMSGERR_ATTR_MSG = 1;
export const NLMSGERR_ATTR_OFFS = 2;

/** The kernel's answer to a request: NLMSG_ERROR, which with error 0 is the acknowledgement, or the NLMSG_DONE of a dump. */
export class NetlinkAck {
  /** Sequence number of the request. */
  sequence = 0;
  /** errno as a positive number; 0 means that all went well. */
  error = 0;
  /** The kernel's own words, where `messageLength` is not 0. */
  messageOffset = 0;
  messageLength = 0;
  /** Offset in the request of the attribute that the kernel did not like, or -1. */
  badAttribute = -1;
}

/** Decodes a NLMSG_ERROR or NLMSG_DONE message; false when it is malformed or neither of them. */
export function decodeAck(view: DataView, start: number, end: number, into: NetlinkAck): boolean {
  const stop = messageEnd(view, start, end);
  if (stop < 0) return false;
  const type = messageType(view, start);
  if (type !== NLMSG_ERROR && type !== NLMSG_DONE) return false;
  let at = start + NLMSG_HEADER + 4;
  if (at > stop) return false;
  const flags = messageFlags(view, start);
  into.sequence = messageSequence(view, start);
  into.error = -view.getInt32(start + NLMSG_HEADER, HOST_LITTLE_ENDIAN) | 0;
  into.messageLength = 0;
  into.badAttribute = -1;
  if (type === NLMSG_ERROR) {
    if (stop - at < NLMSG_HEADER) return false;
    // The failed request follows its header unless capped (netlink_ack in af_netlink.c); its length is our own, returned.
    const request = (flags & NLM_F_CAPPED) !== 0 ? NLMSG_HEADER : view.getUint32(at, HOST_LITTLE_ENDIAN);
    if (request < NLMSG_HEADER || request > stop - at) return false;
    at += align(request);
  }
  return (flags & NLM_F_ACK_TLVS) === 0 || decodeExtendedAck(view, at, stop, into);
}

function decodeExtendedAck(view: DataView, start: number, end: number, into: NetlinkAck): boolean {
  for (let at = start; at < end; ) {
    const to = attributeEnd(view, at, end);
    if (to < 0) return false;
    const from = at + NLA_HEADER;
    switch (attributeType(view, at)) {
      case NLMSGERR_ATTR_MSG:
        into.messageOffset = from;
        into.messageLength = stringLength(view, from, to);
        break;
      case NLMSGERR_ATTR_OFFS:
        if (to - from !== 4) return false;
        into.badAttribute = view.getUint32(from, HOST_LITTLE_ENDIAN);
        break;
    }
    at += align(to - at);
  }
  return true;
}
