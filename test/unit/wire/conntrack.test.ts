import { describe, expect, test } from 'vitest';
import {
  CONNTRACK_DESTROY,
  CONNTRACK_NEW,
  CONNTRACK_UPDATE,
  ConntrackEntry,
  decodeConntrack,
} from '../../../src/wire/conntrack.ts';
import type { Counters } from '../../../src/wire/conntrack-parts.ts';
import {
  dumpAndZeroConntrack,
  dumpConntrack,
  dumpConntrackStats,
  getConntrack,
  getConntrackTotals,
} from '../../../src/wire/conntrack-request.ts';
import { ConntrackStats, decodeConntrackStats } from '../../../src/wire/conntrack-stats.ts';
import type { Tuple } from '../../../src/wire/conntrack-tuple.ts';
import * as ct from '../../../src/wire/ctnetlink.ts';
import { MessageBuilder } from '../../../src/wire/message-builder.ts';
import { wholeSeconds } from '../../../src/wire/nanoseconds.ts';
import { beginRequest, NFPROTO_IPV4 } from '../../../src/wire/nfnetlink.ts';
import { address, hex, messages, recordings, text } from './vectors.ts';

const ALL = 0xffffffff;
const EVENTS = { [CONNTRACK_NEW]: 'NEW', [CONNTRACK_UPDATE]: 'UPDATE', [CONNTRACK_DESTROY]: 'DESTROY' };
// enum tcp_conntrack and enum sctp_conntrack of the kernel, as conntrack(8) shows them.
const TCP = 'NONE SYN_SENT SYN_RECV ESTABLISHED FIN_WAIT CLOSE_WAIT LAST_ACK TIME_WAIT CLOSE SYN_SENT2'.split(' ');
const SCTP = 'NONE CLOSED COOKIE_WAIT COOKIE_ECHOED ESTABLISHED SHUTDOWN_SENT SHUTDOWN_RECD SHUTDOWN_ACK_SENT'.split(
  ' ',
);

type Line = Record<string, unknown>;

const isSet = (mask: number, type: number) => ((mask >>> type) & 1) === 1;

function tupleOf(view: DataView, tuple: Tuple, counters: Counters): Line {
  const line: Line = {
    src: address(view, tuple.sourceOffset, tuple.sourceLength),
    dst: address(view, tuple.destinationOffset, tuple.destinationLength),
  };
  if (isSet(tuple.protoPresent, ct.CTA_PROTO_SRC_PORT)) {
    const gre = tuple.protocol === 47;
    line[gre ? 'srckey' : 'sport'] = tuple.sourcePort;
    line[gre ? 'dstkey' : 'dport'] = tuple.destinationPort;
  }
  if (isSet(tuple.protoPresent, ct.CTA_PROTO_ICMP_ID) || isSet(tuple.protoPresent, ct.CTA_PROTO_ICMPV6_ID)) {
    line.type = tuple.icmpType;
    line.code = tuple.icmpCode;
    line.id = tuple.icmpId;
  }
  if (isSet(counters.present, ct.CTA_COUNTERS_PACKETS))
    line.packets = counters.packetsHigh * 2 ** 32 + counters.packetsLow;
  if (isSet(counters.present, ct.CTA_COUNTERS_BYTES)) line.bytes = counters.bytesHigh * 2 ** 32 + counters.bytesLow;
  return line;
}

/** An entry as conntrack(8) tells it, in the form that scripts/record.js gives its lines. */
function lineOf(view: DataView, entry: ConntrackEntry): Line {
  const has = (type: number) => isSet(entry.present, type);
  const line: Line = {
    event: EVENTS[entry.event as 1 | 2 | 4],
    family: entry.family,
    protocol: entry.orig.protocol,
    orig: tupleOf(view, entry.orig, entry.origCounters),
    reply: tupleOf(view, entry.reply, entry.replyCounters),
    unreplied: (entry.status & ct.IPS_SEEN_REPLY) === 0,
    assured: (entry.status & ct.IPS_ASSURED) !== 0,
  };
  if (has(ct.CTA_TIMEOUT)) line.timeout = entry.timeout;
  if (entry.protoInfo.present === 1 << ct.CTA_PROTOINFO_TCP) line.state = TCP[entry.protoInfo.state];
  if (entry.protoInfo.present === 1 << ct.CTA_PROTOINFO_SCTP) line.state = SCTP[entry.protoInfo.state];
  if (has(ct.CTA_MARK)) line.mark = entry.mark;
  if (has(ct.CTA_ZONE)) line.zone = entry.zone;
  if (isSet(entry.orig.present, ct.CTA_TUPLE_ZONE)) line['zone-orig'] = entry.orig.zone;
  if (has(ct.CTA_HELP)) line.helper = text(view, entry.helperOffset, entry.helperLength);
  if (has(ct.CTA_ID)) line.id = entry.id;
  if (has(ct.CTA_USE)) line.use = entry.use;
  const { present, startHigh, startLow, stopHigh, stopLow } = entry.timestamps;
  if (isSet(present, ct.CTA_TIMESTAMP_START)) line.start = wholeSeconds(startHigh, startLow);
  if (isSet(present, ct.CTA_TIMESTAMP_STOP)) line.stop = wholeSeconds(stopHigh, stopLow);
  if (entry.port !== 0 && entry.event === CONNTRACK_DESTROY) line.portid = entry.port;
  return line;
}

const events = recordings<Line>('conntrack');
const entry = new ConntrackEntry();

function decodeFirst(name: string, wanted = ALL) {
  const recording = events.find((event) => event.name.startsWith(name))!;
  const [start, end] = messages(recording.view)[0]!;
  expect(decodeConntrack(recording.view, start, end, entry, wanted)).toBe(true);
  return recording.view;
}

/** A message with attributes that this kernel cannot be brought to send. */
function made(build: (builder: MessageBuilder) => MessageBuilder, wanted = ALL): boolean {
  const bytes = build(beginRequest(new MessageBuilder(), ct.IPCTNL_MSG_CT_NEW, 0, 0, NFPROTO_IPV4)).finish();
  return decodeConntrack(new DataView(bytes.buffer), 0, bytes.length, entry, wanted);
}

describe('what the kernel sends is what conntrack(8) says', () => {
  test.each(events)('$name', ({ view, expected }) => {
    const [start, end] = messages(view)[0]!;
    expect(decodeConntrack(view, start, end, entry, ALL)).toBe(true);
    expect(lineOf(view, entry)).toEqual(expected);
  });
});

describe('what conntrack(8) does not show', () => {
  test('a label is a bit of the bitmap', () => {
    const view = decodeFirst('udp with a label: new');
    expect(hex(view, entry.labelsOffset, entry.labelsLength)).toBe('20000000000000000000000000000000');
  });

  test('an expected connection names its master', () => {
    const view = events.find((event) => (event.expected.orig as Line).dport === 40000)!.view;
    expect(decodeConntrack(view, 0, view.byteLength, entry, ALL)).toBe(true);
    expect(entry.status & ct.IPS_EXPECTED).toBe(ct.IPS_EXPECTED);
    expect(tupleOf(view, entry.master, entry.origSeqAdj as unknown as Counters)).toMatchObject({
      dst: '10.2.0.2',
      dport: 21,
    });
  });

  test('address translation shows in the status', () => {
    decodeFirst('tcp from a translated source: new');
    expect(entry.status & (ct.IPS_SRC_NAT | ct.IPS_DST_NAT)).toBe(ct.IPS_SRC_NAT);
    decodeFirst('tcp to a translated destination: new');
    expect(entry.status & (ct.IPS_SRC_NAT | ct.IPS_DST_NAT)).toBe(ct.IPS_DST_NAT);
  });

  test('TCP connections have window scales and flags', () => {
    decodeFirst('tcp: update 2');
    expect(entry.protoInfo.fields).toBe(0b111110);
    expect(entry.protoInfo.tcpWindowScaleOrig).toBeGreaterThan(0);
    expect(entry.protoInfo.tcpFlagsOrig & 3).toBe(3); // window scale and SACK agreed on
  });

  test('SCTP connections have verification tags', () => {
    decodeFirst('sctp: new');
    expect(entry.protoInfo.fields).toBe(0b1110);
    // The reply must carry the tag of the INIT chunk that record.js sent (RFC 9260, 8.5.1).
    expect([entry.protoInfo.sctpVtagOrig, entry.protoInfo.sctpVtagReply]).toEqual([0, 0xaabbccdd]);
  });

  test('SYNPROXY shifts the sequence numbers of the answers', () => {
    const view = events.find((event) => event.name.startsWith('tcp through SYNPROXY: update'))!.view;
    expect(decodeConntrack(view, 0, view.byteLength, entry, ALL)).toBe(true);
    expect(isSet(entry.present, ct.CTA_SYNPROXY)).toBe(true);
    expect(entry.synproxy.present).toBe(0b1110);
  });

  test('events carry their own time, between start and stop', () => {
    decodeFirst('tcp: destroy');
    const seconds = wholeSeconds(entry.eventTimeHigh, entry.eventTimeLow);
    expect(seconds).toBeGreaterThanOrEqual(wholeSeconds(entry.timestamps.startHigh, entry.timestamps.startLow));
    expect(seconds).toBeLessThanOrEqual(wholeSeconds(entry.timestamps.stopHigh, entry.timestamps.stopLow) + 1);
  });

  test('an entry that expires has no port, one that a program deletes has the program’s', () => {
    decodeFirst('udp: expired by itself');
    expect(entry.port).toBe(0);
    decodeFirst('tcp: destroy');
    expect(entry.port).not.toBe(0);
  });
});

describe('attributes that this kernel does not send', () => {
  test('32-bit counters are counters', () => {
    const ok = made((m) =>
      m
        .nest(ct.CTA_COUNTERS_REPLY)
        .be32(ct.CTA_COUNTERS32_PACKETS, 7)
        .be32(ct.CTA_COUNTERS32_BYTES, 2 ** 32 - 1)
        .end(),
    );
    expect(ok).toBe(true);
    expect(entry.origCounters.present).toBe(0);
    expect(entry.replyCounters).toEqual({
      present: 0b11110,
      packetsHigh: 0,
      packetsLow: 7,
      bytesHigh: 0,
      bytesLow: 2 ** 32 - 1,
    });
  });

  test('DCCP has state, role and handshake', () => {
    const sequence = Uint8Array.of(0, 0, 0, 1, 0, 0, 0, 2);
    const ok = made((m) =>
      m
        .nest(ct.CTA_PROTOINFO)
        .nest(ct.CTA_PROTOINFO_DCCP)
        .u8(ct.CTA_PROTOINFO_DCCP_STATE, 3)
        .u8(ct.CTA_PROTOINFO_DCCP_ROLE, 1)
        .bytes(ct.CTA_PROTOINFO_DCCP_HANDSHAKE_SEQ, sequence)
        .end()
        .end(),
    );
    expect(ok).toBe(true);
    expect(entry.protoInfo).toMatchObject({
      present: 1 << ct.CTA_PROTOINFO_DCCP,
      state: 3,
      dccpRole: 1,
      dccpHandshakeHigh: 1,
      dccpHandshakeLow: 2,
    });
  });

  test('offsets of sequence numbers are signed', () => {
    const ok = made((m) =>
      m
        .nest(ct.CTA_SEQ_ADJ_REPLY)
        .be32(ct.CTA_SEQADJ_CORRECTION_POS, 2 ** 32 - 1)
        .be32(ct.CTA_SEQADJ_OFFSET_BEFORE, -3)
        .be32(ct.CTA_SEQADJ_OFFSET_AFTER, 4)
        .end(),
    );
    expect(ok).toBe(true);
    expect(entry.replySeqAdj).toEqual({
      present: 0b1110,
      correctionPosition: 2 ** 32 - 1,
      offsetBefore: -3,
      offsetAfter: 4,
    });
  });

  test('security contexts and secmarks', () => {
    expect(
      made((m) => m.nest(ct.CTA_SECCTX).string(ct.CTA_SECCTX_NAME, 'system_u').end().be32(ct.CTA_SECMARK, 5)),
    ).toBe(true);
    expect([entry.securityContextLength, entry.secmark]).toEqual([8, 5]);
  });

  test('attributes of requests are marked as there', () => {
    expect(
      made((m) =>
        m.nest(ct.CTA_NAT_SRC).end().nest(ct.CTA_NAT_DST).end().be32(ct.CTA_MARK_MASK, 15).be32(ct.CTA_STATUS_MASK, 1),
      ),
    ).toBe(true);
    expect(entry.present).toBe(
      (1 << ct.CTA_NAT_SRC) | (1 << ct.CTA_NAT_DST) | (1 << ct.CTA_MARK_MASK) | (1 << ct.CTA_STATUS_MASK),
    );
    expect([entry.markMask, entry.statusMask]).toEqual([15, 1]);
  });

  test('numbers above all that is known are skipped, whatever they hold', () => {
    expect(
      made((m) => m.bytes(28, new Uint8Array(3)).bytes(40, new Uint8Array(0)).be32(0x3fff, 1).be32(ct.CTA_MARK, 6)),
    ).toBe(true);
    expect([entry.present, entry.mark]).toEqual([(1 << 28) | (1 << ct.CTA_MARK), 6]);
  });

  test('the padding before an event’s time is no status', () => {
    expect(
      made((m) =>
        m
          .be32(ct.CTA_STATUS, 8)
          .bytes(ct.CTA_STATUS, new Uint8Array(0))
          .bytes(ct.CTA_TIMESTAMP_EVENT, new Uint8Array(8)),
      ),
    ).toBe(true);
    expect([isSet(entry.present, ct.CTA_STATUS), entry.status]).toEqual([true, 8]);
  });
});

describe('what is malformed or unwanted', () => {
  test.each<[string, (m: MessageBuilder) => MessageBuilder]>([
    ['a mark of two bytes', (m) => m.be16(ct.CTA_MARK, 1)],
    ['a zone of four bytes', (m) => m.be32(ct.CTA_ZONE, 1)],
    ['a status of one byte', (m) => m.u8(ct.CTA_STATUS, 1)],
    ['an IPv4 address of 16 bytes', (m) => m.nest(1).nest(1).bytes(ct.CTA_IP_V4_SRC, new Uint8Array(16)).end().end()],
    ['a port of one byte', (m) => m.nest(1).nest(2).u8(ct.CTA_PROTO_SRC_PORT, 1).end().end()],
    ['a counter of four bytes', (m) => m.nest(9).be32(ct.CTA_COUNTERS_PACKETS, 1).end()],
    ['a TCP state of four bytes', (m) => m.nest(4).nest(1).be32(ct.CTA_PROTOINFO_TCP_STATE, 1).end().end()],
    ['half an attribute in a nest', (m) => m.bytes(ct.CTA_TIMESTAMP, Uint8Array.of(12, 0, 1, 0))],
  ])('%s', (_, build) => expect(made(build)).toBe(false));

  test('an attribute that nobody wants is not looked into', () => {
    const wanted = 1 << ct.CTA_ID;
    expect(made((m) => m.be16(ct.CTA_MARK, 1).be32(ct.CTA_ID, 9), wanted)).toBe(true);
    expect([entry.present, entry.id]).toEqual([wanted, 9]);
    decodeFirst('tcp: destroy', wanted);
    expect([entry.present, entry.orig.present, entry.timestamps.present]).toEqual([wanted, 0, 0]);
  });

  test('a message that is not about an entry', () => {
    const { view } = recordings('conntrack-stats')[0]!;
    expect(decodeConntrack(view, 0, messages(view)[0]![1], entry, ALL)).toBe(false);
  });
});

describe('requests, as they were accepted by Linux 6.18', () => {
  const hexOf = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
  test.each([
    ['all entries', dumpConntrack(77), '14000000010101034d0000000000000000000000'],
    ['all IPv6 entries', dumpConntrack(77, 10), '14000000010101034d000000000000000a000000'],
    ['all entries, counters to zero', dumpAndZeroConntrack(77), '14000000030101034d0000000000000000000000'],
    ['totals', getConntrackTotals(77), '14000000050105004d0000000000000000000000'],
    ['counters of processors', dumpConntrackStats(77), '14000000040101034d0000000000000000000000'],
  ])('%s', (_, bytes, expected) => expect(hexOf(bytes)).toBe(expected));

  test('one entry, by the tuple of an event, in its zone', () => {
    const view = decodeFirst('udp in zone 9: new');
    const tuple = new Uint8Array(view.buffer, entry.orig.offset, entry.orig.length);
    const bytes = getConntrack(77, NFPROTO_IPV4, tuple, { zone: 9 });
    const zone = '0600120000090000';
    expect(hexOf(bytes)).toBe(`50000000010105004d0000000000000002000000${'34000180'}${hexOf(tuple)}${zone}`);
    expect(hexOf(getConntrack(77, NFPROTO_IPV4, tuple, { reply: true })).slice(40, 48)).toBe('34000280');
  });
});

describe('statistics', () => {
  const [processors, totals] = recordings<Line & Line[]>('conntrack-stats');
  const stats = new ConntrackStats();

  test('counters of each processor are what conntrack -S says', () => {
    const shown = messages(processors!.view).map(([start, end]) => {
      expect(decodeConntrackStats(processors!.view, start, end, stats)).toBe(true);
      const { cpu, values } = stats;
      return {
        cpu,
        invalid: values[ct.CTA_STATS_INVALID],
        insert_failed: values[ct.CTA_STATS_INSERT_FAILED],
        drop: values[ct.CTA_STATS_DROP],
      };
    });
    expect(shown).toEqual(
      processors!.expected.map(({ cpu, invalid, insert_failed, drop }) => ({ cpu, invalid, insert_failed, drop })),
    );
    expect(shown.some(({ invalid }) => invalid! > 0)).toBe(true);
  });

  test('totals are what /proc says', () => {
    expect(decodeConntrackStats(totals!.view, 0, messages(totals!.view)[0]![1], stats)).toBe(true);
    expect(stats.present).toBe(0b110);
    const [entries, most] = [stats.values[ct.CTA_STATS_GLOBAL_ENTRIES], stats.values[ct.CTA_STATS_GLOBAL_MAX_ENTRIES]];
    expect({ entries, most }).toEqual(totals!.expected);
  });
});
