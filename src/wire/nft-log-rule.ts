import { MessageBuilder } from './message-builder.ts';
import { align, attributeEnd, messageType, NLA_HEADER, NLM_F_DUMP } from './netlink.ts';
import { beginRequest, NFNL_HEADER } from './nfnetlink.ts';
import { end as endOf, find, NFT_MSG_GETRULE, NFT_MSG_NEWRULE, number, textOf } from './nftables.ts';

/** Rules of nf_tables that log with a prefix (linux/netfilter/nf_tables.h), as iptables-nft writes `-i DEVICE … -j NFLOG`. */

const NFTA_RULE_TABLE = 1;
const NFTA_RULE_CHAIN = 2;
const NFTA_RULE_EXPRESSIONS = 4;
const NFT_META_IIFNAME = 6;
const NFT_META_OIFNAME = 7;
const NFT_CMP_EQ = 0;
const NFTA_LOG_PREFIX = 2;
/** Where the prefix is in struct xt_nflog_info (linux/netfilter/xt_NFLOG.h), which iptables before 1.8.8 wrote. */
const XT_PREFIX = 12;

/** A rule that logs. */
export interface LogRule {
  readonly chain: string;
  readonly prefix: string;
  /** The one interface that its packets come in by or go out by; undefined when it names none. */
  readonly device: string | undefined;
}

/** Asks for the rules of one table; answered with NFT_MSG_NEWRULE messages and NLMSG_DONE. */
export const dumpTable = (family: number, table: string): Uint8Array =>
  beginRequest(new MessageBuilder(), NFT_MSG_GETRULE, NLM_F_DUMP, 1, family).string(NFTA_RULE_TABLE, table).finish();

/** Decodes an NFT_MSG_NEWRULE message between `start` and `stop`; undefined when it logs nothing with a prefix, or is malformed. */
export function decodeLogRule(view: DataView, start: number, stop: number): LogRule | undefined {
  if (messageType(view, start) !== NFT_MSG_NEWRULE || stop - start < NFNL_HEADER) return undefined;
  const chain = textIn(view, start + NFNL_HEADER, stop, NFTA_RULE_CHAIN);
  const list = find(view, start + NFNL_HEADER, stop, NFTA_RULE_EXPRESSIONS);
  if (list < 0) return undefined;
  let device: string | undefined;
  let prefix: string | undefined;
  let comparesName = false;
  const to = endOf(view, list);
  for (let at = list + NLA_HEADER; at < to; ) {
    const next = attributeEnd(view, at, to);
    if (next < 0) return undefined;
    const name = textIn(view, at + NLA_HEADER, next, 1);
    const data = find(view, at + NLA_HEADER, next, 2);
    at += align(next - at);
    if (data < 0) continue;
    const from = data + NLA_HEADER;
    const until = endOf(view, data);
    if (name === 'log') prefix = textIn(view, from, until, NFTA_LOG_PREFIX);
    else if (name === 'target') prefix = prefixOfTarget(view, from, until);
    else if (name === 'cmp' && comparesName && number(view, from, until, 2) === NFT_CMP_EQ)
      device = comparedText(view, from, until);
    const key = name === 'meta' ? number(view, from, until, 2) : -1;
    comparesName = key === NFT_META_IIFNAME || key === NFT_META_OIFNAME;
  }
  return prefix && chain ? { chain, prefix, device } : undefined;
}

function comparedText(view: DataView, from: number, to: number): string | undefined {
  const data = find(view, from, to, 3);
  return data < 0 ? undefined : textIn(view, data + NLA_HEADER, endOf(view, data), 1);
}

/** The prefix of the xtables target NFLOG. */
function prefixOfTarget(view: DataView, from: number, to: number): string | undefined {
  const info = find(view, from, to, 3);
  if (info < 0 || textIn(view, from, to, 1) !== 'NFLOG') return undefined;
  const at = info + NLA_HEADER + XT_PREFIX;
  return at < endOf(view, info) ? filledText(view, at, endOf(view, info)) : undefined;
}

/** Text of fixed size, filled up with NULs. */
const filledText = (view: DataView, from: number, to: number): string => textOf(view, from, to).split('\0', 1)[0] ?? '';

function textIn(view: DataView, from: number, to: number, type: number): string | undefined {
  const at = find(view, from, to, type);
  return at < 0 ? undefined : filledText(view, at + NLA_HEADER, endOf(view, at));
}
