import { setTimeout } from 'node:timers/promises';
import { namespaceKeys, namespaceOptions } from '../pipeline/namespace.ts';
import { defineInput } from '../pipeline/plugin.ts';
import { KernelError } from '../system/kernel-request.ts';
import type { NetlinkSocket } from '../system/netlink-socket.ts';
import { describeGroupHolder } from '../system/nflog-holder.ts';
import { align, messageEnd, messageType, NETLINK_NETFILTER, NLMSG_MIN_TYPE } from '../wire/netlink.ts';
import * as nflog from '../wire/nflog.ts';
import { decodePacket, NflogPacket } from '../wire/nflog.ts';
import * as request from '../wire/nflog-request.ts';
import { NFPROTO_BRIDGE, NFPROTO_IPV4, NFPROTO_IPV6 } from '../wire/nfnetlink.ts';
import { describeDatagram } from '../wire/text.ts';
import { eventSocketOptions, openEventSocket } from './event-socket.ts';
import { Listening } from './listening.ts';
import { Losses } from './losses.ts';
import { Malformed } from './malformed.ts';
import { packetKeys } from './packet-keys.ts';

/** Datagrams read by one system call. */
const SLOTS = 16;
/**
 * Room for the longest datagram: a whole packet (64 KiB) and its other attributes. Not a multiple of a page: neighbours would
 * compete for the same cache sets.
 */
const SLOT = (66 << 10) + 64;
/** Bytes of receive buffer, where nothing else is asked for. */
const SOCKET_BUFFER = 8 << 20;
/** What the kernel waits at most for a packet to have company, in 1/100 s (NFULNL_TIMEOUT_DEFAULT). */
const DEFAULT_TIMEOUT = 100;
/** Bytes that the kernel sets aside for packets it collects: some hundred small ones, or 20 of a full link. */
const QUEUE_BYTES = 32 << 10;
/** Hundredths of a second that it keeps a packet back: the kernel's own choice would be a whole second. */
const QUEUE_TIMEOUT = 1;
const EVERY_ATTRIBUTE = 0xffffffff;

// Bits of NflogPacket.present. Constants of another module would be looked up for every packet: V8 folds a module's own only.
const PACKET_HDR = 1 << nflog.NFULA_PACKET_HDR;
const MARK = 1 << nflog.NFULA_MARK;
const TIMESTAMP = 1 << nflog.NFULA_TIMESTAMP;
const IFINDEX_INDEV = 1 << nflog.NFULA_IFINDEX_INDEV;
const IFINDEX_OUTDEV = 1 << nflog.NFULA_IFINDEX_OUTDEV;
const HWADDR = 1 << nflog.NFULA_HWADDR;
const PAYLOAD = 1 << nflog.NFULA_PAYLOAD;
const PREFIX = 1 << nflog.NFULA_PREFIX;
const UID = 1 << nflog.NFULA_UID;
const SEQ = 1 << nflog.NFULA_SEQ;
const SEQ_GLOBAL = 1 << nflog.NFULA_SEQ_GLOBAL;
const GID = 1 << nflog.NFULA_GID;
const HWHEADER = 1 << nflog.NFULA_HWHEADER;
const HWLEN = 1 << nflog.NFULA_HWLEN;
const HWTYPE = 1 << nflog.NFULA_HWTYPE;
const CT = 1 << nflog.NFULA_CT;
const PACKET = nflog.NFULNL_PACKET;

/** What goes on when the stacks of an input change: the socket, and the number of the packet to come. */
interface Inheritance {
  readonly socket: NetlinkSocket;
  readonly expected: number;
}

/** NFLOG: packets that `-j NFLOG` and `log group` rules hand over. */
export default defineInput({
  name: 'NFLOG',
  summary: 'Reads the packets that iptables and nftables rules log to an NFLOG group.',
  gives: 'raw',
  example: 'stack=log1:NFLOG,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,print1:PRINTPKT,emu1:LOGEMU',
  options: {
    group: {
      type: 'int',
      default: 0,
      exclusive: 'a group has one reader',
      max: 65535,
      doc: 'Group that the rules name with --nflog-group or "log group".',
    },
    bufsize: {
      type: 'int',
      default: 150000,
      unit: 'bytes',
      doc: 'Accepted for ulogd.conf; there is always room for the longest datagram.',
    },
    bind: {
      type: 'bool',
      default: false,
      doc: "Make NFLOG the system's logger of IPv4, IPv6 and bridge packets; group 0 implies it.",
    },
    unbind: { type: 'bool', default: true, doc: 'With bind: first take that place from who has it.' },
    seq_local: { type: 'bool', default: false, doc: "Give the packet's number within the group as oob.seq.local." },
    seq_global: { type: 'bool', default: false, doc: "Give the packet's number over all groups as oob.seq.global." },
    numeric_label: { type: 'int', default: 0, max: 255, doc: 'Label that every packet gets as raw.label.' },
    ...eventSocketOptions(SOCKET_BUFFER),
    netlink_qthreshold: {
      type: 'int',
      default: 0,
      unit: 'packets',
      doc: "Packets that the kernel collects before it wakes the daemon; 0 means the daemon's choice.",
    },
    netlink_qtimeout: {
      type: 'int',
      default: 0,
      unit: '1/100 s',
      doc: "Longest time that the kernel keeps packets back; 0 means the daemon's choice.",
    },
    attach_conntrack: { type: 'bool', default: false, doc: 'Ask the kernel for the connection of each packet.' },
    ...namespaceOptions,
  },
  writes: packetKeys,
  constants: namespaceKeys,
  link({ id, options, write, record, memory, clock, log, namespace }, deliver) {
    const { group, numeric_label: label, seq_local, seq_global } = options;
    const slots = memory.slots('NFLOG: received', SLOTS, SLOT);
    const packet = new NflogPacket();
    const { ledger } = deliver;
    const malformed = new Malformed(`${id}:NFLOG`, log, ledger);
    const losses = new Losses(`${id}:NFLOG`, `packets of group ${group}`, true, log, clock, deliver);
    const listening = new Listening(`${id}:NFLOG`, log, losses, malformed);
    const { view } = record;
    const debug = log.isDebug();
    let socket: NetlinkSocket | undefined;
    /** Nothing of the batch was read yet. */
    let fresh = true;
    /** Number of the packet to come, from 0 (nfulnl_instance.seq), as a signed number: V8 would allocate one beyond 31 bits. */
    let expected = 0;

    function onDatagram(start: number, end: number): void {
      ledger.datagrams++;
      if (debug) log.debug(`${id}:NFLOG: ${describeDatagram(view, start, end, NETLINK_NETFILTER)}`);
      if (fresh) clock.update();
      fresh = false;
      for (let at = start; at < end; ) {
        const next = messageEnd(view, at, end);
        if (next < 0) return malformed.count(view, at, end);
        const type = messageType(view, at);
        if (type === PACKET) {
          if (decodePacket(view, at, next, packet, EVERY_ATTRIBUTE)) onPacket(at, next);
          else malformed.count(view, at, next);
        } else if (type >= NLMSG_MIN_TYPE) malformed.count(view, at, next);
        at += align(next - at);
      }
    }

    function onPacket(start: number, end: number): void {
      const { present } = packet;
      if ((present & SEQ) !== 0) {
        const sequence = packet.sequence | 0;
        if (sequence !== expected) losses.missed((sequence - expected) >>> 0);
        expected = (sequence + 1) | 0;
      }
      if ((present & HWHEADER) !== 0 && packet.hwHeaderLength > 0) {
        record.setBytes(write['raw.mac'], packet.hwHeaderOffset, packet.hwHeaderLength);
        if ((present & HWLEN) !== 0) record.setNumber(write['raw.mac_len'], packet.hwHeaderSize);
        if ((present & HWTYPE) !== 0) record.setNumber(write['raw.type'], packet.hwType);
      }
      if ((present & PAYLOAD) !== 0) {
        record.setBytes(write['raw.pkt'], packet.payloadOffset, packet.payloadLength);
        record.setNumber(write['raw.pktlen'], packet.payloadLength);
      }
      record.setNumber(write['raw.pktcount'], 1);
      if ((present & PREFIX) !== 0) {
        record.setBytes(write['oob.prefix'], packet.prefixOffset, packet.prefixLength);
      }
      const stamped = (present & TIMESTAMP) !== 0;
      record.setNumber(write['oob.time.sec'], stamped ? packet.seconds : clock.seconds);
      record.setNumber(write['oob.time.usec'], stamped ? packet.microseconds : clock.microseconds);
      record.setNumber(write['oob.mark'], (present & MARK) !== 0 ? packet.mark : 0);
      if ((present & IFINDEX_INDEV) !== 0) record.setNumber(write['oob.ifindex_in'], packet.indev);
      if ((present & IFINDEX_OUTDEV) !== 0) record.setNumber(write['oob.ifindex_out'], packet.outdev);
      if ((present & PACKET_HDR) !== 0) {
        record.setNumber(write['oob.hook'], packet.hook);
        record.setNumber(write['oob.protocol'], packet.hwProtocol);
      }
      if (seq_local && (present & SEQ) !== 0) record.setNumber(write['oob.seq.local'], packet.sequence);
      if (seq_global && (present & SEQ_GLOBAL) !== 0) {
        record.setNumber(write['oob.seq.global'], packet.globalSequence);
      }
      record.setNumber(write['oob.family'], packet.family);
      if ((present & UID) !== 0) record.setNumber(write['oob.uid'], packet.uid);
      if ((present & GID) !== 0) record.setNumber(write['oob.gid'], packet.gid);
      record.setNumber(write['raw.label'], label);
      if ((present & HWADDR) !== 0) {
        record.setBytes(write['raw.mac.saddr'], packet.hwAddressOffset, packet.hwAddressLength);
        record.setNumber(write['raw.mac.addrlen'], packet.hwAddressLength);
      }
      record.setBytes(write.raw, start, end - start);
      if ((present & CT) !== 0) record.setBytes(write.ct, packet.conntrackOffset, packet.conntrackLength);
      deliver.event();
    }

    function onBatchEnd(): void {
      fresh = true;
      deliver.batch();
      losses.endBatch();
    }

    /** Asks the kernel for the group; everything is refused before the first packet, or nothing is. */
    function bind(on: NetlinkSocket): void {
      if (group === 0 || options.bind) {
        for (const family of [NFPROTO_IPV4, NFPROTO_IPV6, NFPROTO_BRIDGE]) {
          if (options.unbind) {
            on.request(
              request.nflogCommand(0, request.NFULNL_CFG_CMD_PF_UNBIND, 0, family),
              'unbind the system logger',
            );
          }
          on.request(request.nflogCommand(0, request.NFULNL_CFG_CMD_PF_BIND, 0, family), 'become the system logger');
        }
      }
      on.request(request.nflogCommand(0, request.NFULNL_CFG_CMD_BIND, group), `bind NFLOG group ${group}`);
      // Sequence numbers are asked for in any case: they alone say exactly what was lost.
      const flags = request.NFULNL_CFG_F_SEQ | (seq_global ? request.NFULNL_CFG_F_SEQ_GLOBAL : 0);
      const settings: request.GroupSettings = {
        copyMode: request.NFULNL_COPY_PACKET,
        copyRange: 0xffff,
        flags,
        bufferSize: QUEUE_BYTES,
        ...(options.netlink_qthreshold > 0 ? { threshold: options.netlink_qthreshold } : {}),
        timeout: options.netlink_qtimeout || QUEUE_TIMEOUT,
      };
      on.request(request.nflogSettings(0, group, settings), `set up NFLOG group ${group}`);
      if (options.attach_conntrack) attachConntrack(on, flags);
    }

    function attachConntrack(on: NetlinkSocket, flags: number): void {
      try {
        const settings = { flags: flags | request.NFULNL_CFG_F_CONNTRACK };
        on.request(request.nflogSettings(0, group, settings), 'attach connections');
      } catch (error) {
        // Without CONFIG_NETFILTER_NETLINK_GLUE_CT the kernel refuses, and then drops every flag of the message.
        if (!(error instanceof KernelError)) throw error;
        log.error(`${id}:NFLOG: this kernel cannot attach connections to packets (${error.code}); going on without`);
        on.request(request.nflogSettings(0, group, { flags }), `set up NFLOG group ${group}`);
      }
    }

    /** The kernel collects packets before it sends them: the last ones come when the group is given up. */
    async function releaseHeldBack(on: NetlinkSocket): Promise<void> {
      try {
        on.request(request.nflogCommand(0, request.NFULNL_CFG_CMD_UNBIND, group), `give up NFLOG group ${group}`);
      } catch (error) {
        if (!(error instanceof KernelError)) throw error;
        // After -u we may not ask any more. They also come when the kernel's time for them is up.
        await setTimeout((options.netlink_qtimeout || DEFAULT_TIMEOUT) * 10 + 50);
      }
    }

    function subscribe(on: NetlinkSocket): void {
      try {
        bind(on);
      } catch (error) {
        if (!(error instanceof KernelError) || error.code !== 'EPERM') throw error;
        throw new Error(describeGroupHolder(group, namespace));
      }
    }

    return {
      start(inherited) {
        const before = inherited as Inheritance | undefined;
        const on = before?.socket ?? openEventSocket(options, SOCKET_BUFFER, namespace, slots, subscribe);
        socket = on;
        expected = before?.expected ?? 0;
        listening.begin(on, before === undefined ? 0 : on.drops(), { onDatagram, onBatchEnd });
      },
      handOver(): Inheritance | undefined {
        if (socket === undefined) return undefined;
        socket.stop();
        listening.end();
        const left = { socket, expected };
        socket = undefined;
        return left;
      },
      async stop() {
        if (socket === undefined) return;
        await releaseHeldBack(socket);
        socket.drain();
        listening.end();
        socket.close();
        socket = undefined;
      },
      drain: () => socket?.drain(),
      socket: () => losses.look(),
      counters: () => listening.counters(),
    };
  },
});
