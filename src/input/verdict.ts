import { namespaceKeys, namespaceOptions } from '../pipeline/namespace.ts';
import { defineInput } from '../pipeline/plugin.ts';
import { AUDIT_TABLE, DEFAULT_LIMIT, hasLegacyRules, limitFault } from '../router/audit-rules.ts';
import type { NetlinkSocket } from '../system/netlink-socket.ts';
import { ETHERTYPE_IPV4, ETHERTYPE_IPV6 } from '../wire/ethernet.ts';
import { align, messageEnd, messageType, NETLINK_NETFILTER, NLMSG_MIN_TYPE } from '../wire/netlink.ts';
import { NFNLGRP_NFTRACE, NFPROTO_IPV4, NFPROTO_IPV6 } from '../wire/nfnetlink.ts';
import * as nftrace from '../wire/nftrace.ts';
import { decodeTrace, Trace } from '../wire/nftrace.ts';
import { describeDatagram } from '../wire/text.ts';
import { AuditWatch } from './audit-watch.ts';
import { eventSocketOptions, openEventSocket } from './event-socket.ts';
import { JudgedPackets, LONGEST_NAME } from './judged-packets.ts';
import { Listening } from './listening.ts';
import { Losses } from './losses.ts';
import { Malformed } from './malformed.ts';
import { packetKeys } from './packet-keys.ts';
import { Silence } from './silence.ts';

/** Messages read by one system call, and room for each: headers, three names of up to 255 bytes and a dozen numbers. */
const SLOTS = 64;
const SLOT = (2 << 10) + 192;
/** Bytes of receive buffer, where nothing else is asked for. */
const SOCKET_BUFFER = 1 << 20;

// V8 folds constants of this module only.
const TRACE = nftrace.NFT_MSG_TRACE;
const RULE = nftrace.NFT_TRACETYPE_RULE;
const DROP = nftrace.NF_DROP;
const ACCEPT = nftrace.NF_ACCEPT;
/** Netfilter hooks, as oob.hook has them. */
const INPUT = 1;
const FORWARD = 2;
/** Our chains before all others are told from those behind them (input_after, forward_after) by the length of their names. */
const INPUT_BEFORE = 'input_before'.length;
const FORWARD_BEFORE = 'forward_before'.length;

const WORDS = 'dropacceptrulepolicyDROP ACCEPT silence';

/** What goes on when the stacks of an input change: the socket, and the packets that still await their verdict. */
interface Inheritance {
  readonly socket: NetlinkSocket;
  readonly packets: JudgedPackets;
}

/** VERDICT: whether the firewall let a connection's first packet pass, and which rule said so. */
export default defineInput({
  name: 'VERDICT',
  summary: 'Tells of new connections whether the firewall accepted or dropped them, and which rule did.',
  gives: 'raw',
  example: 'stack=verdict1:VERDICT,base1:BASE,ifi1:IFINDEX,nat1:NAT,ip2str1:IP2STR,json1:JSON',
  options: {
    install: {
      type: 'bool',
      default: false,
      doc: 'Install the rules of "flowlogd audit install" in each namespace where they are missing, when the input starts there and later.',
    },
    limit: {
      type: 'string',
      default: DEFAULT_LIMIT,
      check: limitFault,
      doc: 'With install: how many connections are judged at most, such as 100/second or 20/minute.',
    },
    ...eventSocketOptions(SOCKET_BUFFER),
    ...namespaceOptions,
  },
  constants: namespaceKeys,
  writes: {
    'verdict.action': { type: 'string', plain: true, doc: 'What became of the packet: accept or drop.' },
    'verdict.by': {
      type: 'string',
      plain: true,
      doc: 'Who said so: a rule, or the policy of a chain; silence where a rule of iptables-legacy dropped it, which the kernel does not trace.',
    },
    'verdict.table': { type: 'string', doc: 'Table of that chain, such as filter.' },
    'verdict.chain': { type: 'string', doc: 'Chain of that rule or policy, such as neutron-l3-agent-scope.' },
    'verdict.rule': {
      type: 'u64',
      doc: 'Number (handle) of the rule in its table, as "nft -a list ruleset" shows it.',
    },
    'ct.id': { type: 'u32', doc: "The kernel's number for the connection, as in events of NFCT; since Linux 6.16." },
    'raw.mac': packetKeys['raw.mac'],
    'raw.pkt': {
      ...packetKeys['raw.pkt'],
      doc: 'The headers of the packet, from the network header on: up to 20 bytes of the transport.',
    },
    'raw.pktlen': packetKeys['raw.pktlen'],
    'raw.pktcount': packetKeys['raw.pktcount'],
    'oob.prefix': { type: 'string', doc: 'ACCEPT or DROP, and the chain: for outputs that show the prefix of a rule.' },
    'oob.time.sec': packetKeys['oob.time.sec'],
    'oob.time.usec': packetKeys['oob.time.usec'],
    'oob.mark': packetKeys['oob.mark'],
    'oob.ifindex_in': packetKeys['oob.ifindex_in'],
    'oob.ifindex_out': packetKeys['oob.ifindex_out'],
    'oob.hook': packetKeys['oob.hook'],
    'raw.mac_len': packetKeys['raw.mac_len'],
    'oob.family': packetKeys['oob.family'],
    'oob.protocol': packetKeys['oob.protocol'],
    'raw.type': packetKeys['raw.type'],
  },
  link({ id, options, write, record, memory, clock, log, namespace }, deliver) {
    const name = `${id}:VERDICT`;
    const slots = memory.slots('VERDICT: received', SLOTS, SLOT);
    const words = memory.reserve(WORDS.length);
    memory.bytes.set(Buffer.from(WORDS), words);
    const ourTable = memory.reserve(AUDIT_TABLE.length);
    memory.bytes.set(Buffer.from(AUDIT_TABLE), ourTable);
    const prefixAt = memory.reserve('ACCEPT '.length + LONGEST_NAME);
    const packets = new JudgedPackets(memory);
    const trace = new Trace();
    const { ledger } = deliver;
    const malformed = new Malformed(name, log, ledger);
    const losses = new Losses(name, 'traces', false, log, clock, deliver);
    const listening = new Listening(name, log, losses, malformed);
    const rules = new AuditWatch(name, namespace, options, log);
    const { view, bytes } = record;
    const debug = log.isDebug();
    let socket: NetlinkSocket | undefined;
    let silence: Silence | undefined;
    /** Nothing of the batch was read yet. */
    let fresh = true;

    function onDatagram(start: number, end: number): void {
      ledger.datagrams++;
      if (debug) log.debug(`${name}: ${describeDatagram(view, start, end, NETLINK_NETFILTER)}`);
      if (fresh) clock.update();
      fresh = false;
      for (let at = start; at < end; ) {
        const next = messageEnd(view, at, end);
        if (next < 0) return malformed.count(view, at, end);
        const type = messageType(view, at);
        if (type === TRACE && decodeTrace(view, at, next, trace)) onTrace();
        else if (type >= NLMSG_MIN_TYPE) malformed.count(view, at, next);
        at += align(next - at);
      }
    }

    function onTrace(): void {
      if (isOurs()) {
        if (trace.type !== RULE) return;
        // Ours comes first, with the headers, and last.
        if (trace.chainLength === INPUT_BEFORE || trace.chainLength === FORWARD_BEFORE) {
          if (trace.networkLength > 0) packets.begin(trace, clock.seconds * 1000 + clock.microseconds / 1000);
          return;
        }
        const place = packets.find(trace.id);
        if (place >= 0) judge(place, true);
        return;
      }
      if (trace.verdict !== DROP && trace.verdict !== ACCEPT) return;
      // What somebody else has traced is none of our business.
      const place = packets.find(trace.id);
      if (place < 0) return;
      packets.by(place, trace);
      if (trace.verdict === DROP) judge(place, false);
    }

    function onBatchEnd(): void {
      fresh = true;
      deliver.batch();
      losses.endBatch();
      silence?.watch();
    }

    /** A rule of iptables-legacy dropped it: which one nobody knows. */
    function onSilence(place: number): void {
      const since = packets.since(place);
      packets.chainLength[place] = 0;
      clock.seconds = Math.floor(since / 1000);
      clock.microseconds = Math.round((since - clock.seconds * 1000) * 1000);
      record.setBytes(write['verdict.by'], words + 32, 7);
      judge(place, false);
    }

    function isOurs(): boolean {
      if (trace.tableLength !== AUDIT_TABLE.length) return false;
      for (let i = 0; i < AUDIT_TABLE.length; i++) {
        if (bytes[trace.tableOffset + i] !== bytes[ourTable + i]) return false;
      }
      return true;
    }

    function judge(place: number, accepts: boolean): void {
      packets.end(place);
      if (accepts) record.setBytes(write['verdict.action'], words + 4, 6);
      else record.setBytes(write['verdict.action'], words, 4);
      const chainLength = packets.chainLength[place]!;
      let prefix = copy(accepts ? words + 25 : words + 20, accepts ? 7 : 5, prefixAt);
      if (chainLength > 0) {
        const high = packets.handleHigh[place]!;
        const low = packets.handleLow[place]!;
        const byRule = high !== 0 || low !== 0;
        record.setBytes(write['verdict.by'], byRule ? words + 10 : words + 14, byRule ? 4 : 6);
        record.setBytes(write['verdict.table'], packets.tableAt(place), packets.tableLength[place]!);
        record.setBytes(write['verdict.chain'], packets.chainAt(place), chainLength);
        if (byRule) record.setWide(write['verdict.rule'], high, low);
        prefix = copy(packets.chainAt(place), chainLength, prefix);
      }
      record.setBytes(write['oob.prefix'], prefixAt, prefix - prefixAt);
      if (packets.connection[place] !== 0) record.setNumber(write['ct.id'], packets.connection[place]!);
      packet(place);
      deliver.event();
    }

    function packet(place: number): void {
      const at = packets.packetAt(place);
      const isIpv6 = bytes[at]! >> 4 === 6;
      const { linkLength, packetLength, indev, outdev } = packets;
      if (linkLength[place]! > 0) {
        record.setBytes(write['raw.mac'], packets.linkAt(place), linkLength[place]!);
        record.setNumber(write['raw.mac_len'], linkLength[place]!);
        record.setNumber(write['raw.type'], packets.indevType[place]!);
      }
      record.setBytes(write['raw.pkt'], at, packetLength[place]!);
      record.setNumber(write['raw.pktlen'], packetLength[place]!);
      record.setNumber(write['raw.pktcount'], 1);
      record.setNumber(write['oob.time.sec'], clock.seconds);
      record.setNumber(write['oob.time.usec'], clock.microseconds);
      record.setNumber(write['oob.mark'], packets.mark[place]!);
      if (indev[place] !== 0) record.setNumber(write['oob.ifindex_in'], indev[place]!);
      if (outdev[place] !== 0) record.setNumber(write['oob.ifindex_out'], outdev[place]!);
      record.setNumber(write['oob.hook'], outdev[place] !== 0 ? FORWARD : INPUT);
      record.setNumber(write['oob.family'], isIpv6 ? NFPROTO_IPV6 : NFPROTO_IPV4);
      record.setNumber(write['oob.protocol'], isIpv6 ? ETHERTYPE_IPV6 : ETHERTYPE_IPV4);
    }

    /** Returns the offset behind the copy. */
    function copy(from: number, length: number, to: number): number {
      for (let i = 0; i < length; i++) bytes[to + i] = bytes[from + i]!;
      return to + length;
    }

    const subscribe = (on: NetlinkSocket) => on.join(NFNLGRP_NFTRACE);

    return {
      start(inherited) {
        const before = inherited as Inheritance | undefined;
        const on = before?.socket ?? openEventSocket(options, SOCKET_BUFFER, namespace, slots, subscribe);
        socket = on;
        if (before !== undefined) packets.takeOver(before.packets);
        listening.begin(on, before === undefined ? 0 : on.drops(), { onDatagram, onBatchEnd });
        silence = new Silence(packets, {
          drain: () => on.drain(),
          drops: () => on.drops(),
          hasLegacyRules: () => hasLegacyRules(namespace),
          onDropped: onSilence,
          onEnd: () => deliver.batch(),
        });
        silence.watch();
        rules.start();
      },
      handOver(): Inheritance | undefined {
        if (socket === undefined) return undefined;
        silence?.stop();
        rules.stop();
        socket.stop();
        listening.end();
        const left = { socket, packets };
        socket = undefined;
        return left;
      },
      stop() {
        if (socket === undefined) return;
        silence?.stop();
        rules.stop();
        socket.drain();
        packets.close();
        listening.end();
        socket.close();
        socket = undefined;
      },
      socket: () => losses.look(),
      counters: () => ({
        'packets without a verdict': packets.undecided,
        ...listening.counters(),
      }),
    };
  },
});
