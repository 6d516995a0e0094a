import { compileLine, type LineProgram } from '../pipeline/line-program.ts';
import { defineFilter } from '../pipeline/plugin.ts';
import { SLACK } from '../wire/ascii.ts';
import { IPPROTO_AH, IPPROTO_ESP, IPPROTO_ICMP, IPPROTO_TCP, IPPROTO_UDP } from '../wire/ip.ts';
import { IP_TEXT_LENGTH } from '../wire/ip-text.ts';

/** ct.event as NFCT writes it. */
const EVENT_NEW = 1;
const EVENT_UPDATE = 2;
const EVENT_DESTROY = 4;

/** Most bytes of a line: four addresses, and under 400 of words and numbers. */
const ROOM = 4 * IP_TEXT_LENGTH + 400 + SLACK;

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
  link({ read, write, record, memory, compat }) {
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
    const flow: Flow = { event: read['ct.event'], orig: direction('orig'), reply: direction('reply') };
    const render = compileLine(`PRINTFLOW ${JSON.stringify(flow)}`, record, memory, (line) => writeFlow(line, flow));
    return {
      run(record) {
        record.setBytes(print, start, render(record.address, start, 0) - start);
        return true;
      },
    };
  },
});

/** Slots of a connection. */
interface Flow {
  readonly event: number;
  readonly orig: Direction;
  readonly reply: Direction;
}

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

function writeFlow(line: LineProgram, { event, orig, reply }: Flow): void {
  const named = (number: number, name: string) => [number, () => line.literal(`[${name}] `)] as const;
  line.match(event, [named(EVENT_NEW, 'NEW'), named(EVENT_UPDATE, 'UPDATE'), named(EVENT_DESTROY, 'DESTROY')]);
  line.literal('ORIG: SRC=');
  writeDirection(line, orig);
  line.literal(', REPLY: SRC=');
  writeDirection(line, reply);
  line.literal('\n');
}

function writeDirection(line: LineProgram, direction: Direction): void {
  const pair = (first: string, firstSlot: number, second: string, secondSlot: number) => () => {
    line.literal(first);
    line.numberOrZero(firstSlot);
    line.literal(second);
    line.numberOrZero(secondSlot);
  };
  const { saddr, daddr, protocol, sport, dport, packets, octets, type, code } = direction;
  line.ifValid(saddr, () => line.bytes(saddr));
  line.literal(' DST=');
  line.ifValid(daddr, () => line.bytes(daddr));
  line.match(
    protocol,
    [
      [IPPROTO_TCP, pair(' PROTO=TCP SPT=', sport, ' DPT=', dport)],
      [IPPROTO_UDP, pair(' PROTO=UDP SPT=', sport, ' DPT=', dport)],
      [IPPROTO_ICMP, pair(' PROTO=ICMP TYPE=', type, ' CODE=', code)],
      [IPPROTO_ESP, () => line.literal(' PROTO=ESP')],
      [IPPROTO_AH, () => line.literal(' PROTO=AH')],
    ],
    () => {
      line.literal(' PROTO=');
      line.numberOrZero(protocol);
    },
  );
  line.literal(' PKTS=');
  writeCounter(line, packets);
  line.literal(' BYTES=');
  writeCounter(line, octets);
  line.literal(' ');
}

/** ulogd shows 0 for what it does not know. */
function writeCounter(line: LineProgram, slot: number): void {
  line.ifValid(
    slot,
    () => line.wide(slot),
    () => line.literal('0'),
  );
}
