import type { ConntrackEntry } from './conntrack.ts';
import type { Counters } from './conntrack-parts.ts';
import type { Tuple } from './conntrack-tuple.ts';
import * as ct from './ctnetlink.ts';
import { MessageBuilder } from './message-builder.ts';
import { beginRequest, NFPROTO_IPV6 } from './nfnetlink.ts';

const HAS_PORT = 1 << ct.CTA_PROTO_SRC_PORT;

/**
 * The message with which a dump would show an entry, of what is remembered of it: addresses, protocol, ports, counters, mark and id.
 * `bytes` hold its addresses. For what no event told; not for the hot path.
 */
export function conntrackMessage(entry: ConntrackEntry, bytes: Uint8Array): Uint8Array {
  const message = beginRequest(new MessageBuilder(), ct.IPCTNL_MSG_CT_NEW, 0, 0, entry.family);
  addTuple(message, ct.CTA_TUPLE_ORIG, entry.family, entry.orig, bytes);
  addTuple(message, ct.CTA_TUPLE_REPLY, entry.family, entry.reply, bytes);
  addCounters(message, ct.CTA_COUNTERS_ORIG, entry.origCounters);
  addCounters(message, ct.CTA_COUNTERS_REPLY, entry.replyCounters);
  return message.be32(ct.CTA_MARK, entry.mark).be32(ct.CTA_ID, entry.id).finish();
}

function addTuple(message: MessageBuilder, type: number, family: number, tuple: Tuple, bytes: Uint8Array): void {
  const six = family === NFPROTO_IPV6;
  const address = (offset: number, length: number) => bytes.subarray(offset, offset + length);
  message.nest(type).nest(ct.CTA_TUPLE_IP);
  message.bytes(six ? ct.CTA_IP_V6_SRC : ct.CTA_IP_V4_SRC, address(tuple.sourceOffset, tuple.sourceLength));
  message.bytes(six ? ct.CTA_IP_V6_DST : ct.CTA_IP_V4_DST, address(tuple.destinationOffset, tuple.destinationLength));
  message.end().nest(ct.CTA_TUPLE_PROTO).u8(ct.CTA_PROTO_NUM, tuple.protocol);
  if ((tuple.protoPresent & HAS_PORT) !== 0) {
    message.be16(ct.CTA_PROTO_SRC_PORT, tuple.sourcePort).be16(ct.CTA_PROTO_DST_PORT, tuple.destinationPort);
  }
  message.end().end();
}

function addCounters(message: MessageBuilder, type: number, counters: Counters): void {
  if (counters.present === 0) return;
  message.nest(type);
  message.bytes(ct.CTA_COUNTERS_PACKETS, wide(counters.packetsHigh, counters.packetsLow));
  message.bytes(ct.CTA_COUNTERS_BYTES, wide(counters.bytesHigh, counters.bytesLow));
  message.end();
}

function wide(high: number, low: number): Uint8Array {
  const view = new DataView(new ArrayBuffer(8));
  view.setUint32(0, high);
  view.setUint32(4, low);
  return new Uint8Array(view.buffer);
}
