import { constants } from 'node:os';
import { NetlinkSocket } from '../system/netlink-socket.ts';
import {
  align,
  HOST_LITTLE_ENDIAN,
  messageEnd,
  messageFlags,
  messageType,
  NETLINK_NETFILTER,
  NLM_F_DUMP_INTR,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSG_HEADER,
} from '../wire/netlink.ts';
import { NFNLGRP_NFTABLES } from '../wire/nfnetlink.ts';
import {
  decodePairs,
  decodeTranslation,
  dumpElements,
  dumpRules,
  NFT_MSG_DELRULE,
  NFT_MSG_DELSETELEM,
  NFT_MSG_NEWRULE,
  NFT_MSG_NEWSETELEM,
  nameOfSet,
  setOfElements,
  Translation,
  textOf,
} from '../wire/nftables.ts';

const { EPERM } = constants.errno;
/** A turn of the pump is 16 of these: some 1800 rules, 5 ms. */
const READ_SLOT = 32 << 10;
const NEWS_SLOT = 8 << 10;
const NEWS_SLOTS = 16;
/** Rules that change while they are read are read again: so often at once when that is done in no time (ms), otherwise after a rest. */
const ATTEMPTS = 5;
const NO_TIME = 10;
const REST = 200;
/** Rest in times of the reading: where rules change all the time, reading them takes a fifth of it at most. */
const REST_FACTOR = 4;

/** What is received is used at once, one namespace after the other: they share the memory for it. */
const RECEIVED = new DataView(new ArrayBuffer(READ_SLOT + NEWS_SLOT * NEWS_SLOTS));

/** A map of addresses that a rule translates by. */
interface AddressesMap {
  readonly family: number;
  readonly table: string;
  readonly set: string;
}

/** What is told of the rules: addresses are offsets into `view`. */
export interface RuleListener {
  /** All rules are going to be told anew, perhaps once more because they changed meanwhile. */
  onReading(): void;
  /** One address stands for another as a whole. `isNews`: since now. */
  onWhole(view: DataView, external: number, internal: number, length: number, isNews: boolean): void;
  /** A rule that said so was deleted. Whether another says the same is known when all have been read, which begins now. */
  onWholeGone(view: DataView, external: number, internal: number, length: number): void;
  /** Some ports of an address are sent elsewhere. */
  onForward(view: DataView, external: number, length: number): void;
  /** All was told that came with one change. */
  onNews(): void;
  /** Reading is over. Without `isWhole` what was told since `onReading` is not all: rules changed all the while, or we may not read them. */
  onRead(isWhole: boolean): void;
}

/**
 * The NAT rules in nf_tables of a namespace, as nft and iptables-nft write them, followed over netlink: no program is run. News have
 * what was added in them. After what was deleted all is read anew, in turns, so that a router with thousands of floating
 * addresses holds nothing else up.
 */
export class NatRules {
  readonly #namespace: string | undefined;
  readonly #listener: RuleListener;
  readonly #view = RECEIVED;
  readonly #translation = new Translation();
  #news: NetlinkSocket | undefined;
  #reader: NetlinkSocket | undefined;
  /** Rules are being read. */
  #reading = false;
  /** What was read so far will not do: it changed meanwhile. */
  #stale = false;
  /** News were lost: until all was read nobody knows what was added. */
  #lost = false;
  #attempts = 0;
  /** When the last reading began. */
  #begun = 0;
  #retry: NodeJS.Timeout | undefined;
  #refusal = 0;
  #maps = new Map<string, AddressesMap>();
  /** Those that the rules read so far name, and those whose elements are still to be asked for. */
  #found = new Map<string, AddressesMap>();
  #toAsk: AddressesMap[] = [];

  constructor(namespace: string | undefined, listener: RuleListener) {
    this.#namespace = namespace;
    this.#listener = listener;
  }

  /** Subscribes to news. Throws ErrnoException. */
  open(): void {
    const common = { protocol: NETLINK_NETFILTER, namespace: this.#namespace, memory: RECEIVED.buffer };
    const news = { slotSize: NEWS_SLOT, slots: NEWS_SLOTS, offset: READ_SLOT, bufferSize: 256 << 10 };
    this.#news = NetlinkSocket.open({ ...common, ...news, maxBufferSize: 8 << 20 });
    // For each datagram the kernel passes over all rules of those before it (nf_tables_dump_rules): 3 ms behind 30,000.
    this.#reader = NetlinkSocket.open({
      ...common,
      slotSize: READ_SLOT,
      slots: 1,
      offset: 0,
      bufferSize: 1 << 20,
      turn: 1,
    });
    this.#news.join(NFNLGRP_NFTABLES);
    const lose = () => {
      this.#stale = this.#lost = true;
    };
    this.#news.start({
      onDatagram: (start, end) => this.#eachMessage(start, end, (type, at, next) => this.#onNews(type, at, next)),
      onBatchEnd: () => this.#afterNews(),
      onOverrun: () => {
        lose();
        this.#afterNews();
      },
      onTruncated: lose,
      onError: lose,
    });
    const change = () => {
      this.#stale = true;
    };
    this.#reader.start({
      onDatagram: (start, end) => this.#eachMessage(start, end, (type, at, next) => this.#onAnswer(type, at, next)),
      onBatchEnd() {},
      onOverrun: change,
      onError: change,
    });
  }

  /** Whether the kernel refused to show the rules the last time: that takes CAP_NET_ADMIN. */
  get refused(): boolean {
    return this.#refusal === -EPERM;
  }

  /** Has the news that wait told of; if news were lost, all rules. */
  refresh(): void {
    this.#news?.drain();
    if (this.#lost) this.#reader?.drain();
  }

  /** Reads every rule: as many as fit a turn before it returns, others later. Ends with `onRead`. A kernel without nf_tables has none. */
  read(): void {
    this.#stale = true;
    if (this.#reading) return;
    if (this.#reader === undefined) return this.#listener.onRead(false);
    clearTimeout(this.#retry);
    this.#retry = undefined;
    this.#attempts = 0;
    this.#begin(this.#reader);
    this.#reader.turn();
  }

  close(): void {
    clearTimeout(this.#retry);
    this.#news?.close();
    this.#reader?.close();
    this.#news = this.#reader = undefined;
    if (this.#reading) this.#end(false);
  }

  #begin(reader: NetlinkSocket): void {
    this.#attempts++;
    this.#begun = performance.now();
    this.#reading = true;
    this.#stale = false;
    this.#refusal = 0;
    this.#found = new Map();
    this.#toAsk = [];
    this.#listener.onReading();
    reader.send(dumpRules(1));
  }

  #end(isWhole: boolean): void {
    this.#reading = false;
    if (isWhole) {
      this.#lost = false;
      this.#maps = this.#found;
    }
    this.#listener.onRead(isWhole);
  }

  /** A dump is over. */
  #onDone(): void {
    if (!this.#reading || this.#reader === undefined) return;
    if (this.#stale) {
      const took = performance.now() - this.#begun;
      if (took < NO_TIME && this.#attempts < ATTEMPTS) return this.#begin(this.#reader);
      this.#retry = setTimeout(() => this.read(), Math.max(REST, REST_FACTOR * took)).unref();
      return this.#end(false);
    }
    const next = this.#toAsk.pop();
    if (next === undefined) return this.#end(true);
    this.#reader.send(dumpElements(next.family, next.table, next.set, 1));
  }

  #onRefusal(error: number): void {
    if (!this.#reading) return;
    if (this.#found.size > 0) {
      this.#stale = true; // the rule that named the map is gone with it
      return this.#onDone();
    }
    this.#refusal = error;
    this.#end(error !== -EPERM);
  }

  #eachMessage(start: number, stop: number, take: (type: number, at: number, next: number) => void): void {
    const view = this.#view;
    for (let at = start; at < stop; ) {
      const next = messageEnd(view, at, stop);
      if (next < 0) return;
      take(messageType(view, at), at, next);
      at += align(next - at);
    }
  }

  #onAnswer(type: number, at: number, next: number): void {
    const view = this.#view;
    if ((messageFlags(view, at) & NLM_F_DUMP_INTR) !== 0) this.#stale = true;
    if (type === NFT_MSG_NEWRULE) this.#onRule(at, next, false);
    else if (type === NFT_MSG_NEWSETELEM) this.#onElements(at, next, false);
    else if (type === NLMSG_DONE) this.#onDone();
    else if (type === NLMSG_ERROR) this.#onRefusal(view.getInt32(at + NLMSG_HEADER, HOST_LITTLE_ENDIAN));
  }

  /** Of a table, chain or map that goes, the rules and elements are told as well: they are all that counts. */
  #onNews(type: number, at: number, next: number): void {
    if (type === NFT_MSG_NEWRULE) this.#onRule(at, next, true);
    else if (type === NFT_MSG_DELRULE) this.#onRuleGone(at, next);
    else if (type === NFT_MSG_NEWSETELEM || type === NFT_MSG_DELSETELEM) {
      const set = setOfElements(this.#view, at, next);
      if (set === undefined || !(this.#maps.has(set) || this.#found.has(set))) return;
      if (type === NFT_MSG_NEWSETELEM) return this.#onElements(at, next, true);
      this.#stale = true;
      decodePairs(this.#view, at, next, (key, value, length) =>
        this.#listener.onWholeGone(this.#view, key, value, length),
      );
    }
  }

  #afterNews(): void {
    if (this.#stale && !this.#reading && this.#retry === undefined) this.read();
    this.#listener.onNews();
  }

  #onRule(start: number, stop: number, isNews: boolean): void {
    const rule = this.#translation;
    if (!decodeTranslation(this.#view, start, stop, rule)) return;
    if (rule.mapLength > 0) {
      if (rule.whole) this.#onMap(rule, isNews);
    } else if (rule.whole) {
      this.#listener.onWhole(this.#view, rule.externalOffset, rule.internalOffset, rule.length, isNews);
    } else {
      this.#listener.onForward(this.#view, rule.externalOffset, rule.length);
    }
  }

  #onMap(rule: Translation, isNews: boolean): void {
    const table = textOf(this.#view, rule.tableOffset, rule.tableOffset + rule.tableLength);
    const set = textOf(this.#view, rule.mapOffset, rule.mapOffset + rule.mapLength);
    const name = nameOfSet(rule.family, table, set);
    if (isNews) {
      if (!this.#maps.has(name)) this.#stale = true; // what it had before nobody has told
    } else if (!this.#found.has(name)) {
      const map = { family: rule.family, table, set };
      this.#found.set(name, map);
      this.#toAsk.push(map);
    }
  }

  #onElements(start: number, stop: number, isNews: boolean): void {
    decodePairs(this.#view, start, stop, (key, value, length) =>
      this.#listener.onWhole(this.#view, key, value, length, isNews),
    );
  }

  #onRuleGone(start: number, stop: number): void {
    const rule = this.#translation;
    if (!decodeTranslation(this.#view, start, stop, rule)) return;
    this.#stale = true;
    if (rule.mapLength === 0 && rule.whole) {
      this.#listener.onWholeGone(this.#view, rule.externalOffset, rule.internalOffset, rule.length);
    }
  }
}
