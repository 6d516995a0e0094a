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
  NFT_MSG_NEWRULE,
  NFT_MSG_NEWSETELEM,
  Translation,
  textOf,
} from '../wire/nftables.ts';

const { EPERM } = constants.errno;
const READ_SLOT = 32 << 10;
const READ_SLOTS = 4;
const NEWS_SLOT = 8 << 10;
const NEWS_SLOTS = 16;
/** Rules that change while they are read are read again, so often at most: the next change's news will have it done once more. */
const ATTEMPTS = 5;

/** What is received is used at once, one namespace after the other: they share the memory for it. */
const RECEIVED = new DataView(new ArrayBuffer(READ_SLOT * READ_SLOTS + NEWS_SLOT * NEWS_SLOTS));

/** What is found when the rules are read: offsets into `view`. */
export interface RuleVisitor {
  /** Reading begins, perhaps once more: forget what was found. */
  begin(): void;
  /** One address stands for another as a whole. */
  onWhole(view: DataView, external: number, internal: number, length: number): void;
  /** Some ports of an address are sent elsewhere. */
  onForward(view: DataView, external: number, length: number): void;
}

/**
 * The NAT rules in nf_tables of a namespace, as nft and iptables-nft write them, read over netlink: no program is run.
 * Every transaction that changes rules is followed by news.
 */
export class NatRules {
  readonly #namespace: string | undefined;
  readonly #onNews: () => void;
  readonly #view = RECEIVED;
  readonly #translation = new Translation();
  #visitor: RuleVisitor | undefined;
  #news: NetlinkSocket | undefined;
  #reader: NetlinkSocket | undefined;
  #changed = false;
  #interrupted = false;
  #done = false;
  #refusal = 0;
  #maps = new Map<string, { readonly family: number; readonly table: string; readonly set: string }>();

  /** `onNews` is called when the rules have changed. */
  constructor(namespace: string | undefined, onNews: () => void) {
    this.#namespace = namespace;
    this.#onNews = onNews;
  }

  /** Subscribes to news. Throws ErrnoException. */
  open(): void {
    const common = { protocol: NETLINK_NETFILTER, namespace: this.#namespace, memory: RECEIVED.buffer };
    const news = { slotSize: NEWS_SLOT, slots: NEWS_SLOTS, offset: READ_SLOT * READ_SLOTS, bufferSize: 256 << 10 };
    this.#news = NetlinkSocket.open({ ...common, ...news });
    this.#reader = NetlinkSocket.open({
      ...common,
      slotSize: READ_SLOT,
      slots: READ_SLOTS,
      offset: 0,
      bufferSize: 1 << 20,
    });
    this.#news.join(NFNLGRP_NFTABLES);
    const change = () => {
      this.#changed = true;
    };
    // What changed is in the news too; but to read everything anew is simple, and right after an overrun as well.
    this.#news.start({
      onDatagram: change,
      onBatchEnd: () => this.#tell(),
      onOverrun: () => {
        change();
        this.#tell();
      },
      onTruncated: change,
      onError: change,
    });
    this.#reader.start({
      onDatagram: (start, end) => this.#onDatagram(start, end),
      onBatchEnd() {},
      onOverrun: () => {
        this.#interrupted = true;
      },
      onError: () => {
        this.#interrupted = true;
      },
    });
  }

  /** Whether the kernel refused to show the rules the last time: that takes CAP_NET_ADMIN. */
  get refused(): boolean {
    return this.#refusal === -EPERM;
  }

  /** Has the news that wait told of. */
  refresh(): void {
    this.#news?.drain();
  }

  /**
   * Reads every rule, before it returns; a kernel without nf_tables has none. False when they changed all the while, or we may not
   * read them: what was found then does not count.
   */
  read(visitor: RuleVisitor): boolean {
    this.#visitor = visitor;
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      visitor.begin();
      this.#maps.clear();
      if (this.#ask(dumpRules(1)) && this.#askMaps()) return true;
      if (this.#refusal !== 0) return this.#refusal !== -EPERM;
    }
    return false;
  }

  close(): void {
    this.#news?.close();
    this.#reader?.close();
    this.#news = this.#reader = undefined;
  }

  #tell(): void {
    if (!this.#changed) return;
    this.#changed = false;
    this.#onNews();
  }

  #askMaps(): boolean {
    for (const { family, table, set } of this.#maps.values()) {
      if (!this.#ask(dumpElements(family, table, set, 1))) return false;
    }
    return true;
  }

  /** The kernel answers a dump as it is read: when nothing more is there, the answer was whole. */
  #ask(request: Uint8Array): boolean {
    this.#interrupted = this.#done = false;
    this.#refusal = 0;
    this.#reader?.send(request);
    this.#reader?.drain();
    return this.#done && !this.#interrupted;
  }

  #onDatagram(start: number, stop: number): void {
    const view = this.#view;
    for (let at = start; at < stop; ) {
      const next = messageEnd(view, at, stop);
      if (next < 0) return;
      if ((messageFlags(view, at) & NLM_F_DUMP_INTR) !== 0) this.#interrupted = true;
      switch (messageType(view, at)) {
        case NFT_MSG_NEWRULE:
          this.#onRule(at, next);
          break;
        case NFT_MSG_NEWSETELEM:
          decodePairs(view, at, next, (key, value, length) => this.#visitor?.onWhole(view, key, value, length));
          break;
        case NLMSG_DONE:
          this.#done = true;
          break;
        case NLMSG_ERROR:
          this.#refusal = view.getInt32(at + NLMSG_HEADER, HOST_LITTLE_ENDIAN);
      }
      at += align(next - at);
    }
  }

  #onRule(start: number, stop: number): void {
    const rule = this.#translation;
    if (!decodeTranslation(this.#view, start, stop, rule)) return;
    if (rule.mapLength > 0) {
      if (!rule.whole) return;
      const table = textOf(this.#view, rule.tableOffset, rule.tableOffset + rule.tableLength);
      const set = textOf(this.#view, rule.mapOffset, rule.mapOffset + rule.mapLength);
      this.#maps.set(`${rule.family} ${table} ${set}`, { family: rule.family, table, set });
    } else if (rule.whole) {
      this.#visitor?.onWhole(this.#view, rule.externalOffset, rule.internalOffset, rule.length);
    } else {
      this.#visitor?.onForward(this.#view, rule.externalOffset, rule.length);
    }
  }
}
