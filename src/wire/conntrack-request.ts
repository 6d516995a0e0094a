import {
  CTA_TUPLE_ORIG,
  CTA_TUPLE_REPLY,
  CTA_ZONE,
  IPCTNL_MSG_CT_GET,
  IPCTNL_MSG_CT_GET_CTRZERO,
  IPCTNL_MSG_CT_GET_STATS,
  IPCTNL_MSG_CT_GET_STATS_CPU,
} from './ctnetlink.ts';
import { MessageBuilder } from './message-builder.ts';
import { NLA_F_NESTED, NLM_F_ACK, NLM_F_DUMP } from './netlink.ts';
import { beginRequest, NFPROTO_UNSPEC } from './nfnetlink.ts';

/** Asks for all entries of a family (NFPROTO_UNSPEC: of all); answered with entries and NLMSG_DONE. */
export function dumpConntrack(sequence: number, family = NFPROTO_UNSPEC): Uint8Array {
  return beginRequest(new MessageBuilder(), IPCTNL_MSG_CT_GET, NLM_F_DUMP, sequence, family).finish();
}

/** As dumpConntrack, and every counter shown is set to zero. */
export function dumpAndZeroConntrack(sequence: number, family = NFPROTO_UNSPEC): Uint8Array {
  return beginRequest(new MessageBuilder(), IPCTNL_MSG_CT_GET_CTRZERO, NLM_F_DUMP, sequence, family).finish();
}

/**
 * Asks for one entry by a tuple's attributes as an event brought them (Tuple.offset, Tuple.length); answered with the entry
 * and an acknowledgement, or ENOENT. An entry outside zone 0 is found only with its zone.
 */
export function getConntrack(
  sequence: number,
  family: number,
  tuple: Uint8Array,
  { zone = 0, reply = false }: { readonly zone?: number; readonly reply?: boolean } = {},
): Uint8Array {
  const request = beginRequest(new MessageBuilder(), IPCTNL_MSG_CT_GET, NLM_F_ACK, sequence, family);
  request.bytes((reply ? CTA_TUPLE_REPLY : CTA_TUPLE_ORIG) | NLA_F_NESTED, tuple);
  if (zone !== 0) request.be16(CTA_ZONE, zone);
  return request.finish();
}

/** Asks for how many entries there are and may be; answered with one IPCTNL_MSG_CT_GET_STATS message. */
export function getConntrackTotals(sequence: number): Uint8Array {
  return beginRequest(new MessageBuilder(), IPCTNL_MSG_CT_GET_STATS, NLM_F_ACK, sequence, NFPROTO_UNSPEC).finish();
}

/** Asks for the counters of each processor; answered with IPCTNL_MSG_CT_GET_STATS_CPU messages and NLMSG_DONE. */
export function dumpConntrackStats(sequence: number): Uint8Array {
  return beginRequest(new MessageBuilder(), IPCTNL_MSG_CT_GET_STATS_CPU, NLM_F_DUMP, sequence, NFPROTO_UNSPEC).finish();
}
