import { HOST_LITTLE_ENDIAN, NLA_TYPE_MASK, stringLength } from './netlink.ts';
import { NFNL_HEADER, NFNL_SUBSYS_NFTABLES } from './nfnetlink.ts';

/**
 * What nf_tables tells of a packet with `meta nftrace set 1` (linux/netfilter/nf_tables.h; written by nft_trace_notify in
 * nf_tables_trace.c): a message for each rule that matched, and for each end of a chain.
 */

// Constants of this module's own, see netlink.ts on speed.
const LITTLE = HOST_LITTLE_ENDIAN;
const TYPE_MASK = NLA_TYPE_MASK;

export const NFT_MSG_TRACE = (NFNL_SUBSYS_NFTABLES << 8) | 17;

// NFTA_TRACE_TYPE.
export const NFT_TRACETYPE_POLICY = 1;
export const NFT_TRACETYPE_RETURN = 2;
export const NFT_TRACETYPE_RULE = 3;

// Verdicts (linux/netfilter.h). Those of nf_tables alone, such as a jump, are negative.
export const NF_DROP = 0;
export const NF_ACCEPT = 1;
/** Verdict of a message that has none. */
export const NO_VERDICT = -100;

const NFTA_VERDICT_CODE = 1;

/** A message, decoded. Offsets are into the view that was decoded; a length of 0 means that it is not there. */
export class Trace {
  /** Number that all messages about a packet have; used again later. */
  id = 0;
  /** NFT_TRACETYPE_*. */
  type = 0;
  /** Of the rule, or the policy that the chain ended with. */
  verdict = NO_VERDICT;
  tableOffset = 0;
  tableLength = 0;
  chainOffset = 0;
  chainLength = 0;
  /** Number of the rule within its table. */
  handleHigh = 0;
  handleLow = 0;
  /** Headers: in the first message of each chain that hangs on a hook. */
  linkOffset = 0;
  linkLength = 0;
  networkOffset = 0;
  networkLength = 0;
  transportOffset = 0;
  transportLength = 0;
  indev = 0;
  outdev = 0;
  /** ARPHRD_* of the interface it came in by. */
  indevType = 0;
  mark = 0;
  /** CTA_ID of its connection, since Linux 6.16; 0 when it is not told. */
  connection = 0;
}

/** Decodes the NFT_MSG_TRACE message between `start` and `end` (messageEnd). False when it is malformed. */
export function decodeTrace(view: DataView, start: number, end: number, into: Trace): boolean {
  if (end - start < NFNL_HEADER) return false;
  into.type = into.tableLength = into.chainLength = into.handleHigh = into.handleLow = 0;
  into.linkLength = into.networkLength = into.transportLength = 0;
  into.indev = into.outdev = into.indevType = into.mark = into.connection = 0;
  into.verdict = NO_VERDICT;
  let known = false;
  for (let at = start + NFNL_HEADER; at < end; ) {
    if (end - at < 4) return false;
    const length = view.getUint16(at, LITTLE);
    if (length < 4 || length > end - at) return false;
    const type = view.getUint16(at + 2, LITTLE) & TYPE_MASK;
    const from = at + 4;
    const to = at + length;
    const size = length - 4;
    at += (length + 3) & ~3;
    switch (type) {
      case 1: // NFTA_TRACE_TABLE
        into.tableOffset = from;
        into.tableLength = stringLength(view, from, to);
        break;
      case 2: // NFTA_TRACE_CHAIN
        into.chainOffset = from;
        into.chainLength = stringLength(view, from, to);
        break;
      case 3: // NFTA_TRACE_RULE_HANDLE
        if (size !== 8) return false;
        into.handleHigh = view.getUint32(from);
        into.handleLow = view.getUint32(from + 4);
        break;
      case 4: // NFTA_TRACE_TYPE
        if (size !== 4) return false;
        into.type = view.getUint32(from);
        break;
      case 5: // NFTA_TRACE_VERDICT
        into.verdict = verdictIn(view, from, to);
        break;
      case 6: // NFTA_TRACE_ID
        if (size !== 4) return false;
        into.id = view.getInt32(from);
        known = true;
        break;
      case 7: // NFTA_TRACE_LL_HEADER
        into.linkOffset = from;
        into.linkLength = size;
        break;
      case 8: // NFTA_TRACE_NETWORK_HEADER
        into.networkOffset = from;
        into.networkLength = size;
        break;
      case 9: // NFTA_TRACE_TRANSPORT_HEADER
        into.transportOffset = from;
        into.transportLength = size;
        break;
      case 10: // NFTA_TRACE_IIF
        if (size !== 4) return false;
        into.indev = view.getUint32(from);
        break;
      case 11: // NFTA_TRACE_IIFTYPE
        if (size !== 2) return false;
        into.indevType = view.getUint16(from);
        break;
      case 12: // NFTA_TRACE_OIF
        if (size !== 4) return false;
        into.outdev = view.getUint32(from);
        break;
      case 14: // NFTA_TRACE_MARK
        if (size !== 4) return false;
        into.mark = view.getUint32(from);
        break;
      case 16: // NFTA_TRACE_POLICY
        if (size !== 4) return false;
        into.verdict = view.getInt32(from);
        break;
      case 18: // NFTA_TRACE_CT_ID
        if (size !== 4) return false;
        into.connection = view.getUint32(from);
        break;
    }
  }
  return known;
}

function verdictIn(view: DataView, start: number, end: number): number {
  for (let at = start; end - at >= 4; ) {
    const length = view.getUint16(at, LITTLE);
    if (length < 4 || length > end - at) return NO_VERDICT;
    if ((view.getUint16(at + 2, LITTLE) & TYPE_MASK) === NFTA_VERDICT_CODE && length === 8)
      return view.getInt32(at + 4);
    at += (length + 3) & ~3;
  }
  return NO_VERDICT;
}
