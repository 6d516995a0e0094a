import { constants } from 'node:os';
import { dumpConntrackStats, getConntrackTotals } from '../wire/conntrack-request.ts';
import { ConntrackStats, decodeConntrackStats } from '../wire/conntrack-stats.ts';
import {
  CTA_STATS_DROP,
  CTA_STATS_EARLY_DROP,
  CTA_STATS_GLOBAL_ENTRIES,
  CTA_STATS_GLOBAL_MAX_ENTRIES,
  CTA_STATS_INSERT_FAILED,
  IPCTNL_MSG_CT_GET_STATS,
} from '../wire/ctnetlink.ts';
import { align, messageEnd, messageType, NETLINK_NETFILTER, NLMSG_DONE, NLMSG_ERROR } from '../wire/netlink.ts';
import { decodeAck, NetlinkAck } from '../wire/netlink-ack.ts';
import { KernelError } from './kernel-request.ts';
import { NetlinkSocket } from './netlink-socket.ts';

/** The kernel fills datagrams of up to 32 KiB when the reader has room for them (netlink_recvmsg). */
const SLOT = (32 << 10) + 64;
const SLOTS = 2;
/** Every meter receives into it, and is done with it before another one gets to run. */
const RECEIVED = new DataView(new ArrayBuffer(SLOT * SLOTS));
/** Milliseconds for an answer that the kernel has ready when it is asked. */
const PATIENCE = 2000;

/** How full the table of connections is, and what each processor could not do. Counts are since the namespace was made. */
export interface ConntrackReading {
  entries: number;
  /** 0 without a limit, or when the kernel does not tell. */
  limit: number;
  readonly processors: {
    readonly cpu: number;
    /** Connections that could not be entered into the table: most often a race between two packets. */
    readonly insertFailed: number;
    /** Packets dropped because there was no room for their connection. */
    readonly dropped: number;
    /** Connections thrown out to make room for new ones. */
    readonly earlyDropped: number;
  }[];
}

/** Asks the conntrack of one network namespace for its own numbers. */
export class ConntrackMeter {
  readonly #view = RECEIVED;
  readonly #socket: NetlinkSocket;
  readonly #stats = new ConntrackStats();
  readonly #ack = new NetlinkAck();
  #reading: ConntrackReading = { entries: 0, limit: 0, processors: [] };
  #asked: Promise<ConntrackReading> | undefined;
  #answer: (error?: Error) => void = () => {};

  /** Opens a socket in the namespace that the file stands for, or in our own. Throws ErrnoException. */
  constructor(namespace: string | undefined) {
    this.#socket = NetlinkSocket.open({
      protocol: NETLINK_NETFILTER,
      namespace,
      memory: RECEIVED.buffer,
      offset: 0,
      slotSize: SLOT,
      slots: SLOTS,
    });
    this.#socket.start({
      onDatagram: (start, end) => this.#onDatagram(start, end),
      onBatchEnd() {},
      onOverrun() {}, // what is missing then, patience ends
      onError: (error) => this.#answer(error),
    });
  }

  /** Reads the numbers; who asks meanwhile gets the same. Rejects with KernelError. */
  read(): Promise<ConntrackReading> {
    this.#asked ??= this.#ask().finally(() => {
      this.#asked = undefined;
    });
    return this.#asked;
  }

  close(): void {
    this.#socket.close();
    this.#answer(new Error('closed'));
  }

  #ask(): Promise<ConntrackReading> {
    return new Promise((done, fail) => {
      const timer = setTimeout(() => this.#answer(this.#failure(constants.errno.ETIMEDOUT)), PATIENCE);
      this.#answer = (error) => {
        clearTimeout(timer);
        this.#answer = () => {};
        if (error === undefined) done(this.#reading);
        else fail(error);
      };
      this.#reading = { entries: 0, limit: 0, processors: [] };
      try {
        this.#socket.send(getConntrackTotals(1));
        this.#socket.send(dumpConntrackStats(2));
      } catch (error) {
        this.#answer(error as Error);
      }
    });
  }

  #onDatagram(start: number, end: number): void {
    for (let at = start; at < end; ) {
      const next = messageEnd(this.#view, at, end);
      if (next < 0) return;
      const type = messageType(this.#view, at);
      if (type === NLMSG_DONE) this.#answer();
      else if (type === NLMSG_ERROR) this.#onAck(at, next);
      else if (decodeConntrackStats(this.#view, at, next, this.#stats)) this.#take(type);
      at += align(next - at);
    }
  }

  #onAck(at: number, end: number): void {
    if (decodeAck(this.#view, at, end, this.#ack) && this.#ack.error !== 0)
      this.#answer(this.#failure(this.#ack.error));
  }

  #failure(errno: number): KernelError {
    return new KernelError('ask conntrack for its numbers', errno);
  }

  #take(type: number): void {
    const { cpu, present, values } = this.#stats;
    const numberOf = (attribute: number): number =>
      (present & (1 << attribute)) === 0 ? 0 : (values[attribute] as number);
    if (type === IPCTNL_MSG_CT_GET_STATS) {
      this.#reading.entries = numberOf(CTA_STATS_GLOBAL_ENTRIES);
      this.#reading.limit = numberOf(CTA_STATS_GLOBAL_MAX_ENTRIES);
      return;
    }
    this.#reading.processors.push({
      cpu,
      insertFailed: numberOf(CTA_STATS_INSERT_FAILED),
      dropped: numberOf(CTA_STATS_DROP),
      earlyDropped: numberOf(CTA_STATS_EARLY_DROP),
    });
  }
}
