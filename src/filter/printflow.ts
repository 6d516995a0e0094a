import { defineFilter } from '../pipeline/plugin.ts';
import type { Record } from '../pipeline/record.ts';
import { Literal, SLACK, writeDecimal, writeShort, writeWideDecimal } from '../wire/ascii.ts';
import { writeField, writePair } from '../wire/field.ts';
import { IPPROTO_AH, IPPROTO_ESP, IPPROTO_ICMP, IPPROTO_TCP, IPPROTO_UDP } from '../wire/ip.ts';
import { IP_TEXT_LENGTH } from '../wire/ip-text.ts';

/** ct.event as NFCT writes it. */
const EVENT_NEW = 1;
const EVENT_UPDATE = 2;
const EVENT_DESTROY = 4;

/** Most bytes of a line: four addresses, and under 400 of words and numbers. */
const ROOM = 4 * IP_TEXT_LENGTH + 400 + SLACK;
const SPACE = 0x20;

const NEW = new Literal('[NEW] ');
const UPDATE = new Literal('[UPDATE] ');
const DESTROY = new Literal('[DESTROY] ');
const ORIG = new Literal('ORIG: ');
const REPLY = new Literal(', REPLY: ');
const SRC = new Literal('SRC=');
const DST = new Literal('DST=');
const TCP = new Literal('PROTO=TCP SPT=');
const UDP = new Literal('PROTO=UDP SPT=');
const DPT = new Literal(' DPT=');
const ICMP = new Literal('PROTO=ICMP TYPE=');
const CODE = new Literal(' CODE=');
const ESP = new Literal('PROTO=ESP ');
const AH = new Literal('PROTO=AH ');
const PROTO = new Literal('PROTO=');
const PKTS = new Literal('PKTS=');
const BYTES = new Literal(' BYTES=');

/** PRINTFLOW: a connection as one line of text. */
export default defineFilter({
  name: 'PRINTFLOW',
  summary: 'Writes each connection as one line of text.',
  accepts: ['flow'],
  example: 'stack=ct1:NFCT,ip2str1:IP2STR,print1:PRINTFLOW,emu1:LOGEMU',
  options: {},
  reads: {
    'orig.ip.saddr.str': { type: 'string' },
    'orig.ip.daddr.str': { type: 'string' },
    'orig.ip.protocol': { type: 'u8' },
    'orig.l4.sport': { type: 'u16' },
    'orig.l4.dport': { type: 'u16' },
    'orig.raw.pktlen': { type: 'u64' },
    'orig.raw.pktcount': { type: 'u64' },
    'reply.ip.saddr.str': { type: 'string' },
    'reply.ip.daddr.str': { type: 'string' },
    'reply.ip.protocol': { type: 'u8' },
    'reply.l4.sport': { type: 'u16' },
    'reply.l4.dport': { type: 'u16' },
    'reply.raw.pktlen': { type: 'u64' },
    'reply.raw.pktcount': { type: 'u64' },
    'icmp.code': { type: 'u8' },
    'icmp.type': { type: 'u8' },
    'ct.event': { type: 'u32' },
  },
  writes: {
    print: { type: 'string', doc: 'The connection as a line of text, with its line feed.' },
  },
  link({ read, write, memory, compat }) {
    const event = read['ct.event'];
    const print = write.print;
    const start = memory.reserve(ROOM);
    const direction = (side: 'orig' | 'reply'): Direction => ({
      saddr: read[`${side}.ip.saddr.str`],
      daddr: read[`${side}.ip.daddr.str`],
      protocol: read[`${side}.ip.protocol`],
      sport: read[`${side}.l4.sport`],
      dport: read[`${side}.l4.dport`],
      packets: read[`${side}.raw.pktcount`],
      octets: read[`${side}.raw.pktlen`],
      // ulogd 2.0.8 shows the code where the type belongs, and the type where the code belongs.
      type: read[compat ? 'icmp.code' : 'icmp.type'],
      code: read[compat ? 'icmp.type' : 'icmp.code'],
    });
    const orig = direction('orig');
    const reply = direction('reply');

    return {
      run(record) {
        const { bytes, view } = record;
        let to = start;
        switch (numberOf(record, event)) {
          case EVENT_NEW:
            to = NEW.writeTo(view, to);
            break;
          case EVENT_UPDATE:
            to = UPDATE.writeTo(view, to);
            break;
          case EVENT_DESTROY:
            to = DESTROY.writeTo(view, to);
        }
        to = writeDirection(record, orig, ORIG.writeTo(view, to));
        to = writeDirection(record, reply, REPLY.writeTo(view, to));
        bytes[to++] = 0x0a;
        record.setBytes(print, start, to - start);
        return true;
      },
    };
  },
});

/** Slots of one direction of a connection. */
interface Direction {
  readonly saddr: number;
  readonly daddr: number;
  readonly protocol: number;
  readonly sport: number;
  readonly dport: number;
  readonly packets: number;
  readonly octets: number;
  readonly type: number;
  readonly code: number;
}

function writeDirection(record: Record, direction: Direction, at: number): number {
  const { bytes, view } = record;
  let to = writeAddress(record, direction.saddr, SRC.writeTo(view, at));
  to = writeAddress(record, direction.daddr, DST.writeTo(view, to));
  const protocol = numberOf(record, direction.protocol);
  switch (protocol) {
    case IPPROTO_TCP:
      to = writePair(bytes, view, to, TCP, numberOf(record, direction.sport), DPT, numberOf(record, direction.dport));
      break;
    case IPPROTO_UDP:
      to = writePair(bytes, view, to, UDP, numberOf(record, direction.sport), DPT, numberOf(record, direction.dport));
      break;
    case IPPROTO_ICMP:
      to = writePair(bytes, view, to, ICMP, numberOf(record, direction.type), CODE, numberOf(record, direction.code));
      break;
    case IPPROTO_ESP:
      to = ESP.writeTo(view, to);
      break;
    case IPPROTO_AH:
      to = AH.writeTo(view, to);
      break;
    default:
      to = writeField(bytes, view, to, PROTO, protocol);
  }
  to = writeCounter(record, direction.packets, PKTS.writeTo(view, to));
  to = writeCounter(record, direction.octets, BYTES.writeTo(view, to));
  bytes[to++] = SPACE;
  return to;
}

function writeAddress(record: Record, slot: number, at: number): number {
  const { bytes, view, value, extra, valid } = record;
  const to = valid[slot] === 1 ? writeShort(view, at, view, value[slot]!, extra[slot]!) : at;
  bytes[to] = SPACE;
  return to + 1;
}

/** ulogd shows 0 for what it does not know. */
function writeCounter(record: Record, slot: number, at: number): number {
  if (record.valid[slot] === 0) return writeDecimal(record.view, at, 0);
  return writeWideDecimal(record.bytes, record.view, at, record.extra[slot]!, record.value[slot]!);
}

const numberOf = (record: Record, slot: number): number => (record.valid[slot] === 1 ? record.value[slot]! : 0);
