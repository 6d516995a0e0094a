import { NetlinkSocket } from '../system/netlink-socket.ts';
import { align, messageEnd, messageType, NETLINK_ROUTE } from '../wire/netlink.ts';
import {
  decodeNeighbour,
  dumpNeighbours,
  Neighbour,
  RTM_DELNEIGH,
  RTM_NEWNEIGH,
  RTNLGRP_NEIGH,
} from '../wire/rtnetlink.ts';
import { AddressMap } from './address-map.ts';

const SLOT = 32 << 10;
const SLOTS = 4;
/** Ethernet addresses that are remembered: somebody on the wire may make up new ones all day. */
const MOST = 65_536;

/** What is received is used at once, one namespace after the other: they share the memory for it. */
const RECEIVED = new DataView(new ArrayBuffer(SLOT * SLOTS));

/** Which Ethernet address a namespace sends an IP address to, kept current by its neighbour events. */
export class Neighbours {
  readonly #namespace: string | undefined;
  /** Place in `#macs` + 1 by address. */
  readonly #places = new AddressMap();
  readonly #placeOf = new Map<number, number>();
  #macs: number[] = [];
  readonly #neighbour = new Neighbour();
  #socket: NetlinkSocket | undefined;

  constructor(namespace: string | undefined) {
    this.#namespace = namespace;
  }

  /** The Ethernet address as a number of 48 bits; 0 when it is not known. */
  macOf(view: DataView, at: number, length: number): number {
    const place = this.#places.get(view, at, length);
    return place === 0 ? 0 : (this.#macs[place - 1] as number);
  }

  /** Subscribes to neighbour events and asks for all. Does nothing when it is open. Throws ErrnoException. */
  open(): void {
    if (this.#socket) return;
    this.#socket = NetlinkSocket.open({
      protocol: NETLINK_ROUTE,
      namespace: this.#namespace,
      bufferSize: 256 << 10,
      maxBufferSize: 8 << 20,
      memory: RECEIVED.buffer,
      offset: 0,
      slotSize: SLOT,
      slots: SLOTS,
    });
    this.#socket.join(RTNLGRP_NEIGH);
    this.#socket.start({
      onDatagram: (start, end) => this.#onDatagram(start, end),
      onBatchEnd() {},
      onOverrun: () => this.#dump(),
      onError: () => this.#dump(), // the dump was broken off by a change
    });
    this.#dump();
  }

  /** Reads the news that wait. */
  refresh(): void {
    this.#socket?.drain();
  }

  close(): void {
    this.#socket?.close();
    this.#socket = undefined;
  }

  #dump(): void {
    this.#places.clear();
    this.#placeOf.clear();
    this.#macs = [];
    this.#socket?.send(dumpNeighbours(0));
  }

  #onDatagram(start: number, end: number): void {
    for (let at = start; at < end; ) {
      const next = messageEnd(RECEIVED, at, end);
      if (next < 0) return;
      const type = messageType(RECEIVED, at);
      if (type === RTM_NEWNEIGH || type === RTM_DELNEIGH) this.#onNeighbour(at, next);
      at += align(next - at);
    }
  }

  #onNeighbour(start: number, end: number): void {
    const neighbour = this.#neighbour;
    if (!decodeNeighbour(RECEIVED, start, end, neighbour)) return;
    const { addressOffset, addressLength, mac } = neighbour;
    if (addressLength === 0) return;
    if (neighbour.valid && mac !== 0) this.#places.set(RECEIVED, addressOffset, addressLength, this.#place(mac));
    else this.#places.delete(RECEIVED, addressOffset, addressLength);
  }

  #place(mac: number): number {
    let place = this.#placeOf.get(mac);
    if (place === undefined) {
      // Those that are still of use come back with their next news.
      if (this.#macs.length === MOST) {
        this.#places.clear();
        this.#placeOf.clear();
        this.#macs = [];
      }
      place = this.#macs.push(mac);
      this.#placeOf.set(mac, place);
    }
    return place;
  }
}
