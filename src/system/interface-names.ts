import { align, messageEnd, messageType, NETLINK_ROUTE, NLMSG_DONE } from '../wire/netlink.ts';
import { decodeLink, dumpLinks, Link, RTM_DELLINK, RTM_NEWLINK, RTNLGRP_LINK } from '../wire/rtnetlink.ts';
import { NetlinkSocket } from './netlink-socket.ts';

const SLOT = 32 << 10;
const SLOTS = 4;
const AF_UNSPEC = 0;
const NO_NAME = new Uint8Array(0);
/** Every instance receives into it, and is done with it before another one gets to run. */
const memory = new ArrayBuffer(SLOT * SLOTS);
const view = new DataView(memory);

/**
 * Names of a namespace's network devices by index, kept current by its link events. A device that is gone keeps its name
 * until the index is used again: packets it logged may still be on their way.
 */
export class InterfaceNames {
  readonly #namespace: string | undefined;
  readonly #names = new Map<number, Uint8Array>();
  readonly #link = new Link();
  #socket: NetlinkSocket | undefined;
  #loaded: (() => void) | undefined;
  /** Changes whenever a name does: what was looked up before may be old. */
  version = 0;

  constructor(namespace?: string) {
    this.#namespace = namespace;
  }

  /** Subscribes to link events, then reads all links; resolves when their names are known. */
  async open(): Promise<void> {
    this.#socket = NetlinkSocket.open({
      protocol: NETLINK_ROUTE,
      namespace: this.#namespace,
      bufferSize: 1 << 20,
      maxBufferSize: 8 << 20,
      memory,
      offset: 0,
      slotSize: SLOT,
      slots: SLOTS,
    });
    this.#socket.join(RTNLGRP_LINK);
    const loaded = new Promise<void>((resolve) => {
      this.#loaded = resolve;
    });
    this.#socket.start({
      onDatagram: (start, end) => this.#onDatagram(start, end),
      onBatchEnd() {},
      onOverrun: () => this.#socket?.send(dumpLinks(0)),
      onError: () => this.#socket?.send(dumpLinks(0)), // the dump was broken off by a change
    });
    this.#socket.send(dumpLinks(0));
    await loaded;
  }

  /**
   * Name of a device as bytes; empty when there is none of that index. A packet may be read before the news of the device
   * it came by: then the news is read first.
   */
  nameOf(index: number): Uint8Array {
    const known = this.#names.get(index);
    if (known !== undefined) return known;
    this.#socket?.drain();
    const name = this.#names.get(index) ?? NO_NAME;
    // Not to be looked for again until there is news of it.
    this.#names.set(index, name);
    return name;
  }

  close(): void {
    this.#socket?.close();
  }

  #onDatagram(start: number, end: number): void {
    for (let at = start; at < end; ) {
      const next = messageEnd(view, at, end);
      if (next < 0) return;
      const type = messageType(view, at);
      if (type === RTM_NEWLINK || type === RTM_DELLINK) this.#onLink(at, next);
      else if (type === NLMSG_DONE) this.#loaded?.();
      at += align(next - at);
    }
  }

  #onLink(start: number, end: number): void {
    const link = this.#link;
    if (!decodeLink(view, start, end, link) || link.family !== AF_UNSPEC || link.deleted) return;
    this.#names.set(link.index, new Uint8Array(memory, link.nameOffset, link.nameLength).slice());
    this.version++;
  }
}
