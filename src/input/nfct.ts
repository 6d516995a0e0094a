import { namespaceKeys, namespaceOptions } from '../pipeline/namespace.ts';
import { defineInput } from '../pipeline/plugin.ts';
import type { NetlinkSocket } from '../system/netlink-socket.ts';
import { CONNTRACK_DESTROY, CONNTRACK_NEW, ConntrackEntry, decodeConntrack } from '../wire/conntrack.ts';
import { dumpAndZeroConntrack } from '../wire/conntrack-request.ts';
import { align, messageEnd, messageType, NETLINK_NETFILTER, NLMSG_MIN_TYPE } from '../wire/netlink.ts';
import { describeDatagram } from '../wire/text.ts';
import { ConntrackDump } from './conntrack/conntrack-dump.ts';
import { dumpInTurn } from './conntrack/dump-turns.ts';
import { dispensableEvents, joinEvents } from './conntrack/event-groups.ts';
import { FlowFilter, networkFault, protocolFault } from './conntrack/flow-filter.ts';
import { flowKeys } from './conntrack/flow-keys.ts';
import { FlowWriter } from './conntrack/flow-record.ts';
import { FlowTable } from './conntrack/flow-table.ts';
import { Moment, readTimes, setBegin } from './conntrack/flow-times.ts';
import { Refusals } from './conntrack/refusals.ts';
import { ReliableMode } from './conntrack/reliable-mode.ts';
import { Resync, type Unfinished } from './conntrack/resync.ts';
import { specimens } from './conntrack/specimens.ts';
import { UnseenFlows } from './conntrack/unseen-flows.ts';
import { isWhole } from './conntrack/whole-entry.ts';
import { eventSocketOptions, openEventSocket } from './event-socket.ts';
import { Listening } from './listening.ts';
import { Losses } from './losses.ts';
import { Malformed } from './malformed.ts';

/** Events read by one system call, and room for each: the longest the kernel makes is below 2 KiB. */
const SLOTS = 256;
const SLOT = (2 << 10) + 64;
/** Bytes of receive buffer, where nothing else is asked for. */
const SOCKET_BUFFER = 8 << 20;
const EVERY_ATTRIBUTE = 0xffffffff;
// V8 folds constants of this module only.
const DESTROY = CONNTRACK_DESTROY;
const NEW = CONNTRACK_NEW;

/** What goes on when the stacks of an input change. */
interface Inheritance {
  /** None when the table is polled. */
  readonly socket: NetlinkSocket | undefined;
  readonly reliable: ReliableMode | undefined;
  readonly unfinished: Unfinished;
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
    ...eventSocketOptions(SOCKET_BUFFER),
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
  doubts({ pollinterval, event_mask, reliable }) {
    const polls = Number(pollinterval) > 0;
    return [
      ...(event_mask === 0 && !polls
        ? [
            {
              option: 'event_mask',
              message: '0 listens to nothing: no connection is ever reported (1 new, 2 changed, 4 ended)',
            },
          ]
        : []),
      ...(reliable === true && polls
        ? [
            {
              option: 'reliable',
              message: 'nothing listens to events where pollinterval dumps the table: it does nothing',
            },
          ]
        : []),
    ];
  },
  writes: flowKeys,
  constants: namespaceKeys,
  link({ id, options, write, record, memory, clock, log, namespace, compat }, deliver) {
    const polls = options.pollinterval > 0;
    const remembers = options.hash_enable || polls;
    const name = `${id}:NFCT`;
    const { ledger } = deliver;
    const { view, bytes } = record;
    const malformed = new Malformed(name, log, ledger);
    const losses = new Losses(name, 'events', false, log, clock, deliver, () => reliable?.isOn ?? false);
    const listening = new Listening(name, log, losses, malformed);
    const refusals = new Refusals(name, log, options.hash_max_entries);
    const filter = new FlowFilter(options.accept_src_filter, options.accept_dst_filter, options.accept_proto_filter);
    const entry = new ConntrackEntry();
    const flow = new FlowWriter(record, write, compat);
    const start = new Moment();
    const end = new Moment();
    /** When the batch began. */
    const now = new Moment();
    const dump = new ConntrackDump(memory, namespace, malformed);
    const resync = new Resync(new FlowTable(options.hash_max_entries), {
      name,
      log,
      memory,
      filter,
      polls,
      compat,
      now,
      readClock,
      dump,
      unseen: new UnseenFlows(record, write, flow, memory, deliver, { compat, polls }),
      drain: () => socket?.drain(),
      endBatch,
    });
    const slots = memory.slots('NFCT: received', SLOTS, SLOT);
    const debug = log.isDebug();
    /** Nothing of the batch was read yet. */
    let fresh = true;
    let socket: NetlinkSocket | undefined;
    let reliable: ReliableMode | undefined;
    let poll: NodeJS.Timeout | undefined;

    function onDatagram(from: number, to: number): void {
      ledger.datagrams++;
      if (debug) log.debug(`${name}: ${describeDatagram(view, from, to, NETLINK_NETFILTER)}`);
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
      readTimes(entry, start, end);
      if (remembers) {
        if (entry.event !== DESTROY) {
          if (!start.known && (compat || entry.event === NEW)) setBegin(entry, start, now);
          const index = resync.table.put(view, entry, start);
          if (entry.event !== NEW) return;
          if (index >= 0) resync.table.began(index, start);
          return resync.began(entry);
        }
        forget();
      } else if (entry.event === NEW && !start.known) setBegin(entry, start, now);
      if (!end.known) end.set(now.seconds, now.microseconds);
      record.setBytes(write.ct, from, to - from);
      flow.write(entry, start, end);
      deliver.event();
    }

    function endBatch(): void {
      fresh = true;
      refusals.look(resync.table);
      deliver.batch();
      losses.endBatch();
    }

    function readClock(): void {
      fresh = false;
      clock.update();
      now.set(clock.seconds, clock.microseconds);
    }

    /** Takes the ended connection out of the table, and its begin from there unless the kernel knows it. */
    function forget(): void {
      resync.ended(entry);
      const { table } = resync;
      const index = table.find(view, entry);
      if (index < 0) {
        // ulogd 2.0.8 knows the begin from its table alone.
        if (compat) start.known = false;
        return;
      }
      if (!start.known) table.startOf(index, start);
      table.remove(index);
    }

    function subscribe(on: NetlinkSocket): void {
      if (options.reliable) reliable = new ReliableMode(name, log, on, namespace);
      joinEvents(on, options.event_mask);
    }

    function listen(on: NetlinkSocket, drops: number): void {
      socket = on;
      // What was dropped by then belongs to the mode that was.
      if (reliable !== undefined) reliable.beforeChange = () => losses.look();
      readClock();
      fresh = true;
      // ulogd 2.0.8 never does without them.
      const dispensable = compat ? undefined : dispensableEvents(on, options.event_mask, id, deliver);
      listening.begin(on, drops, { onDatagram, onBatchEnd: endBatch, onOverrun }, dispensable);
    }

    function onOverrun(): void {
      if (remembers) resync.lost(options.netlink_resync_timeout * 1000);
    }

    return {
      start(inherited) {
        const before = inherited as Inheritance | undefined;
        reliable = before?.reliable;
        if (before?.socket !== undefined) listen(before.socket, before.socket.drops());
        else if (!polls) listen(openEventSocket(options, SOCKET_BUFFER, namespace, slots, subscribe), 0);
        if (remembers) {
          dump.open();
          if (before !== undefined) resync.takeOver(before.unfinished);
          else if (options.dump_at_start) dumpInTurn(() => resync.learn());
        }
        if (polls) poll = setInterval(() => resync.compare(), options.pollinterval * 1000);
        log.info(`${name}: ${polls ? `polling every ${options.pollinterval} s` : 'listening to events'}`);
      },
      /** Shows every connection as changed, and sets its counters to zero. */
      signal() {
        if (!remembers || dump.running) return;
        readClock();
        dump.begin(dumpAndZeroConntrack(0), {
          onEntry(shown, from, to) {
            if (!filter.passes(bytes, shown)) return;
            const index = resync.table.find(view, shown);
            start.known = false;
            if (index >= 0) resync.table.startOf(index, start);
            record.setBytes(write.ct, from, to - from);
            flow.write(shown, start, end);
            deliver.event();
          },
          onEnd: endBatch,
        });
      },
      rehearse() {
        if (debug) return; // its log shows what the kernel sent
        for (const specimen of specimens) {
          bytes.set(specimen, slots.offset);
          onDatagram(slots.offset, slots.offset + specimen.length);
        }
      },
      handOver(): Inheritance {
        clearInterval(poll);
        const unfinished = resync.stop();
        socket?.stop();
        listening.end();
        dump.close();
        const left = { socket, reliable, unfinished };
        socket = reliable = undefined;
        return left;
      },
      stop(isGone = false) {
        clearInterval(poll);
        socket?.drain();
        resync.stop();
        if (isGone && remembers && !compat) resync.endAll();
        listening.end();
        reliable?.stop();
        socket?.close();
        dump.close();
      },
      socket: () => losses.look(),
      counters: () => ({
        'connections found the table full': resync.table.refused,
        'times reliable mode was left': reliable?.left ?? 0,
        ...listening.counters(),
        'times without UPDATE events': listening.givenUp,
      }),
    };
  },
});
