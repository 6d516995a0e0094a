import { namespaceKeys, namespaceOptions } from '../pipeline/namespace.ts';
import { defineInput } from '../pipeline/plugin.ts';
import { NetlinkSocket } from '../system/netlink-socket.ts';
import {
  CONNTRACK_DESTROY,
  CONNTRACK_NEW,
  CONNTRACK_UPDATE,
  ConntrackEntry,
  decodeConntrack,
} from '../wire/conntrack.ts';
import { dumpAndZeroConntrack, dumpConntrack } from '../wire/conntrack-request.ts';
import { CTA_TIMESTAMP_EVENT, CTA_TIMESTAMP_START, CTA_TIMESTAMP_STOP } from '../wire/ctnetlink.ts';
import { subsecondNanoseconds, wholeSeconds } from '../wire/nanoseconds.ts';
import { align, messageEnd, messageType, NETLINK_NETFILTER, NLMSG_MIN_TYPE } from '../wire/netlink.ts';
import * as nfnetlink from '../wire/nfnetlink.ts';
import { describeDatagram } from '../wire/text.ts';
import { ConntrackDump } from './conntrack/conntrack-dump.ts';
import { dumpInTurn } from './conntrack/dump-turns.ts';
import { FlowFilter, networkFault, protocolFault } from './conntrack/flow-filter.ts';
import { flowKeys } from './conntrack/flow-keys.ts';
import { FlowWriter, Moment } from './conntrack/flow-record.ts';
import { ADDRESS_BYTES, FlowTable } from './conntrack/flow-table.ts';
import { ReliableMode } from './conntrack/reliable-mode.ts';
import { isWhole } from './conntrack/whole-entry.ts';
import { Listening } from './listening.ts';
import { Losses } from './losses.ts';
import { Malformed } from './malformed.ts';
import type { Dispensable } from './overload-ladder.ts';
import { socketBufferOptions } from './socket-buffer.ts';

/** Events read by one system call, and room for each: the longest the kernel makes is below 2 KiB. */
const SLOTS = 64;
const SLOT = (4 << 10) + 192;
/** Bytes of receive buffer, where nothing else is asked for. */
const SOCKET_BUFFER = 8 << 20;
const EVERY_ATTRIBUTE = 0xffffffff;
const FULL_INTERVAL_MS = 60_000;
/** A dump that is due while another runs, or that the kernel broke off, is asked for again after this. */
const RETRY_MS = 1000;
// V8 folds constants of this module only.
const DESTROY = CONNTRACK_DESTROY;
const NEW = CONNTRACK_NEW;
const TIMESTAMP_EVENT = 1 << CTA_TIMESTAMP_EVENT;
const TIMESTAMP_START = 1 << CTA_TIMESTAMP_START;
const TIMESTAMP_STOP = 1 << CTA_TIMESTAMP_STOP;

/** What goes on when the stacks of an input change. */
interface Inheritance {
  /** None when the table is polled. */
  readonly socket: NetlinkSocket | undefined;
  readonly table: FlowTable;
  readonly reliable: ReliableMode | undefined;
  readonly lossSince: Moment;
  /** A dump was not finished, or was to come. */
  readonly owesDump: boolean;
}

/** NFCT: connections, as the kernel's connection tracking sees them. */
export default defineInput({
  name: 'NFCT',
  summary: "Reads the begin and end of connections from the kernel's connection tracking.",
  gives: 'flow',
  example: 'stack=ct1:NFCT,ip2str1:IP2STR,print1:PRINTFLOW,emu1:LOGEMU',
  options: {
    pollinterval: {
      type: 'int',
      default: 0,
      unit: 'seconds',
      doc: 'Dump the table every so often and report what is gone from it, instead of listening to events.',
    },
    hash_enable: {
      type: 'bool',
      default: true,
      doc: 'Remember every connection and report it once, at its end, with begin and end; otherwise report each event as it comes.',
    },
    hash_buckets: { type: 'int', default: 8192, doc: 'Accepted for ulogd.conf; the table widens by itself.' },
    hash_max_entries: {
      type: 'int',
      default: 1 << 20,
      min: 1,
      unit: 'connections',
      doc: 'Connections that are remembered at most; those beyond are counted, and reported without their begin.',
    },
    event_mask: {
      type: 'int',
      default: 5,
      max: 7,
      doc: 'Events to listen to: 1 new, 2 changed, 4 ended, or their sum.',
    },
    ...socketBufferOptions(SOCKET_BUFFER),
    netlink_resync_timeout: {
      type: 'int',
      default: 60,
      unit: 'seconds',
      doc: 'After lost events, wait so long before the table is dumped to find what was missed.',
    },
    dump_at_start: {
      type: 'bool',
      default: true,
      doc: 'Dump the connections at the start, so that those that are there already are remembered, too; otherwise their end is reported without their begin.',
    },
    reliable: {
      type: 'bool',
      default: false,
      doc: 'Have the kernel keep every event until it is read, unless its table is four fifths full.',
    },
    accept_src_filter: {
      type: 'list',
      default: [],
      doc: 'Only connections from these networks, such as 192.0.2.0/24,2001:db8::/64.',
      check: networkFault,
    },
    accept_dst_filter: {
      type: 'list',
      default: [],
      doc: 'Only connections to these networks.',
      check: networkFault,
    },
    accept_proto_filter: {
      type: 'list',
      default: [],
      doc: 'Only connections of these IP protocols, by name or number.',
      check: protocolFault,
    },
    ...namespaceOptions,
  },
  writes: flowKeys,
  constants: namespaceKeys,
  link({ id, options, write, record, memory, clock, log, namespace, compat }, deliver) {
    const polls = options.pollinterval > 0;
    const remembers = options.hash_enable || polls;
    const filter = new FlowFilter(options.accept_src_filter, options.accept_dst_filter, options.accept_proto_filter);
    const entry = new ConntrackEntry();
    const flow = new FlowWriter(record, write, compat);
    let table = new FlowTable(options.hash_max_entries);
    const restored = new ConntrackEntry();
    const addresses = memory.reserve(ADDRESS_BYTES);
    const dump = new ConntrackDump(memory, namespace, new ConntrackEntry());
    const { ledger } = deliver;
    const malformed = new Malformed(`${id}:NFCT`, log, ledger);
    const isRetried = () => reliable?.isOn ?? false;
    const losses = new Losses(`${id}:NFCT`, 'events', false, log, clock, deliver, isRetried);
    const listening = new Listening(`${id}:NFCT`, log, losses, malformed);
    const offset = memory.share('NFCT: received', SLOTS * SLOT);
    const { view, bytes } = record;
    const start = new Moment();
    const end = new Moment();
    const now = new Moment();
    /** Nothing of the batch was read yet. */
    let fresh = true;
    /** Connections that ended while a dump ran: it may still show them. */
    const endedMeanwhile = new Set<number>();
    /** Connections that a dump showed and no event had told of, by id: their index in the table. */
    const appeared = new Map<number, number>();
    /** Nothing was lost up to here: the earliest end of what a dump finds gone. */
    const lossSince = new Moment();
    const windowStart = new Moment();
    const debug = log.isDebug();
    /** Connections that had found the table full when it was last said, and when that was. */
    let refusedBefore = 0;
    let lastFull = Number.NEGATIVE_INFINITY;
    let socket: NetlinkSocket | undefined;
    let reliable: ReliableMode | undefined;
    let timer: NodeJS.Timeout | undefined;

    function onDatagram(from: number, to: number): void {
      ledger.datagrams++;
      if (debug) log.debug(`${id}:NFCT: ${describeDatagram(view, from, to, NETLINK_NETFILTER)}`);
      if (fresh) readClock();
      for (let at = from; at < to; ) {
        const next = messageEnd(view, at, to);
        if (next < 0) return malformed.count(view, at, to);
        if (messageType(view, at) >= NLMSG_MIN_TYPE) {
          if (decodeConntrack(view, at, next, entry, EVERY_ATTRIBUTE) && isWhole(entry)) onEvent(at, next);
          else malformed.count(view, at, next);
        }
        at += align(next - at);
      }
    }

    function onEvent(from: number, to: number): void {
      if (!filter.passes(bytes, entry)) return;
      readTimes();
      if (remembers) {
        if (entry.event !== DESTROY) {
          if (!start.known) setStart();
          table.put(view, entry, start);
          if (appeared.size > 0 && entry.event === NEW) appeared.delete(entry.id);
          return;
        }
        forget();
      } else if (entry.event === NEW && !start.known) setStart();
      if (!end.known) end.set(now.seconds, now.microseconds);
      record.setBytes(write.ct, from, to - from);
      flow.write(entry, start, end);
      deliver.event();
    }

    /** The kernel's own times, where net.netfilter.nf_conntrack_timestamp is 1. */
    function readTimes(): void {
      const { timestamps } = entry;
      start.known = (timestamps.present & TIMESTAMP_START) !== 0;
      end.known = (timestamps.present & TIMESTAMP_STOP) !== 0;
      if (start.known) setMoment(start, timestamps.startHigh, timestamps.startLow);
      if (end.known) setMoment(end, timestamps.stopHigh, timestamps.stopLow);
    }

    /** A new connection began when the kernel says that its event happened (since Linux 6.14), or just now. */
    function setStart(): void {
      if ((entry.present & TIMESTAMP_EVENT) !== 0) setMoment(start, entry.eventTimeHigh, entry.eventTimeLow);
      else start.set(now.seconds, now.microseconds);
    }

    function endBatch(): void {
      fresh = true;
      if (table.refused > refusedBefore) sayFull();
      deliver.batch();
      losses.endBatch();
    }

    /** Once a minute at most, with what came since: a full table stays full for long. */
    function sayFull(): void {
      const time = performance.now();
      if (time - lastFull < FULL_INTERVAL_MS) return;
      lastFull = time;
      const count = table.refused - refusedBefore;
      refusedBefore = table.refused;
      log.error(
        `${id}:NFCT: the table is full at ${options.hash_max_entries} connections (hash_max_entries): ${count} more were not remembered, and will be reported without their begin`,
      );
    }

    function readClock(): void {
      fresh = false;
      clock.update();
      now.set(clock.seconds, clock.microseconds);
    }

    /** Takes the ended connection out of the table, and its begin from there unless the kernel knows it. */
    function forget(): void {
      if (dump.running) endedMeanwhile.add(entry.id);
      if (appeared.size > 0) appeared.delete(entry.id);
      const index = table.find(view, entry);
      if (index < 0) {
        // ulogd 2.0.8 knows the begin from its table alone.
        if (compat) start.known = false;
        return;
      }
      if (!start.known) table.startOf(index, start);
      table.remove(index);
    }

    /** Dumps the table into ours; then, if asked, reports what has vanished from it as ended. */
    function synchronize(reportVanished: boolean, repairing = false): void {
      if (dump.running) return;
      if (repairing) socket?.drain(); // what waits is not lost
      table.generation++;
      endedMeanwhile.clear();
      appeared.clear();
      readClock();
      dump.begin(dumpConntrack(0), {
        onEntry(shown) {
          if (!filter.passes(bytes, shown) || endedMeanwhile.has(shown.id)) return;
          const { timestamps } = shown;
          start.set(now.seconds, now.microseconds);
          if ((timestamps.present & TIMESTAMP_START) !== 0) {
            setMoment(start, timestamps.startHigh, timestamps.startLow);
          }
          const isNew = repairing && !isRemembered(shown);
          const index = table.put(view, shown, start);
          if (isNew && index >= 0) appeared.set(shown.id, index);
        },
        onEnd(complete) {
          if (!complete) {
            log.error(`${id}:NFCT: the kernel broke off a dump of the connections`);
            if (!polls) repairLater(RETRY_MS);
          } else if (reportVanished) {
            // What the dump did not show because it had just ended may wait as an event: that one knows more.
            socket?.drain();
            readClock();
            table.forEachOlder(reportEnd);
            for (const index of appeared.values()) reportBegin(index);
          }
          appeared.clear();
          endBatch();
        },
        onMalformed: (from, to) => malformed.count(view, from, to),
      });
    }

    /** Whether the table has this very connection; another one with its addresses must have ended unobserved. */
    function isRemembered(shown: ConntrackEntry): boolean {
      const index = table.find(view, shown);
      if (index < 0) return false;
      table.restore(index, restored, view, addresses);
      if (restored.id === shown.id) return true;
      const { seconds, microseconds } = start;
      reportEnd(index);
      start.set(seconds, microseconds);
      return false;
    }

    function reportEnd(index: number): void {
      table.restore(index, restored, view, addresses);
      table.startOf(index, start);
      table.remove(index);
      restored.event = CONNTRACK_DESTROY;
      end.set(now.seconds, now.microseconds);
      // ulogd 2.0.8 gives no end for what it found gone.
      if (compat) end.known = false;
      flow.write(restored, start, end);
      if (!compat && !polls) {
        record.setNumber(write['flow.unobserved'], 1);
        if (windowStart.known) {
          record.setNumber(write['flow.end.window.sec'], windowStart.seconds);
          record.setNumber(write['flow.end.window.usec'], windowStart.microseconds);
        }
      }
      deliver.event();
    }

    /** A connection of whose begin no event told: for ulogd 2.0.8 it had none. */
    function reportBegin(index: number): void {
      if (compat) return;
      table.restore(index, restored, view, addresses);
      table.startOf(index, start);
      restored.event = NEW;
      end.known = false;
      flow.write(restored, start, end);
      record.setNumber(write['flow.reconstructed'], 1);
      deliver.event();
    }

    function onOverrun(): void {
      if (!lossSince.known) lossSince.set(now.seconds, now.microseconds);
      if (remembers) repairLater(options.netlink_resync_timeout * 1000);
    }

    function repairLater(delay: number): void {
      timer ??= setTimeout(repair, delay);
    }

    /** Dumps the connections after a loss, and reports what the lost events would have told. */
    function repair(): void {
      timer = undefined;
      if (dump.running) return repairLater(RETRY_MS);
      log.notice(`${id}:NFCT: dumping the connections to find what was missed`);
      if (lossSince.known) windowStart.set(lossSince.seconds, lossSince.microseconds);
      lossSince.known = false; // what is lost while the dump runs is for the next one to find
      synchronize(true, true);
    }

    /** Changes are what can be done without: begin and end of a connection say more than all that was between them. */
    function updatesOf(on: NetlinkSocket): Dispensable | undefined {
      const others = options.event_mask & ~CONNTRACK_UPDATE;
      if (compat || others === 0 || others === options.event_mask) return undefined;
      let from = 0;
      return {
        what: 'UPDATE events',
        giveUp() {
          from = Date.now();
          on.leave(nfnetlink.NFNLGRP_CONNTRACK_UPDATE);
        },
        takeUp() {
          on.join(nfnetlink.NFNLGRP_CONNTRACK_UPDATE);
          // How many there were nobody knows: the kernel made none.
          deliver.gap({ input: id, from, to: Date.now(), lost: 0, exact: false, cause: 'UPDATE events left out' });
        },
      };
    }

    function open(): NetlinkSocket {
      const fresh = NetlinkSocket.open({
        protocol: NETLINK_NETFILTER,
        namespace,
        bufferSize: options.netlink_socket_buffer_size || SOCKET_BUFFER,
        maxBufferSize: options.netlink_socket_buffer_maxsize,
        memory: memory.buffer,
        offset,
        slotSize: SLOT,
        slots: SLOTS,
      });
      if (options.reliable) reliable = new ReliableMode(`${id}:NFCT`, log, fresh, namespace);
      if (options.event_mask & CONNTRACK_NEW) fresh.join(nfnetlink.NFNLGRP_CONNTRACK_NEW);
      if (options.event_mask & CONNTRACK_UPDATE) fresh.join(nfnetlink.NFNLGRP_CONNTRACK_UPDATE);
      if (options.event_mask & CONNTRACK_DESTROY) fresh.join(nfnetlink.NFNLGRP_CONNTRACK_DESTROY);
      return fresh;
    }

    function listen(on: NetlinkSocket, drops: number): void {
      socket = on;
      // What was dropped by then belongs to the mode that was.
      if (reliable !== undefined) reliable.beforeChange = () => losses.look();
      readClock();
      fresh = true;
      listening.begin(on, drops, { onDatagram, onBatchEnd: endBatch, onOverrun }, updatesOf(on));
    }

    /** Goes on where another of the same options stopped; a dump that it had not finished, or still owed, is due now. */
    function takeOver(before: Inheritance): void {
      table = before.table;
      reliable = before.reliable;
      if (before.socket !== undefined) listen(before.socket, before.socket.drops());
      if (!remembers) return;
      dump.open();
      const { known, seconds, microseconds } = before.lossSince;
      if (known) lossSince.set(seconds, microseconds);
      if (before.owesDump && !polls) synchronize(known, known);
    }

    return {
      start(inherited) {
        if (inherited !== undefined) takeOver(inherited as Inheritance);
        else {
          if (!polls) listen(open(), 0);
          if (remembers) {
            dump.open();
            if (options.dump_at_start) dumpInTurn(() => synchronize(false));
          }
        }
        if (polls) timer = setInterval(() => synchronize(true), options.pollinterval * 1000);
        log.info(`${id}:NFCT: ${polls ? `polling every ${options.pollinterval} s` : 'listening to events'}`);
      },
      /** Shows every connection as changed, and sets its counters to zero. */
      signal() {
        if (!remembers || dump.running) return;
        readClock();
        dump.begin(dumpAndZeroConntrack(0), {
          onEntry(shown) {
            if (!filter.passes(bytes, shown)) return;
            const index = table.find(view, shown);
            start.known = false;
            if (index >= 0) table.startOf(index, start);
            flow.write(shown, start, end);
            deliver.event();
          },
          onEnd: endBatch,
          onMalformed: (from, to) => malformed.count(view, from, to),
        });
      },
      handOver(): Inheritance {
        const owesDump = dump.running || timer !== undefined;
        clearTimeout(timer);
        socket?.stop();
        listening.end();
        dump.close();
        const left = { socket, table, reliable, lossSince, owesDump };
        socket = reliable = undefined;
        return left;
      },
      stop() {
        clearTimeout(timer);
        socket?.drain();
        listening.end();
        reliable?.stop();
        socket?.close();
        dump.close();
      },
      socket: () => losses.look(),
      counters: () => ({
        'connections found the table full': table.refused,
        'times reliable mode was left': reliable?.left ?? 0,
        ...listening.counters(),
        'times without UPDATE events': listening.givenUp,
      }),
    };
  },
});

function setMoment(moment: Moment, high: number, low: number): void {
  moment.set(wholeSeconds(high, low), Math.floor(subsecondNanoseconds(high, low) / 1000));
}
