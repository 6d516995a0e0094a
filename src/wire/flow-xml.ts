import { Literal, writeBytes, writeDecimal, writeHex, writeWideDecimal } from './ascii.ts';
import type { ConntrackEntry } from './conntrack.ts';
import type { Counters } from './conntrack-parts.ts';
import type { Tuple } from './conntrack-tuple.ts';
import * as ct from './ctnetlink.ts';
import { writeIp } from './ip-text.ts';
import type { LineBuffer } from './line-buffer.ts';
import { subsecondNanoseconds, wholeSeconds } from './nanoseconds.ts';
import { NFPROTO_IPV6 } from './nfnetlink.ts';
import { writeXmlText, xmlTextRoom } from './xml-text.ts';

// Bits of ConntrackEntry.present.
const STATUS = 1 << ct.CTA_STATUS;
const PROTOINFO = 1 << ct.CTA_PROTOINFO;
const HELP = 1 << ct.CTA_HELP;
const TIMEOUT = 1 << ct.CTA_TIMEOUT;
const MARK = 1 << ct.CTA_MARK;
const COUNTERS_ORIG = 1 << ct.CTA_COUNTERS_ORIG;
const COUNTERS_REPLY = 1 << ct.CTA_COUNTERS_REPLY;
const USE = 1 << ct.CTA_USE;
const ID = 1 << ct.CTA_ID;
const ZONE = 1 << ct.CTA_ZONE;
const TIMESTAMP = 1 << ct.CTA_TIMESTAMP;
const STARTED = 1 << ct.CTA_TIMESTAMP_START;
const STOPPED = 1 << ct.CTA_TIMESTAMP_STOP;
const TUPLE_ZONE = 1 << ct.CTA_TUPLE_ZONE;
const PORT = 1 << ct.CTA_PROTO_SRC_PORT;
const SEEN_REPLY = ct.IPS_SEEN_REPLY;
const ASSURED = ct.IPS_ASSURED;
const GRE = 47;

const literal = (text: string): Literal => new Literal(text);
const ORIGINAL = literal('<flow><meta direction="original">');
const REPLY = literal('<meta direction="reply">');
const META_CLOSE = literal('</meta>');
const IPV4 = literal('<layer3 protonum="2" protoname="ipv4"><src>');
const IPV6 = literal('<layer3 protonum="10" protoname="ipv6"><src>');
const SRC_DST = literal('</src><dst>');
const LAYER3_CLOSE = literal('</dst></layer3>');
const LAYER4_CLOSE = literal('</layer4>');
const SPORT = literal('<sport>');
const SPORT_DPORT = literal('</sport><dport>');
const DPORT_CLOSE = literal('</dport>');
const SRCKEY = literal('<srckey>0x');
const SRCKEY_DSTKEY = literal('</srckey><dstkey>0x');
const DSTKEY_CLOSE = literal('</dstkey>');
const PACKETS = literal('<counters><packets>');
const PACKETS_BYTES = literal('</packets><bytes>');
const COUNTERS_CLOSE = literal('</bytes></counters>');
const INDEPENDENT = literal('<meta direction="independent">');
const STATE = literal('<state>');
const STATE_CLOSE = literal('</state>');
const TIMEOUT_OPEN = literal('<timeout>');
const TIMEOUT_CLOSE = literal('</timeout>');
const MARK_OPEN = literal('<mark>');
const MARK_CLOSE = literal('</mark>');
const ZONE_OPEN = literal('<zone>');
const ZONE_CLOSE = literal('</zone>');
const USE_OPEN = literal('<use>');
const USE_CLOSE = literal('</use>');
const ID_OPEN = literal('<id>');
const ID_CLOSE = literal('</id>');
const ASSURED_TAG = literal('<assured/>');
const UNREPLIED_TAG = literal('<unreplied/>');
const DELTATIME_OPEN = literal('<deltatime>');
const DELTATIME_CLOSE = literal('</deltatime>');
const HELPER = literal('<helper>');
const HELPER_CLOSE = literal('</helper>');
const FLOW_CLOSE = literal('</flow>');

const NAMES: Readonly<Record<number, string>> = {
  1: 'icmp', 6: 'tcp', 17: 'udp', 33: 'dccp', 47: 'gre', 58: 'icmpv6', 132: 'sctp', 136: 'udplite',
}; // biome-ignore format: a table
const PROTOCOLS: readonly Literal[] = Array.from({ length: 256 }, (_, number) =>
  literal(`<layer4 protonum="${number}" protoname="${NAMES[number] ?? 'unknown'}">`),
);
/** Protocols with ports. */
const PORTED = Uint8Array.from({ length: 256 }, (_, number) =>
  NAMES[number] && !/icmp|gre/.test(NAMES[number]) ? 1 : 0,
);

const states = (names: string): readonly Literal[] => names.split(' ').map(literal);
/** Names of the kernel's states, by the bit that says which protocol's they are (nf_conntrack_tcp.h, _sctp.h, _dccp.h). */
const TCP_STATES = states('NONE SYN_SENT SYN_RECV ESTABLISHED FIN_WAIT CLOSE_WAIT LAST_ACK TIME_WAIT CLOSE SYN_SENT2');
const SCTP_STATES = states(
  'NONE CLOSED COOKIE_WAIT COOKIE_ECHOED ESTABLISHED SHUTDOWN_SENT SHUTDOWN_RECD SHUTDOWN_ACK_SENT HEARTBEAT_SENT HEARTBEAT_ACKED',
);
const DCCP_STATES = states('NONE REQUEST RESPOND PARTOPEN OPEN CLOSEREQ CLOSING TIMEWAIT IGNORE INVALID');
const IS_TCP = 1 << ct.CTA_PROTOINFO_TCP;
const IS_DCCP = 1 << ct.CTA_PROTOINFO_DCCP;
const IS_SCTP = 1 << ct.CTA_PROTOINFO_SCTP;

/** Most bytes that writeFlowXml makes of an entry, without the time. */
export const flowXmlRoom = (entry: ConntrackEntry): number => 1500 + xmlTextRoom(entry.helperLength);

/**
 * Writes a connection as libnetfilter_conntrack does, with `when` (an XML element of the time) behind its fields. `now` is that time in
 * seconds since 1970. `compat` names every state as if it were one of TCP.
 */
export function writeFlowXml(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  entry: ConntrackEntry,
  from: Uint8Array,
  when: LineBuffer,
  now: number,
  compat: boolean,
): number {
  const { present, family } = entry;
  let to = writeTuple(bytes, view, ORIGINAL.writeTo(view, at), family, entry.orig, from, compat);
  if ((present & COUNTERS_ORIG) !== 0) to = writeCounters(bytes, view, to, entry.origCounters);
  to = META_CLOSE.writeTo(view, to);
  to = writeTuple(bytes, view, REPLY.writeTo(view, to), family, entry.reply, from, compat);
  if ((present & COUNTERS_REPLY) !== 0) to = writeCounters(bytes, view, to, entry.replyCounters);
  to = META_CLOSE.writeTo(view, to);
  if ((present & (PROTOINFO | STATUS | TIMEOUT | MARK | ZONE | USE | ID)) !== 0)
    to = writeIndependent(view, to, entry, now, compat);
  to = writeBytes(view, to, when.view, 0, when.length);
  if ((present & HELP) !== 0 && entry.helperLength > 0) {
    to = HELPER.writeTo(view, to);
    to = writeXmlText(bytes, view, to, from, entry.helperOffset, entry.helperLength, false);
    to = HELPER_CLOSE.writeTo(view, to);
  }
  return FLOW_CLOSE.writeTo(view, to);
}

function writeTuple(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  family: number,
  tuple: Tuple,
  from: Uint8Array,
  compat: boolean,
): number {
  let to = (family === NFPROTO_IPV6 ? IPV6 : IPV4).writeTo(view, at);
  if (tuple.sourceLength > 0) to = writeIp(bytes, to, from, tuple.sourceOffset, tuple.sourceLength);
  to = SRC_DST.writeTo(view, to);
  if (tuple.destinationLength > 0) to = writeIp(bytes, to, from, tuple.destinationOffset, tuple.destinationLength);
  to = LAYER3_CLOSE.writeTo(view, to);
  to = PROTOCOLS[tuple.protocol]!.writeTo(view, to);
  // Not every kernel tracks every protocol: without ports, libnetfilter_conntrack writes 0.
  const ported = (tuple.protoPresent & PORT) !== 0;
  const source = ported ? tuple.sourcePort : 0;
  const destination = ported ? tuple.destinationPort : 0;
  if (PORTED[tuple.protocol] === 1 && (ported || compat)) {
    to = writeDecimal(view, SPORT.writeTo(view, to), source);
    to = writeDecimal(view, SPORT_DPORT.writeTo(view, to), destination);
    to = DPORT_CLOSE.writeTo(view, to);
  } else if (tuple.protocol === GRE && (ported || compat)) {
    to = writeHex(bytes, SRCKEY.writeTo(view, to), source);
    to = writeHex(bytes, SRCKEY_DSTKEY.writeTo(view, to), destination);
    to = DSTKEY_CLOSE.writeTo(view, to);
  }
  to = LAYER4_CLOSE.writeTo(view, to);
  return (tuple.present & TUPLE_ZONE) !== 0 ? element(view, to, ZONE_OPEN, tuple.zone, ZONE_CLOSE) : to;
}

function writeCounters(bytes: Uint8Array, view: DataView, at: number, counters: Counters): number {
  let to = PACKETS.writeTo(view, at);
  to = writeWideDecimal(bytes, view, to, counters.packetsHigh, counters.packetsLow);
  to = PACKETS_BYTES.writeTo(view, to);
  to = writeWideDecimal(bytes, view, to, counters.bytesHigh, counters.bytesLow);
  return COUNTERS_CLOSE.writeTo(view, to);
}

function writeIndependent(view: DataView, at: number, entry: ConntrackEntry, now: number, compat: boolean): number {
  const { present, status } = entry;
  let to = INDEPENDENT.writeTo(view, at);
  if ((present & PROTOINFO) !== 0) {
    const name = stateOf(entry, compat);
    if (name !== undefined) to = STATE_CLOSE.writeTo(view, name.writeTo(view, STATE.writeTo(view, to)));
  }
  if ((present & TIMEOUT) !== 0) to = element(view, to, TIMEOUT_OPEN, entry.timeout | 0, TIMEOUT_CLOSE);
  if ((present & MARK) !== 0) to = element(view, to, MARK_OPEN, entry.mark | 0, MARK_CLOSE);
  if ((present & ZONE) !== 0) to = element(view, to, ZONE_OPEN, entry.zone, ZONE_CLOSE);
  if ((present & USE) !== 0) to = element(view, to, USE_OPEN, entry.use | 0, USE_CLOSE);
  if ((present & ID) !== 0) to = element(view, to, ID_OPEN, entry.id | 0, ID_CLOSE);
  if ((present & STATUS) !== 0) {
    if ((status & ASSURED) !== 0) to = ASSURED_TAG.writeTo(view, to);
    if ((status & SEEN_REPLY) === 0) to = UNREPLIED_TAG.writeTo(view, to);
  }
  if ((present & TIMESTAMP) !== 0) to = writeDeltaTime(view, to, entry, now);
  return META_CLOSE.writeTo(view, to);
}

/** How long a connection was, in whole seconds, or how old it is now. */
function writeDeltaTime(view: DataView, at: number, { timestamps }: ConntrackEntry, now: number): number {
  const { present, startHigh, startLow, stopHigh, stopLow } = timestamps;
  if ((present & STARTED) === 0) return at;
  let seconds = -wholeSeconds(startHigh, startLow);
  if ((present & STOPPED) === 0) seconds += now;
  else {
    const begun = subsecondNanoseconds(stopHigh, stopLow) < subsecondNanoseconds(startHigh, startLow) ? 1 : 0;
    seconds += wholeSeconds(stopHigh, stopLow) - begun;
  }
  return seconds < 0 ? at : element(view, at, DELTATIME_OPEN, seconds | 0, DELTATIME_CLOSE); // below 0: the clock was set back
}

function stateOf({ protoInfo }: ConntrackEntry, compat: boolean): Literal | undefined {
  if (compat || (protoInfo.present & IS_TCP) !== 0) return TCP_STATES[protoInfo.state];
  if ((protoInfo.present & IS_SCTP) !== 0) return SCTP_STATES[protoInfo.state];
  return (protoInfo.present & IS_DCCP) !== 0 ? DCCP_STATES[protoInfo.state] : undefined;
}

function element(view: DataView, at: number, open: Literal, value: number, close: Literal): number {
  return close.writeTo(view, writeDecimal(view, open.writeTo(view, at), value));
}
