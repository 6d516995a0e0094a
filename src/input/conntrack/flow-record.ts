import type { Slots } from '../../pipeline/plugin.ts';
import type { Record } from '../../pipeline/record.ts';
import { CONNTRACK_DESTROY, type ConntrackEntry } from '../../wire/conntrack.ts';
import type { Tuple } from '../../wire/conntrack-tuple.ts';
import { CTA_MARK, CTA_PROTO_ICMP_TYPE, CTA_PROTO_ICMPV6_TYPE, CTA_PROTO_SRC_PORT } from '../../wire/ctnetlink.ts';
import type { flowKeys } from './flow-keys.ts';
import type { Moment } from './flow-times.ts';

const UDP = 17;
const TCP = 6;
const DCCP = 33;
const SCTP = 132;
const UDPLITE = 136;

// V8 folds constants of this module only.
const DESTROY = CONNTRACK_DESTROY;
const HAS_MARK = 1 << CTA_MARK;
const HAS_PORT = 1 << CTA_PROTO_SRC_PORT;
const HAS_ICMP = 1 << CTA_PROTO_ICMP_TYPE;
const HAS_ICMPV6 = 1 << CTA_PROTO_ICMPV6_TYPE;

/** Writes a connection into the record's slots; times that are not known are left out. */
export class FlowWriter {
  readonly #record: Record;
  readonly #slots: Slots<typeof flowKeys>;
  readonly #compat: boolean;

  constructor(record: Record, slots: Slots<typeof flowKeys>, compat: boolean) {
    this.#record = record;
    this.#slots = slots;
    this.#compat = compat;
  }

  write(entry: ConntrackEntry, start: Moment, end: Moment): void {
    const record = this.#record;
    const to = this.#slots;
    const { orig, reply, origCounters, replyCounters } = entry;
    record.setBytes(to['orig.ip.saddr'], orig.sourceOffset, orig.sourceLength);
    record.setBytes(to['orig.ip.daddr'], orig.destinationOffset, orig.destinationLength);
    record.setNumber(to['orig.ip.protocol'], orig.protocol);
    record.setBytes(to['reply.ip.saddr'], reply.sourceOffset, reply.sourceLength);
    record.setBytes(to['reply.ip.daddr'], reply.destinationOffset, reply.destinationLength);
    record.setNumber(to['reply.ip.protocol'], reply.protocol);
    if (this.#hasPorts(orig) && this.#hasPorts(reply)) {
      record.setNumber(to['orig.l4.sport'], orig.sourcePort);
      record.setNumber(to['orig.l4.dport'], orig.destinationPort);
      record.setNumber(to['reply.l4.sport'], reply.sourcePort);
      record.setNumber(to['reply.l4.dport'], reply.destinationPort);
    }
    // As in ulogd, counters are 0 where the kernel does not count, rather than missing.
    const counted = origCounters.present !== 0;
    const answered = replyCounters.present !== 0;
    record.setWide(to['orig.raw.pktlen'], counted ? origCounters.bytesHigh : 0, counted ? origCounters.bytesLow : 0);
    record.setWide(
      to['orig.raw.pktcount'],
      counted ? origCounters.packetsHigh : 0,
      counted ? origCounters.packetsLow : 0,
    );
    record.setWide(
      to['reply.raw.pktlen'],
      answered ? replyCounters.bytesHigh : 0,
      answered ? replyCounters.bytesLow : 0,
    );
    record.setWide(
      to['reply.raw.pktcount'],
      answered ? replyCounters.packetsHigh : 0,
      answered ? replyCounters.packetsLow : 0,
    );
    this.#writeIcmp(orig);
    record.setNumber(to['ct.mark'], (entry.present & HAS_MARK) !== 0 ? entry.mark : 0);
    record.setNumber(to['ct.id'], entry.id);
    record.setNumber(to['ct.event'], entry.event);
    if (start.known) {
      record.setNumber(to['flow.start.sec'], start.seconds);
      record.setNumber(to['flow.start.usec'], start.microseconds);
    }
    if (end.known && entry.event === DESTROY) {
      record.setNumber(to['flow.end.sec'], end.seconds);
      record.setNumber(to['flow.end.usec'], end.microseconds);
    }
    record.setNumber(to['oob.family'], entry.family);
    record.setNumber(to['oob.protocol'], 0);
  }

  #writeIcmp(orig: Tuple): void {
    const record = this.#record;
    const to = this.#slots;
    if ((orig.protoPresent & HAS_ICMP) !== 0) {
      record.setNumber(to['icmp.code'], orig.icmpCode);
      record.setNumber(to['icmp.type'], orig.icmpType);
    } else if ((orig.protoPresent & HAS_ICMPV6) !== 0 && !this.#compat) {
      // ulogd has these keys since 2.0.9.
      record.setNumber(to['icmpv6.code'], orig.icmpCode);
      record.setNumber(to['icmpv6.type'], orig.icmpType);
    }
  }

  /** GRE's call keys come as ports too, and are none. */
  #hasPorts(tuple: Tuple): boolean {
    const { protocol } = tuple;
    if (protocol !== TCP && protocol !== UDP && protocol !== SCTP && protocol !== DCCP && protocol !== UDPLITE)
      return false;
    if ((tuple.protoPresent & HAS_PORT) !== 0) return true;
    // Linux 6.16 no longer tracks DCCP: ulogd2 then writes ports of 0.
    if (this.#compat) tuple.sourcePort = tuple.destinationPort = 0;
    return this.#compat;
  }
}
