import { NetlinkSocket } from '../system/netlink-socket.ts';
import { align, messageEnd, messageType, NETLINK_ROUTE, NLMSG_DONE } from '../wire/netlink.ts';
import {
  askRoute,
  decodeLinkAddress,
  deviceOfRoute,
  dumpAddresses,
  LinkAddress,
  RTM_DELADDR,
  RTM_NEWADDR,
  RTM_NEWROUTE,
  RTNLGRP_IPV4_IFADDR,
  RTNLGRP_IPV6_IFADDR,
} from '../wire/rtnetlink.ts';
import { AddressMap } from './address-map.ts';

const SLOT = 32 << 10;
const SLOTS = 4;
/** A device has a number of up to 22 bits here, so that it and a prefix length are one positive number. */
const DEVICE = 0x3f_ffff;

/** What is received is used at once, one namespace after the other: they share the memory for it. */
const RECEIVED = new DataView(new ArrayBuffer(SLOT * SLOTS));

/** What a device of Neutron is called that the routers of a pair see each other by. */
const HA = Buffer.from('ha-');

/** What is told of a namespace's own addresses. */
export interface AddressListener {
  /** An address has come, or is gone: `length` bytes of `view` from `at`. Those that are there at the start are not told. */
  onAddress(view: DataView, at: number, length: number, isHere: boolean): void;
  /** Some were told. */
  onChange(): void;
  /** News were lost, and all addresses read anew; or it has turned out that the router is one of a pair. */
  onReread(): void;
}

/** The addresses of a namespace's own devices, kept current by its address events. */
export class OwnAddresses {
  readonly #namespace: string | undefined;
  readonly #listener: AddressListener;
  /** Device << 8 | prefix length + 1, by address. */
  readonly #addresses = new AddressMap();
  readonly #view = RECEIVED;
  readonly #address = new LinkAddress();
  #socket: NetlinkSocket | undefined;
  #loaded: (() => void) | undefined;
  /** The batch has news, and not only what was there at the start. */
  #changed = false;
  /** What the kernel answered to the question how an address is reached. */
  #answer = 0;
  #isOfPair = false;

  constructor(namespace: string | undefined, listener: AddressListener) {
    this.#namespace = namespace;
    this.#listener = listener;
  }

  /** Whether it is one of several routers of which one has the addresses: Neutron gives them a device of their own to agree by. */
  get isOfPair(): boolean {
    return this.#isOfPair;
  }

  /** Whether all addresses are known: not while they are read. */
  get isComplete(): boolean {
    return this.#loaded === undefined;
  }

  /** Whether the address is one of the namespace's own. */
  has(view: DataView, at: number, length: number): boolean {
    return this.#addresses.get(view, at, length) > 0;
  }

  /** Whether it is that of a device with its network, such as a router's gateway, and not one held beside, as floating ones are (/32). */
  isPrimary(view: DataView, at: number, length: number): boolean {
    const prefix = this.#addresses.get(view, at, length) & 0xff;
    return prefix > 0 && prefix - 1 < 8 * length;
  }

  /** Index of the device that has the address; 0 when none has. */
  deviceOf(view: DataView, at: number, length: number): number {
    return this.#addresses.get(view, at, length) >> 8;
  }

  /** Index of the device by which the kernel sends to an address; 0 when it would not. A request each time. */
  deviceTowards(view: DataView, at: number, length: number): number {
    this.#answer = 0;
    this.#socket?.send(askRoute(new Uint8Array(view.buffer, view.byteOffset + at, length), 0));
    this.#socket?.drain();
    return this.#answer & DEVICE;
  }

  /** Subscribes to address events, then reads all addresses; resolves when they are known. Throws ErrnoException. */
  async open(): Promise<void> {
    this.#socket = NetlinkSocket.open({
      protocol: NETLINK_ROUTE,
      namespace: this.#namespace,
      bufferSize: 1 << 20,
      maxBufferSize: 8 << 20,
      memory: RECEIVED.buffer,
      offset: 0,
      slotSize: SLOT,
      slots: SLOTS,
    });
    this.#socket.join(RTNLGRP_IPV4_IFADDR);
    this.#socket.join(RTNLGRP_IPV6_IFADDR);
    const loaded = new Promise<void>((resolve) => {
      this.#loaded = resolve;
    });
    this.#socket.start({
      onDatagram: (start, end) => this.#onDatagram(start, end),
      onBatchEnd: () => {
        if (!this.#changed) return;
        this.#changed = false;
        this.#listener.onChange();
      },
      onOverrun: () => this.#dumpAnew(),
      onError: () => this.#dumpAnew(), // the dump was broken off by a change
    });
    this.#dump();
    await loaded;
  }

  /** Reads the news that wait. */
  refresh(): void {
    this.#socket?.drain();
  }

  close(): void {
    this.#socket?.close();
    this.#socket = undefined;
    this.#loaded?.();
  }

  #dumpAnew(): void {
    this.#loaded ??= () => this.#listener.onReread();
    this.#dump();
  }

  #dump(): void {
    this.#addresses.clear();
    this.#socket?.send(dumpAddresses(0));
  }

  #onDatagram(start: number, end: number): void {
    for (let at = start; at < end; ) {
      const next = messageEnd(this.#view, at, end);
      if (next < 0) return;
      const type = messageType(this.#view, at);
      if (type === RTM_NEWADDR || type === RTM_DELADDR) this.#onAddress(at, next);
      else if (type === RTM_NEWROUTE) this.#answer = deviceOfRoute(this.#view, at, next);
      else if (type === NLMSG_DONE) {
        const loaded = this.#loaded;
        this.#loaded = undefined;
        loaded?.();
      }
      at += align(next - at);
    }
  }

  #onAddress(start: number, end: number): void {
    const address = this.#address;
    if (!decodeLinkAddress(this.#view, start, end, address) || address.addressLength === 0) return;
    const { addressOffset, addressLength } = address;
    const value = ((address.index & DEVICE) << 8) | (address.prefixLength + 1);
    if (address.deleted) this.#addresses.delete(this.#view, addressOffset, addressLength);
    else this.#addresses.set(this.#view, addressOffset, addressLength, value);
    const wasOfPair = this.#isOfPair;
    this.#isOfPair ||= address.labelLength > HA.length && startsWith(this.#view, address.labelOffset, HA);
    if (!this.isComplete) return;
    this.#changed = true;
    this.#listener.onAddress(this.#view, addressOffset, addressLength, !address.deleted);
    if (this.#isOfPair && !wasOfPair) this.#listener.onReread();
  }
}

function startsWith(view: DataView, at: number, text: Uint8Array): boolean {
  for (let i = 0; i < text.length; i++) if (view.getUint8(at + i) !== text[i]) return false;
  return true;
}
