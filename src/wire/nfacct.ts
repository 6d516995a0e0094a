import { MessageBuilder } from './message-builder.ts';
import { align, attributeEnd, attributeType, messageType, NLA_HEADER, NLM_F_DUMP, stringLength } from './netlink.ts';
import { beginRequest, NFNL_HEADER, NFPROTO_UNSPEC } from './nfnetlink.ts';

/** Counters by name that rules with `-m nfacct` count in (linux/netfilter/nfnetlink_acct.h). */

export const NFNL_SUBSYS_ACCT = 7;
export const NFNL_MSG_ACCT_NEW = NFNL_SUBSYS_ACCT << 8;
export const NFNL_MSG_ACCT_GET = NFNL_MSG_ACCT_NEW | 1;
export const NFNL_MSG_ACCT_GET_CTRZERO = NFNL_MSG_ACCT_NEW | 2;

export const NFACCT_NAME = 1;
export const NFACCT_PKTS = 2;
export const NFACCT_BYTES = 3;

/** A counter, decoded. The offset is into the view that was decoded; numbers are halves of 64 bits. */
export class NfacctCounter {
  nameOffset = 0;
  nameLength = 0;
  packetsHigh = 0;
  packetsLow = 0;
  bytesHigh = 0;
  bytesLow = 0;
}

/** Asks for all counters, which `zero` also sets to zero; answered with NFNL_MSG_ACCT_NEW messages and NLMSG_DONE. */
export function dumpNfacct(sequence: number, zero: boolean): Uint8Array {
  const type = zero ? NFNL_MSG_ACCT_GET_CTRZERO : NFNL_MSG_ACCT_GET;
  return beginRequest(new MessageBuilder(), type, NLM_F_DUMP, sequence, NFPROTO_UNSPEC).finish();
}

/** Decodes the message between `start` and `end` (messageEnd); false when it is malformed or no whole counter. */
export function decodeNfacct(view: DataView, start: number, end: number, into: NfacctCounter): boolean {
  if (end - start < NFNL_HEADER || messageType(view, start) !== NFNL_MSG_ACCT_NEW) return false;
  let present = 0;
  for (let at = start + NFNL_HEADER; at < end; ) {
    const to = attributeEnd(view, at, end);
    if (to < 0) return false;
    const type = attributeType(view, at);
    const from = at + NLA_HEADER;
    if (type === NFACCT_NAME) {
      into.nameOffset = from;
      into.nameLength = stringLength(view, from, to);
    } else if (type === NFACCT_PKTS || type === NFACCT_BYTES) {
      if (to - from !== 8) return false;
      const high = view.getUint32(from);
      const low = view.getUint32(from + 4);
      if (type === NFACCT_PKTS) {
        into.packetsHigh = high;
        into.packetsLow = low;
      } else {
        into.bytesHigh = high;
        into.bytesLow = low;
      }
    }
    if (type < 32) present |= 1 << type;
    at += align(to - at);
  }
  const whole = (1 << NFACCT_NAME) | (1 << NFACCT_PKTS) | (1 << NFACCT_BYTES);
  return (present & whole) === whole;
}
