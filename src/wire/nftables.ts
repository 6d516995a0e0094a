import { MessageBuilder } from './message-builder.ts';
import {
  align,
  attributeEnd,
  attributeType,
  HOST_LITTLE_ENDIAN,
  messageType,
  NLA_HEADER,
  NLM_F_DUMP,
  NLMSG_HEADER,
  stringLength,
} from './netlink.ts';
import { beginRequest, NFNL_HEADER, NFNL_SUBSYS_NFTABLES, NFPROTO_UNSPEC } from './nfnetlink.ts';

/**
 * The rules of nf_tables that translate addresses (linux/netfilter/nf_tables.h), as nft and iptables-nft write them. Integers are
 * big-endian; what xtables extensions carry (linux/netfilter/nf_nat.h) is in the byte order of the machine.
 */

const NFTABLES = NFNL_SUBSYS_NFTABLES << 8;
export const NFT_MSG_GETTABLE = NFTABLES | 1;
export const NFT_MSG_GETCHAIN = NFTABLES | 4;
export const NFT_MSG_NEWRULE = NFTABLES | 6;
export const NFT_MSG_GETRULE = NFTABLES | 7;
export const NFT_MSG_DELRULE = NFTABLES | 8;
export const NFT_MSG_NEWSETELEM = NFTABLES | 12;
export const NFT_MSG_GETSETELEM = NFTABLES | 13;
export const NFT_MSG_DELSETELEM = NFTABLES | 14;

const NFTA_RULE_TABLE = 1;
const NFTA_RULE_EXPRESSIONS = 4;
const NFTA_EXPR_NAME = 1;
const NFTA_EXPR_DATA = 2;
const NFTA_DATA_VALUE = 1;
const NFTA_SET_ELEM_LIST_TABLE = 1;
const NFTA_SET_ELEM_LIST_SET = 2;
const NFTA_SET_ELEM_LIST_ELEMENTS = 3;
const NFTA_SET_ELEM_KEY = 1;
const NFTA_SET_ELEM_DATA = 2;
const NFTA_SET_ELEM_FLAGS = 3;

const NFT_PAYLOAD_NETWORK_HEADER = 1;
const NFT_META_NFPROTO = 15;
/** Interfaces, by index and by name, in and out: keys 4 to 7 of the meta expression. */
const NFT_META_IIF = 4;
const NFT_META_OIFNAME = 7;
const NFT_CMP_EQ = 0;
const NFT_NAT_DNAT = 1;
const NF_NAT_RANGE_MAP_IPS = 1;
const NF_NAT_RANGE_PROTO_SPECIFIED = 2;
// Names of xtables extensions.
const DNAT = Buffer.from('DNAT\0');
const COMMENT = Buffer.from('comment\0');
/** Where the destination is in a header of the network layer. */
const IPV4_DESTINATION = 16;
const IPV6_DESTINATION = 24;
const REGISTERS = 32;

// What a register holds.
const UNKNOWN = 0;
const DESTINATION = 1;
const HARMLESS = 2;
const CONSTANT = 3;
const MAPPED = 4;

/** A rule that sends what goes to one address to another: offsets into the view that was decoded. */
export class Translation {
  /** Bytes of each address: 4 or 16. */
  length = 0;
  externalOffset = 0;
  internalOffset = 0;
  /** The rule holds for every protocol and port: the external address stands for the internal one as a whole. */
  whole = false;
  /** The addresses are in a map of this name, in the table of the rule, and not in the rule; length 0 when there is none. */
  mapOffset = 0;
  mapLength = 0;
  family = 0;
  tableOffset = 0;
  tableLength = 0;
}

/** Asks for every rule; answered with NFT_MSG_NEWRULE messages and NLMSG_DONE. */
export function dumpRules(sequence: number): Uint8Array {
  return beginRequest(new MessageBuilder(), NFT_MSG_GETRULE, NLM_F_DUMP, sequence, NFPROTO_UNSPEC).finish();
}

/** Asks for the elements of a set or map; answered with NFT_MSG_NEWSETELEM messages and NLMSG_DONE. */
export function dumpElements(family: number, table: string, set: string, sequence: number): Uint8Array {
  return beginRequest(new MessageBuilder(), NFT_MSG_GETSETELEM, NLM_F_DUMP, sequence, family)
    .string(NFTA_SET_ELEM_LIST_TABLE, table)
    .string(NFTA_SET_ELEM_LIST_SET, set)
    .finish();
}

/**
 * Walks expressions with what is known of the registers; one serves every rule. The kernel's names of expressions are told apart by
 * their first four bytes, the NUL included: a router may have tens of thousands of rules.
 */
class RuleReader {
  readonly #kind = new Uint8Array(REGISTERS);
  readonly #offset = new Int32Array(REGISTERS);
  readonly #size = new Int32Array(REGISTERS);

  begin(into: Translation): void {
    this.#kind.fill(UNKNOWN);
    into.length = into.mapLength = into.externalOffset = 0;
    into.whole = true;
  }

  /** True once the expression is the translation itself. */
  read(view: DataView, nameAt: number, nameEnd: number, from: number, to: number, into: Translation): boolean {
    switch (nameEnd - nameAt < 4 ? 0 : view.getUint32(nameAt)) {
      case 0x7061796c: // payload
        this.#payload(view, from, to);
        return false;
      case 0x6d657461: {
        // meta
        const key = number(view, from, to, 2);
        const harmless = (key >= NFT_META_IIF && key <= NFT_META_OIFNAME) || key === NFT_META_NFPROTO;
        this.#set(number(view, from, to, 1), harmless ? HARMLESS : UNKNOWN, 0, 0);
        return false;
      }
      case 0x636d7000: // cmp
        this.#compare(view, from, to, into);
        return false;
      case 0x696d6d65: {
        // immediate
        const at = find(view, from, to, 2);
        const value = at < 0 ? -1 : find(view, at + NLA_HEADER, end(view, at), NFTA_DATA_VALUE);
        if (value >= 0) {
          this.#set(number(view, from, to, 1), CONSTANT, value + NLA_HEADER, end(view, value) - value - NLA_HEADER);
        }
        return false;
      }
      case 0x6c6f6f6b: // lookup
        this.#lookup(view, from, to, into);
        return false;
      case 0x6e617400: // nat
        return this.#nat(view, from, to, into);
      case 0x74617267: // target
        return target(view, from, to, into);
      case 0x6d617463: {
        // match
        const at = find(view, from, to, 1);
        if (at < 0 || !isNamed(view, at, COMMENT)) into.whole = false;
        return false;
      }
      case 0x636f756e: // counter
      case 0x6c6f6700: // log
      case 0x6e6f7472: // notrack
        return false;
      default:
        into.whole = false; // a condition that is not understood
        return false;
    }
  }

  #set(register: number, kind: number, offset: number, size: number): void {
    if (register < 0 || register >= REGISTERS) return;
    this.#kind[register] = kind;
    this.#offset[register] = offset;
    this.#size[register] = size;
  }

  #kindOf(register: number): number {
    return register >= 0 && register < REGISTERS ? (this.#kind[register] as number) : UNKNOWN;
  }

  #payload(view: DataView, from: number, to: number): void {
    const offset = number(view, from, to, 3);
    const size = number(view, from, to, 4);
    const isDestination =
      number(view, from, to, 2) === NFT_PAYLOAD_NETWORK_HEADER &&
      ((offset === IPV4_DESTINATION && size === 4) || (offset === IPV6_DESTINATION && size === 16));
    this.#set(number(view, from, to, 1), isDestination ? DESTINATION : UNKNOWN, 0, size);
  }

  #compare(view: DataView, from: number, to: number, into: Translation): void {
    const kind = this.#kindOf(number(view, from, to, 1));
    if (kind === HARMLESS) return;
    const data = find(view, from, to, 3);
    const value = data < 0 ? -1 : find(view, data + NLA_HEADER, end(view, data), NFTA_DATA_VALUE);
    const size = value < 0 ? 0 : end(view, value) - value - NLA_HEADER;
    if (kind !== DESTINATION || number(view, from, to, 2) !== NFT_CMP_EQ || (size !== 4 && size !== 16)) {
      into.whole = false;
      return;
    }
    into.externalOffset = value + NLA_HEADER;
    into.length = size;
  }

  #lookup(view: DataView, from: number, to: number, into: Translation): void {
    const set = find(view, from, to, 1);
    const source = number(view, from, to, 2);
    const register = number(view, from, to, 3);
    if (register < 0 || set < 0 || this.#kindOf(source) !== DESTINATION) {
      into.whole = false;
      return;
    }
    this.#set(register, MAPPED, set + NLA_HEADER, stringLength(view, set + NLA_HEADER, end(view, set)));
  }

  #nat(view: DataView, from: number, to: number, into: Translation): boolean {
    const least = number(view, from, to, 3);
    const most = number(view, from, to, 4);
    if (number(view, from, to, 1) !== NFT_NAT_DNAT || least < 0 || least >= REGISTERS) return false;
    const kind = this.#kindOf(least);
    if (most >= 0 && most !== least) into.whole = false;
    if (find(view, from, to, 5) >= 0) into.whole = false;
    if (kind === MAPPED) {
      into.mapOffset = this.#offset[least] as number;
      into.mapLength = this.#size[least] as number;
      return into.mapLength > 0;
    }
    if (kind !== CONSTANT || into.length === 0 || this.#size[least] !== into.length) return false;
    into.internalOffset = this.#offset[least] as number;
    return true;
  }
}

const reader = new RuleReader();

/**
 * Decodes an NFT_MSG_NEWRULE message between `start` and `end`, or the NFT_MSG_DELRULE that has the same in it; false when the rule
 * translates no destination by its address, or is malformed.
 */
export function decodeTranslation(view: DataView, start: number, stop: number, into: Translation): boolean {
  const type = messageType(view, start);
  if ((type !== NFT_MSG_NEWRULE && type !== NFT_MSG_DELRULE) || stop - start < NFNL_HEADER) return false;
  into.family = view.getUint8(start + NLMSG_HEADER);
  const table = find(view, start + NFNL_HEADER, stop, NFTA_RULE_TABLE);
  const list = find(view, start + NFNL_HEADER, stop, NFTA_RULE_EXPRESSIONS);
  if (table < 0 || list < 0) return false;
  into.tableOffset = table + NLA_HEADER;
  into.tableLength = stringLength(view, into.tableOffset, end(view, table));
  reader.begin(into);
  const to = end(view, list);
  for (let at = list + NLA_HEADER; at < to; ) {
    const next = attributeEnd(view, at, to);
    if (next < 0) return false;
    const name = find(view, at + NLA_HEADER, next, NFTA_EXPR_NAME);
    const data = find(view, at + NLA_HEADER, next, NFTA_EXPR_DATA);
    if (name >= 0) {
      const from = data < 0 ? next : data + NLA_HEADER;
      const until = data < 0 ? next : end(view, data);
      if (reader.read(view, name + NLA_HEADER, end(view, name), from, until, into)) return true;
    }
    at += align(next - at);
  }
  return false;
}

/** The set that an NFT_MSG_NEWSETELEM or NFT_MSG_DELSETELEM message is of, as `nameOfSet` has it; undefined when it is malformed. */
export function setOfElements(view: DataView, start: number, stop: number): string | undefined {
  if (stop - start < NFNL_HEADER) return undefined;
  const table = find(view, start + NFNL_HEADER, stop, NFTA_SET_ELEM_LIST_TABLE);
  const set = find(view, start + NFNL_HEADER, stop, NFTA_SET_ELEM_LIST_SET);
  if (table < 0 || set < 0) return undefined;
  return nameOfSet(
    view.getUint8(start + NLMSG_HEADER),
    textOf(view, table + NLA_HEADER, end(view, table)),
    textOf(view, set + NLA_HEADER, end(view, set)),
  );
}

/** One text for a set of a table of a family. */
export const nameOfSet = (family: number, table: string, set: string): string => `${family} ${table} ${set}`;

/** Hands each pair of an NFT_MSG_NEWSETELEM or NFT_MSG_DELSETELEM message on, key and value of one length; false when the map has ranges, or is malformed. */
export function decodePairs(
  view: DataView,
  start: number,
  stop: number,
  onPair: (key: number, value: number, length: number) => void,
): boolean {
  if (stop - start < NFNL_HEADER) return false;
  const list = find(view, start + NFNL_HEADER, stop, NFTA_SET_ELEM_LIST_ELEMENTS);
  if (list < 0) return true;
  const to = end(view, list);
  for (let at = list + NLA_HEADER; at < to; ) {
    const next = attributeEnd(view, at, to);
    if (next < 0 || number(view, at + NLA_HEADER, next, NFTA_SET_ELEM_FLAGS) > 0) return false;
    const key = nested(view, find(view, at + NLA_HEADER, next, NFTA_SET_ELEM_KEY));
    const data = nested(view, find(view, at + NLA_HEADER, next, NFTA_SET_ELEM_DATA));
    if (key < 0 || data < 0) return false;
    const length = end(view, key) - key - NLA_HEADER;
    if (length === end(view, data) - data - NLA_HEADER && (length === 4 || length === 16)) {
      onPair(key + NLA_HEADER, data + NLA_HEADER, length);
    }
    at += align(next - at);
  }
  return true;
}

/** The DNAT target of xtables: struct nf_nat_ipv4_multi_range_compat in revision 0, nf_nat_range and nf_nat_range2 from 1 on. */
function target(view: DataView, from: number, to: number, into: Translation): boolean {
  const name = find(view, from, to, 1);
  const info = find(view, from, to, 3);
  if (name < 0 || info < 0 || !isNamed(view, name, DNAT)) return false;
  if (into.length === 0) return false;
  const old = number(view, from, to, 2) === 0;
  const range = info + NLA_HEADER + (old ? 4 : 0);
  const size = old ? 4 : 16;
  if (end(view, info) < range + 4 + 2 * size) return false;
  const flags = view.getUint32(range, HOST_LITTLE_ENDIAN);
  if ((flags & NF_NAT_RANGE_MAP_IPS) === 0) return false;
  if ((flags & NF_NAT_RANGE_PROTO_SPECIFIED) !== 0) into.whole = false;
  for (let i = 0; i < into.length; i++) {
    if (view.getUint8(range + 4 + i) !== view.getUint8(range + 4 + size + i)) into.whole = false;
  }
  into.internalOffset = range + 4;
  return true;
}

/** The value within a nest of struct nft_data, or -1. */
const nested = (view: DataView, nest: number): number =>
  nest < 0 ? -1 : find(view, nest + NLA_HEADER, end(view, nest), NFTA_DATA_VALUE);

/** Offset of the attribute of this type between `from` and `to`, or -1. */
export function find(view: DataView, from: number, to: number, type: number): number {
  for (let at = from; at < to; ) {
    const next = attributeEnd(view, at, to);
    if (next < 0) return -1;
    if (attributeType(view, at) === type) return at;
    at += align(next - at);
  }
  return -1;
}

/** End of an attribute that `find` has found. */
export const end = (view: DataView, at: number): number => at + view.getUint16(at, HOST_LITTLE_ENDIAN);

/** The big-endian number of this type, or -1. */
export function number(view: DataView, from: number, to: number, type: number): number {
  const at = find(view, from, to, type);
  return at < 0 || end(view, at) - at < NLA_HEADER + 4 ? -1 : view.getUint32(at + NLA_HEADER);
}

/** Whether the string attribute at `at` is this one, its NUL included. */
function isNamed(view: DataView, at: number, name: Uint8Array): boolean {
  if (end(view, at) - at - NLA_HEADER !== name.length) return false;
  for (let i = 0; i < name.length; i++) if (view.getUint8(at + NLA_HEADER + i) !== name[i]) return false;
  return true;
}

/** Text of a NUL-terminated string attribute. */
export function textOf(view: DataView, from: number, to: number): string {
  return Buffer.from(view.buffer, view.byteOffset + from, stringLength(view, from, to)).toString('latin1');
}
