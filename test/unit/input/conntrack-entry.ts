// Conntrack entries as the decoder fills them, made by hand: what the tests of the flow table and the filter put in.
import { isIPv6 } from 'node:net';
import { ConntrackEntry } from '../../../src/wire/conntrack.ts';
import * as cta from '../../../src/wire/ctnetlink.ts';
import { address } from '../../support/packets.ts';

/** A connection; ports for TCP and the like, `icmp` for ICMP and ICMPv6, neither for other protocols. */
export interface Connection {
  readonly source: string;
  readonly destination: string;
  readonly protocol: number;
  readonly ports?: readonly [source: number, destination: number];
  readonly icmp?: readonly [type: number, code: number, id: number];
  readonly zone?: number;
  /** Zone of the original direction alone. */
  readonly originalZone?: number;
  readonly id: number;
  readonly mark?: number;
  readonly packets?: readonly [orig: bigint, reply: bigint];
}

const memory = new Uint8Array(64);
/** Where the addresses of the entry made last are. */
export const view = new DataView(memory.buffer);
/** The same as bytes. */
export const bytes = memory;

const entry = new ConntrackEntry();

/** Fills an entry as the decoder does: what the connection does not have keeps the rubbish of the one before. */
export function entryOf(connection: Connection): ConntrackEntry {
  const { source, destination, protocol, ports, icmp } = connection;
  const v6 = isIPv6(source);
  const [from, to] = [address(source), address(destination)];
  memory.set(from, 0);
  memory.set(to, 16);
  memory.set(to, 32);
  memory.set(from, 48);
  entry.family = v6 ? 10 : 2;
  entry.id = connection.id;
  entry.present = (1 << cta.CTA_TUPLE_ORIG) | (1 << cta.CTA_TUPLE_REPLY) | (1 << cta.CTA_ID);
  for (const [tuple, at] of [
    [entry.orig, 0],
    [entry.reply, 32],
  ] as const) {
    tuple.present = (1 << cta.CTA_TUPLE_IP) | (1 << cta.CTA_TUPLE_PROTO);
    tuple.protocol = protocol;
    tuple.protoPresent = 1 << cta.CTA_PROTO_NUM;
    tuple.sourceOffset = at;
    tuple.destinationOffset = at + 16;
    tuple.sourceLength = tuple.destinationLength = v6 ? 16 : 4;
    if (ports) {
      tuple.protoPresent |= (1 << cta.CTA_PROTO_SRC_PORT) | (1 << cta.CTA_PROTO_DST_PORT);
      [tuple.sourcePort, tuple.destinationPort] = at === 0 ? ports : [ports[1], ports[0]];
    }
    if (icmp) {
      tuple.protoPresent |= v6
        ? (1 << cta.CTA_PROTO_ICMPV6_ID) | (1 << cta.CTA_PROTO_ICMPV6_TYPE) | (1 << cta.CTA_PROTO_ICMPV6_CODE)
        : (1 << cta.CTA_PROTO_ICMP_ID) | (1 << cta.CTA_PROTO_ICMP_TYPE) | (1 << cta.CTA_PROTO_ICMP_CODE);
      [tuple.icmpType, tuple.icmpCode, tuple.icmpId] = icmp;
    }
  }
  if (connection.zone !== undefined) {
    entry.present |= 1 << cta.CTA_ZONE;
    entry.zone = connection.zone;
  }
  if (connection.originalZone !== undefined) {
    entry.orig.present |= 1 << cta.CTA_TUPLE_ZONE;
    entry.orig.zone = connection.originalZone;
  }
  if (connection.mark !== undefined) {
    entry.present |= 1 << cta.CTA_MARK;
    entry.mark = connection.mark;
  }
  const { packets } = connection;
  for (const [counters, count] of [
    [entry.origCounters, packets?.[0]],
    [entry.replyCounters, packets?.[1]],
  ] as const) {
    counters.present = count === undefined ? 0 : 6;
    if (count === undefined) continue;
    counters.packetsHigh = Number(count >> 32n);
    counters.packetsLow = Number(count & 0xffffffffn);
    counters.bytesHigh = counters.packetsLow;
    counters.bytesLow = counters.packetsHigh;
  }
  return entry;
}
