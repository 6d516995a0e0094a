import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FlowFilter, parseNetwork } from '../../../src/input/conntrack/flow-filter.ts';
import { parseProtocol } from '../../../src/system/ip-protocol.ts';
import { address } from '../../support/packets.ts';
import { bytes, entryOf } from './conntrack-entry.ts';

const passes = (filter: FlowFilter, source: string, destination: string, protocol = 6) =>
  filter.passes(bytes, entryOf({ source, destination, protocol, ports: [1, 2], id: 1 }));

/** The same question asked with whole numbers. */
function isWithin(network: string, host: string): boolean {
  const [base = '', length] = network.split('/');
  const [a, b] = [address(base), address(host)];
  if (a.length !== b.length) return false;
  const shift = BigInt(a.length * 8 - Number(length ?? a.length * 8));
  return BigInt(`0x${a.toString('hex')}`) >> shift === BigInt(`0x${b.toString('hex')}`) >> shift;
}

const v4 = fc.ipV4();
const v6 = fc
  .array(fc.constantFrom('0', '1', 'ffff', 'fd00', '8000'), { minLength: 8, maxLength: 8 })
  .map((g) => g.join(':'));
const network = fc.oneof(
  fc.tuple(v4, fc.option(fc.nat({ max: 32 }), { nil: undefined })),
  fc.tuple(v6, fc.option(fc.nat({ max: 128 }), { nil: undefined })),
);
const networkText = network.map(([host, prefix]) => (prefix === undefined ? host : `${host}/${prefix}`));
/** A host near a network: its first bits, with some behind them changed. */
const pair = networkText.chain((text) =>
  fc.tuple(
    fc.constant(text),
    fc.oneof(fc.constant(text.split('/')[0] as string), text.includes(':') ? v6 : v4, v6, v4),
  ),
);

describe('networks', () => {
  test('a host passes when its first bits are those of the network', () => {
    fc.assert(
      fc.property(pair, ([text, host]) => {
        const other = host.includes(':') ? 'fd00::1' : '192.0.2.1';
        const expected = isWithin(text, host);
        expect(passes(new FlowFilter([text], [], []), host, other)).toBe(expected);
        expect(passes(new FlowFilter([], [text], []), other, host)).toBe(expected);
      }),
      { numRuns: 2000 },
    );
  });

  test('a single bit beyond the prefix does not matter, within it does', () => {
    const base = '10.128.0.0';
    for (let prefix = 0; prefix <= 32; prefix++) {
      const filter = new FlowFilter([`${base}/${prefix}`], [], []);
      for (let bit = 0; bit < 32; bit++) {
        const number = (0x0a800000 ^ (0x80000000 >>> bit)) >>> 0;
        const host = [24, 16, 8, 0].map((shift) => (number >>> shift) & 255).join('.');
        expect(passes(filter, host, '192.0.2.1'), `${host} in ${base}/${prefix}`).toBe(bit >= prefix);
      }
    }
  });

  test('one of several is enough, of either family', () => {
    const filter = new FlowFilter(['10.0.0.0/8', 'fd00::/16', '192.0.2.7'], [], []);
    expect(passes(filter, '10.9.9.9', '1.1.1.1')).toBe(true);
    expect(passes(filter, 'fd00:1::1', '::1')).toBe(true);
    expect(passes(filter, '192.0.2.7', '1.1.1.1')).toBe(true);
    expect(passes(filter, '192.0.2.8', '1.1.1.1')).toBe(false);
    expect(passes(filter, 'fd01::1', '::1')).toBe(false);
  });

  test('source and destination must both fit', () => {
    const filter = new FlowFilter(['10.0.0.0/8'], ['192.0.2.0/24'], []);
    expect(passes(filter, '10.0.0.1', '192.0.2.1')).toBe(true);
    expect(passes(filter, '10.0.0.1', '192.0.3.1')).toBe(false);
    expect(passes(filter, '192.0.2.1', '10.0.0.1')).toBe(false);
  });

  test('/0 lets its family pass, no other', () => {
    expect(passes(new FlowFilter(['0.0.0.0/0'], [], []), '255.255.255.255', '1.1.1.1')).toBe(true);
    expect(passes(new FlowFilter(['0.0.0.0/0'], [], []), '::1', '::2')).toBe(false);
    expect(passes(new FlowFilter(['::/0'], [], []), '::1', '::2')).toBe(true); // ulogd 2.0.8 lets none of them pass
  });

  test('every way to write an IPv6 address is understood', () => {
    for (const text of ['::', '::1', '2001:db8::', '2001:DB8:0:0:1::1', '1:2:3:4:5:6:7:8', '::ffff:192.0.2.1']) {
      expect(Buffer.from(parseNetwork(text).address).toString('hex'), text).toBe(
        text.includes('.') ? '00000000000000000000ffffc0000201' : address(text).toString('hex'),
      );
      expect(parseNetwork(text).prefix).toBe(128);
    }
  });

  test.each([
    '',
    '10.0.0.0/',
    '10.0.0.0/33',
    '10.0.0.0/-1',
    '10.0.0.0/8/8',
    '10.0.0/8',
    '010.0.0.0/8',
    '::/129',
    '::1%eth0',
    'example.org/8',
    '10.0.0.0/0x8',
    '10.0.0.0/255.0.0.0',
  ])('"%s" is none', (text) => {
    expect(() => parseNetwork(text)).toThrow(`"${text}" is no network; write 192.0.2.0/24 or 2001:db8::/64`);
  });
});

describe('protocols', () => {
  test('only those named pass; none named, all do', () => {
    const filter = new FlowFilter([], [], ['tcp', '17', 'GRE']);
    const passed = Array.from({ length: 256 }, (_, n) => n).filter((n) => passes(filter, '10.0.0.1', '10.0.0.2', n));
    expect(passed).toEqual([6, 17, 47]);
    for (const n of [0, 6, 255]) expect(passes(new FlowFilter([], [], []), '10.0.0.1', '10.0.0.2', n)).toBe(true);
  });

  test.each([
    ['tcp', 6],
    ['UDP', 17],
    ['icmp', 1],
    ['icmpv6', 58],
    ['ipv6-icmp', 58],
    ['sctp', 132],
    ['0', 0],
    ['255', 255],
  ])('%s is %d', (name, number) => expect(parseProtocol(name)).toBe(number));

  test.each(['', '256', '-1', 'tpc', '6.0', '0x6', 'constructor', 'toString', '__proto__'])('"%s" is none', (name) => {
    expect(() => parseProtocol(name)).toThrow(`"${name}" is no IP protocol; write tcp, udp, icmp, … or a number`);
  });

  test('a filter says which word is wrong', () => {
    expect(() => new FlowFilter(['10.0.0.0/8', 'x'], [], [])).toThrow('"x" is no network');
    expect(() => new FlowFilter([], ['y'], [])).toThrow('"y" is no network');
    expect(() => new FlowFilter([], [], ['tcp', 'z'])).toThrow('"z" is no IP protocol');
  });
});

test('a connection without addresses passes no network, and nothing is read', () => {
  const entry = entryOf({ source: '10.0.0.1', destination: '10.0.0.2', protocol: 6, id: 1 });
  entry.orig.sourceLength = 0;
  expect(new FlowFilter(['0.0.0.0/0'], [], []).passes(bytes, entry)).toBe(false);
});
