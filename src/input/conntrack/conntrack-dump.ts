import type { Memory } from '../../pipeline/memory.ts';
import { NetlinkSocket } from '../../system/netlink-socket.ts';
import type { Slots } from '../../system/pump.ts';
import { ConntrackEntry, decodeConntrack } from '../../wire/conntrack.ts';
import {
  align,
  messageEnd,
  messageType,
  NETLINK_NETFILTER,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSG_MIN_TYPE,
} from '../../wire/netlink.ts';
import type { Malformed } from '../malformed.ts';
import { isWhole } from './whole-entry.ts';

/** The kernel fills datagrams of up to 32 KiB when the reader has room for them (netlink_recvmsg). */
const SLOT = (32 << 10) + 64;
const SLOTS = 8;
const EVERY_ATTRIBUTE = 0xffffffff;

/** What a dump tells. */
export interface DumpHandler {
  /** `start` and `end` are where its message stands. */
  onEntry(entry: ConntrackEntry, start: number, end: number): void;
  /** The dump is over; false if the kernel broke it off. */
  onEnd(complete: boolean): void;
}

/** Dumps of the conntrack table, one after the other, on a socket of their own: events never wait behind one. */
export class ConntrackDump {
  readonly #memory: Memory;
  readonly #slots: Slots;
  readonly #malformed: Malformed;
  readonly #entry = new ConntrackEntry();
  readonly #namespace: string | undefined;
  #socket: NetlinkSocket | undefined;
  #handler: DumpHandler | undefined;

  constructor(memory: Memory, namespace: string | undefined, malformed: Malformed) {
    this.#memory = memory;
    this.#namespace = namespace;
    this.#malformed = malformed;
    this.#slots = memory.slots('NFCT: dumped', SLOTS, SLOT);
  }

  /** Opens the socket. Throws as NetlinkSocket.open. */
  open(): void {
    this.#socket = NetlinkSocket.open({
      protocol: NETLINK_NETFILTER,
      namespace: this.#namespace,
      ...this.#slots,
    });
    this.#socket.start({
      onDatagram: (start, end) => this.#onDatagram(start, end),
      onBatchEnd() {},
      // A dump waits for its reader: the kernel writes the next part when the last one was read.
      onOverrun() {},
      onError: () => this.#end(false),
    });
  }

  get running(): boolean {
    return this.#handler !== undefined;
  }

  /** Sends a dump request; what it brings goes to `handler`. One at a time. Throws ErrnoException. */
  begin(request: Uint8Array, handler: DumpHandler): void {
    if (this.#socket === undefined) return; // closed before its turn came
    this.#socket.send(request);
    this.#handler = handler;
  }

  close(): void {
    this.#handler = undefined;
    this.#socket?.close();
    this.#socket = undefined;
  }

  #onDatagram(start: number, end: number): void {
    const { view } = this.#memory;
    for (let at = start; at < end && this.#handler !== undefined; ) {
      const next = messageEnd(view, at, end);
      if (next < 0) return this.#malformed.count(view, at, end);
      const type = messageType(view, at);
      if (type === NLMSG_DONE) this.#end(true);
      else if (type === NLMSG_ERROR) this.#end(false);
      else if (type >= NLMSG_MIN_TYPE) {
        if (decodeConntrack(view, at, next, this.#entry, EVERY_ATTRIBUTE) && isWhole(this.#entry)) {
          this.#handler.onEntry(this.#entry, at, next);
        } else this.#malformed.count(view, at, next);
      }
      at += align(next - at);
    }
  }

  #end(complete: boolean): void {
    const handler = this.#handler;
    this.#handler = undefined;
    handler?.onEnd(complete);
  }
}
