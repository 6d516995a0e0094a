import type { Log } from '../../pipeline/plugin.ts';
import { NETLINK_OPTION } from '../../system/native.ts';
import { NetlinkSocket } from '../../system/netlink-socket.ts';
import { getConntrackTotals } from '../../wire/conntrack-request.ts';
import { ConntrackStats, decodeConntrackStats } from '../../wire/conntrack-stats.ts';
import { CTA_STATS_GLOBAL_ENTRIES, CTA_STATS_GLOBAL_MAX_ENTRIES } from '../../wire/ctnetlink.ts';
import { align, messageEnd, NETLINK_NETFILTER } from '../../wire/netlink.ts';

/** How often the table is measured, in ms: a flood fills a fifth of a small one in not much more. */
const INTERVAL = 200;
/** Share of the table at which reliable mode is left, and at which it is taken up again. */
const LEAVE = 0.8;
const RETURN = 0.6;
const SLOT = 4 << 10;

/** What of the event socket is switched. */
interface EventSocket {
  setOption(option: number, value: number): void;
}

/**
 * Reliable mode: the kernel keeps a connection that has ended until its event was read (nf_ct_deliver_cached_events). A
 * reader that is too slow then fills the table, and a full table drops the packets of new connections: before that can
 * happen, the mode is left, and events are lost instead.
 */
export class ReliableMode {
  readonly #name: string;
  readonly #log: Log;
  readonly #events: EventSocket;
  readonly #stats = new ConntrackStats();
  readonly #view: DataView;
  readonly #meter: NetlinkSocket;
  readonly #timer: NodeJS.Timeout;
  #on = false;
  /** Times that it was left. */
  left = 0;
  /** Called before the mode changes. */
  beforeChange: () => void = () => {};

  /** Turns the mode on. Throws ErrnoException. */
  constructor(name: string, log: Log, events: EventSocket, namespace: string | undefined) {
    this.#name = name;
    this.#log = log;
    this.#events = events;
    const memory = new ArrayBuffer(SLOT * 2);
    this.#view = new DataView(memory);
    this.#switch(true);
    this.#meter = NetlinkSocket.open({
      protocol: NETLINK_NETFILTER,
      namespace,
      memory,
      offset: 0,
      slotSize: SLOT,
      slots: 2,
    });
    this.#meter.start({
      onDatagram: (start, end) => this.#onDatagram(start, end),
      onBatchEnd() {},
      onOverrun() {},
      onError() {},
    });
    this.#timer = setInterval(() => this.#meter.send(getConntrackTotals(0)), INTERVAL);
  }

  /** The kernel keeps what it could not deliver. */
  get isOn(): boolean {
    return this.#on;
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#meter.close();
  }

  #onDatagram(start: number, end: number): void {
    for (let at = start; at < end; ) {
      const next = messageEnd(this.#view, at, end);
      if (next < 0) return;
      if (decodeConntrackStats(this.#view, at, next, this.#stats)) this.#judge();
      at += align(next - at);
    }
  }

  #judge(): void {
    const { values } = this.#stats;
    const entries = values[CTA_STATS_GLOBAL_ENTRIES] as number;
    const most = values[CTA_STATS_GLOBAL_MAX_ENTRIES] as number;
    if (most === 0) return; // no limit, or a kernel that does not tell: then nothing is to be feared, or known
    if (this.#on && entries >= most * LEAVE) {
      this.left++;
      this.#switch(false);
      this.#log.error(
        `${this.#name}: ${entries} of ${most} connections: reliable mode is left before new ones are refused; events may be lost now, and are counted`,
      );
    } else if (!this.#on && entries <= most * RETURN) {
      this.#switch(true);
      this.#log.notice(`${this.#name}: ${entries} of ${most} connections: reliable mode is taken up again`);
    }
  }

  #switch(on: boolean): void {
    this.beforeChange();
    this.#on = on;
    this.#events.setOption(NETLINK_OPTION.BROADCAST_ERROR, on ? 1 : 0);
    this.#events.setOption(NETLINK_OPTION.NO_ENOBUFS, on ? 1 : 0);
  }
}
