import { describe, expect, test } from 'vitest';
import printflow from '../../../src/filter/printflow.ts';
import { TestStage, type ValuesByKey } from '../../support/stage.ts';

const right = new TestStage(printflow);
const compat = new TestStage(printflow, { compat: true });

// biome-ignore format: a table
const tcp: ValuesByKey = {
  'orig.ip.saddr.str': '10.0.0.1', 'orig.ip.daddr.str': '192.0.2.7', 'orig.ip.protocol': 6, 'orig.l4.sport': 1234, 'orig.l4.dport': 80,
  'orig.raw.pktlen': 0n, 'orig.raw.pktcount': 0n,
  'reply.ip.saddr.str': '192.0.2.7', 'reply.ip.daddr.str': '10.0.0.1', 'reply.ip.protocol': 6, 'reply.l4.sport': 80, 'reply.l4.dport': 1234,
  'reply.raw.pktlen': 0n, 'reply.raw.pktcount': 0n, 'ct.event': 1,
};
const flow = (protocol: number, more: ValuesByKey = {}): ValuesByKey => ({
  ...tcp,
  'orig.ip.protocol': protocol,
  'reply.ip.protocol': protocol,
  ...more,
});
const line = (event: string, orig: string, reply: string) =>
  `${event}ORIG: SRC=10.0.0.1 DST=192.0.2.7 ${orig}PKTS=0 BYTES=0 , REPLY: SRC=192.0.2.7 DST=10.0.0.1 ${reply}PKTS=0 BYTES=0 \n`;

describe.each([
  ['as it is', right],
  ['as ulogd 2.0.8', compat],
])('a connection as a line, %s', (_, stage) => {
  // What ulogd 2.0.8 printed for `conntrack -I`, `-D` of the same connections.
  test.each([
    ['TCP', tcp, 'PROTO=TCP SPT=1234 DPT=80 ', 'PROTO=TCP SPT=80 DPT=1234 '],
    ['UDP', flow(17), 'PROTO=UDP SPT=1234 DPT=80 ', 'PROTO=UDP SPT=80 DPT=1234 '],
    ['ESP', flow(50), 'PROTO=ESP ', 'PROTO=ESP '],
    ['AH', flow(51), 'PROTO=AH ', 'PROTO=AH '],
    ['SCTP', flow(132), 'PROTO=132 ', 'PROTO=132 '],
    ['GRE', flow(47), 'PROTO=47 ', 'PROTO=47 '],
    ['ICMPv6', flow(58), 'PROTO=58 ', 'PROTO=58 '],
  ])('%s', (_, event, orig, reply) => {
    expect(stage.run(event)?.print).toBe(line('[NEW] ', orig, reply));
  });

  test('events have a name, if there is one', () => {
    const ports = ['PROTO=TCP SPT=1234 DPT=80 ', 'PROTO=TCP SPT=80 DPT=1234 '] as const;
    expect(stage.run({ ...tcp, 'ct.event': 2 })?.print).toBe(line('[UPDATE] ', ...ports));
    expect(stage.run({ ...tcp, 'ct.event': 4 })?.print).toBe(line('[DESTROY] ', ...ports));
    expect(stage.run({ ...tcp, 'ct.event': 0 })?.print).toBe(line('', ...ports));
    expect(stage.run({ ...tcp, 'ct.event': undefined })?.print).toBe(line('', ...ports));
  });

  test('counters have 64 bits', () => {
    const most = 2n ** 64n - 1n;
    const counters = {
      'orig.raw.pktcount': 123456n,
      'orig.raw.pktlen': 2n ** 40n,
      'reply.raw.pktcount': 1n,
      'reply.raw.pktlen': most,
    };
    expect(stage.run({ ...tcp, ...counters })?.print).toMatch(
      / PKTS=123456 BYTES=1099511627776 , REPLY: .* PKTS=1 BYTES=18446744073709551615 \n$/,
    );
  });

  test('the longest addresses and numbers fit', () => {
    const address = 'ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255';
    const most = 2n ** 64n - 1n;
    const event = Object.fromEntries(
      Object.keys(tcp).map((key) => [
        key,
        key.endsWith('str')
          ? address
          : key.includes('raw')
            ? most
            : key === 'ct.event'
              ? 4
              : key.endsWith('l')
                ? 6
                : 65535,
      ]),
    );
    const side = `SRC=${address} DST=${address} PROTO=TCP SPT=65535 DPT=65535 PKTS=${most} BYTES=${most} `;
    expect(stage.run(event)?.print).toBe(`[DESTROY] ORIG: ${side}, REPLY: ${side}\n`);
  });

  test('what is not known is 0', () => {
    expect(stage.run({})?.print).toBe(
      'ORIG: SRC= DST= PROTO=0 PKTS=0 BYTES=0 , REPLY: SRC= DST= PROTO=0 PKTS=0 BYTES=0 \n',
    );
  });
});

test('ICMP shows its type as type and its code as code; ulogd 2.0.8 has them the other way round', () => {
  const unreachable = flow(1, { 'icmp.type': 8, 'icmp.code': 0 });
  expect(right.run(unreachable)?.print).toBe(line('[NEW] ', 'PROTO=ICMP TYPE=8 CODE=0 ', 'PROTO=ICMP TYPE=8 CODE=0 '));
  expect(compat.run(unreachable)?.print).toBe(line('[NEW] ', 'PROTO=ICMP TYPE=0 CODE=8 ', 'PROTO=ICMP TYPE=0 CODE=8 '));
});
