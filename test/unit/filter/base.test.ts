import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import base from '../../../src/filter/base.ts';
import { TestStage, type ValuesByKey } from '../../support/stage.ts';

const right = new TestStage(base);
const compat = new TestStage(base, { compat: true });

const IP = '45000028000140004006beef0a000001c0000207';
const TCP = '3039005000000001000000025012faf012340007';
const IP6 = '6000000000002c3f20010db800000000000000000000000120010db8000000000000000000000002';

/** Hop-by-hop, destination options, routing, fragment and authentication headers, then an ICMPv6 echo. */
const CHAIN = `${IP6.replace('2c3f', '003f')}3c000104000000002b000104000000002c00000000000000330000010000000a3a0200000000010000000001000000008000abcd01020304`;

const ip4 = (packet: string): ValuesByKey => ({ 'oob.family': 2, 'oob.protocol': 0x0800, 'raw.pkt': packet });
const ip6 = (packet: string): ValuesByKey => ({ 'oob.family': 10, 'oob.protocol': 0x86dd, 'raw.pkt': packet });
const carrying = (protocol: string, payload: string) => ip4(IP.replace('4006beef', `40${protocol}beef`) + payload);
const carrying6 = (next: string, payload: string) => ip6(IP6.replace('2c3f', `${next}3f`) + payload);

describe('the fields of a packet', () => {
  test('TCP over IPv4, as ulogd 2.0.8 read it, in its order', () => {
    // biome-ignore format: a table
    const fields = {
      'ip.saddr': '10.0.0.1', 'ip.daddr': '192.0.2.7', 'ip.protocol': 6, 'ip.tos': 0, 'ip.ttl': 64, 'ip.totlen': 40, 'ip.ihl': 5,
      'ip.csum': 48879, 'ip.id': 1, 'ip.fragoff': 16384, 'tcp.sport': 12345, 'tcp.dport': 80, 'tcp.seq': 1, 'tcp.ackseq': 2,
      'tcp.window': 64240, 'tcp.offset': 0, 'tcp.reserved': 0, 'tcp.urg': 0, 'tcp.ack': 1, 'tcp.psh': 0, 'tcp.rst': 0, 'tcp.syn': 1,
      'tcp.fin': 0, 'tcp.res1': 0, 'tcp.res2': 0, 'tcp.csum': 4660, 'oob.protocol': 0x0800,
    };
    expect(Object.entries(compat.run(ip4(IP + TCP)) ?? {})).toEqual(Object.entries(fields));
    expect(right.run(ip4(IP + TCP))).toEqual({ ...fields, 'tcp.offset': 5 });
  });

  test('IPv6 with a fragment header, as ulogd 2.0.8 read it', () => {
    // biome-ignore format: a table
    const fields = {
      'ip.saddr': '2001:db8::1', 'ip.daddr': '2001:db8::2', 'ip.protocol': 17, 'ip6.payloadlen': 16, 'ip6.priority': 184,
      'ip6.flowlabel': 74565, 'ip6.hoplimit': 63, 'ip6.nexthdr': 17, 'ip6.fragoff': 0, 'ip6.fragid': 43981, 'udp.sport': 53,
      'udp.dport': 54321, 'udp.len': 16, 'udp.csum': 43981, 'oob.protocol': 0x86dd,
    };
    const event = ip6(`${IP6.replace('600000000000', '6b8123450010')}110000010000abcd0035d4310010abcd`);
    expect(compat.run(event)).toEqual(fields);
    expect(right.run(event)).toEqual(fields);
  });

  test.each([
    [
      '5fff',
      { 'tcp.urg': 1, 'tcp.urgp': 7, 'tcp.ack': 1, 'tcp.psh': 1, 'tcp.rst': 1, 'tcp.syn': 1, 'tcp.fin': 1 },
      [15, 3],
      [1, 1, 5, 15],
    ],
    ['5102', { 'tcp.urg': 0, 'tcp.syn': 1, 'tcp.ack': 0 }, [1, 0], [1, 0, 5, 1]],
    ['8242', { 'tcp.syn': 1 }, [2, 1], [1, 1, 8, 2]],
    ['5882', { 'tcp.syn': 1 }, [8, 2], [1, 1, 5, 8]],
    ['5020', { 'tcp.urg': 1, 'tcp.urgp': 7, 'tcp.syn': 0 }, [0, 0], [0, 0, 5, 0]],
  ])('TCP control bits %s', (control, fields, [res1, res2], [bool1, bool2, offset, reserved]) => {
    const event = ip4(IP + TCP.replace('5012', control));
    // The bits themselves in booleans, nothing in the other two: as ulogd 2.0.8.
    const then = { 'tcp.res1': res1, 'tcp.res2': res2, 'tcp.offset': 0, 'tcp.reserved': 0 };
    const now = { 'tcp.res1': bool1, 'tcp.res2': bool2, 'tcp.offset': offset, 'tcp.reserved': reserved };
    expect(compat.run(event)).toMatchObject({ ...fields, ...then });
    expect(right.run(event)).toMatchObject({ ...fields, ...now });
    expect('tcp.urgp' in (right.run(event) ?? {})).toBe('tcp.urgp' in fields);
  });

  test('checksums of ICMP are in network order', () => {
    expect(right.run(carrying('01', '0800abcd01020304'))).toMatchObject({
      'icmp.csum': 0xabcd,
      'icmp.echoid': 258,
      'icmp.echoseq': 772,
    });
    expect(compat.run(carrying('01', '0800abcd01020304'))).toMatchObject({
      'icmp.csum': 52651,
      'icmp.echoid': 258,
      'icmp.echoseq': 772,
    });
    expect(right.run(carrying6('3a', '8000abcd01020304'))).toMatchObject({
      'icmpv6.csum': 0xabcd,
      'icmpv6.echoid': 258,
    });
    expect(compat.run(carrying6('3a', '8000abcd01020304'))).toMatchObject({
      'icmpv6.csum': 52651,
      'icmpv6.echoid': 258,
    });
  });

  test('the gateway of a redirect reads the right way round', () => {
    expect(right.run(carrying('01', '0501abcdc0a80001'))).toMatchObject({ 'icmp.gateway': '192.168.0.1' });
    expect(compat.run(carrying('01', '0501abcdc0a80001'))).toMatchObject({ 'icmp.gateway': '1.0.168.192' });
  });

  test('the MTU is that of "fragmentation needed", and of nothing else', () => {
    expect(right.run(carrying('01', '0304abcd000005dc'))).toMatchObject({ 'icmp.fragmtu': 1500 });
    expect(right.run(carrying('01', '0303abcd000005dc'))).not.toHaveProperty('icmp.fragmtu');
  });

  test('a chain of every extension header is walked to its end', () => {
    const fields = { 'ip6.nexthdr': 58, 'ip6.fragoff': 0, 'ip6.fragid': 10, 'icmpv6.type': 128, 'icmpv6.echoseq': 772 };
    expect(right.run(ip6(CHAIN))).toMatchObject({ ...fields, 'ahesp.spi': 0x100 });
    expect(compat.run(ip6(CHAIN))).toMatchObject(fields);
  });

  test('AH and ESP show their SPI, which ulogd 2.0.8 never did', () => {
    for (const event of [
      carrying('32', '0000010000000001'),
      carrying('33', '060400000000010000000001'),
      carrying6('32', '0000010000000001'),
    ]) {
      expect(right.run(event)).toMatchObject({ 'ahesp.spi': 0x100 });
      expect(compat.run(event)).not.toHaveProperty('ahesp.spi');
    }
    const authenticated = right.run(carrying6('33', '1101000000000100000000010035d4310010abcd'));
    expect(authenticated).toMatchObject({ 'ahesp.spi': 0x100, 'ip6.nexthdr': 17, 'udp.sport': 53 });
  });

  test('SCTP over IPv6 is decoded too', () => {
    const fields = { 'sctp.sport': 4369, 'sctp.dport': 8738, 'sctp.csum': 0xdeadbeef };
    expect(right.run(carrying6('84', '1111222233333333deadbeef'))).toMatchObject(fields);
    expect(compat.run(carrying6('84', '1111222233333333deadbeef'))).not.toHaveProperty('sctp.sport');
    expect(compat.run(carrying('84', '1111222233333333deadbeef'))).toMatchObject(fields);
  });

  test('a later fragment has no transport header', () => {
    const later = ip4(`${IP.replace('4000', '20b9').replace('4006', '4011')}0035d4310010abcd`);
    expect(right.run(later)).not.toHaveProperty('udp.sport');
    expect(compat.run(later)).toHaveProperty('udp.sport', 53);
    const later6 = right.run(carrying6('2c', '110000b90000abcd0035d4310010abcd'));
    expect(later6).toMatchObject({ 'ip.protocol': 17, 'ip6.nexthdr': 17, 'ip6.fragoff': 184 });
    expect(later6).not.toHaveProperty('udp.sport');
  });
});

describe('families', () => {
  const arp = '000108000604000202000000000a0a0900010200000000bb0a090002';
  // biome-ignore format: a table
  const fields = {
    'arp.hwtype': 1, 'arp.protocoltype': 0x0800, 'arp.operation': 2, 'arp.shwaddr': '02000000000a', 'arp.saddr': '10.9.0.1',
    'arp.dhwaddr': '0200000000bb', 'arp.daddr': '10.9.0.2', 'oob.protocol': 0x0806,
  };
  const frame = (family: number, protocol: number, packet: string): ValuesByKey => ({
    'oob.family': family,
    'oob.protocol': protocol,
    'raw.pkt': packet,
  });

  test('a bridge is read by ethertype', () => {
    expect(right.run(frame(7, 0x0806, arp))).toEqual(fields);
    expect(compat.run(frame(7, 0x0806, arp))).toEqual(fields);
    expect(right.run(frame(7, 0x0800, IP + TCP))).toHaveProperty('tcp.sport', 12345);
    expect(right.run(frame(7, 0x86dd, IP6))).toHaveProperty('ip6.hoplimit', 63);
    expect(right.run(frame(7, 0x88cc, '0207040200000000'))).toEqual({ 'oob.protocol': 0x88cc });
  });

  test('ARP and netdev rules are read, which ulogd 2.0.8 did not', () => {
    expect(right.run(frame(3, 0x0806, arp))).toEqual(fields);
    expect(right.run(frame(5, 0x0800, IP + TCP))).toHaveProperty('tcp.sport', 12345);
    expect(compat.run(frame(3, 0x0806, arp))).toEqual({ 'oob.protocol': 0x0806 });
    expect(compat.run(frame(5, 0x0800, IP + TCP))).toEqual({ 'oob.protocol': 0x0800 });
  });

  test('a frame on netdev egress has its Ethernet header, a packet of a tunnel device has none', () => {
    const ethernet = '01005e0000160200000000bb0800';
    expect(right.run({ ...frame(5, 0x0800, ethernet + IP + TCP), 'oob.hook': 1 })).toHaveProperty('tcp.sport', 12345);
    expect(right.run({ ...frame(5, 0x0800, IP + TCP), 'oob.hook': 1 })).toHaveProperty('tcp.sport', 12345);
  });

  test('hardware addresses of ARP are as long as the packet says', () => {
    const infiniband = `0020080014040002${'11'.repeat(20)}0a090001${'22'.repeat(20)}0a090002`;
    const read = right.run(frame(7, 0x0806, infiniband));
    expect(read).toMatchObject({ 'arp.shwaddr': '11'.repeat(20), 'arp.saddr': '10.9.0.1', 'arp.daddr': '10.9.0.2' });
  });

  test('without family or packet there is nothing to read', () => {
    expect(right.run({ 'oob.protocol': 0x0800, 'raw.pkt': IP + TCP })).toEqual({ 'oob.protocol': 0x0800 });
    expect(right.run({ 'oob.family': 2 })).toEqual({});
  });
});

describe('lengths that lie', () => {
  // biome-ignore format: a table
  const families = [[2, 0x0800], [10, 0x86dd], [7, 0x0806], [7, 0x0800], [7, 0x86dd], [3, 0x0806], [5, 0x0800]] as const;
  const whole = [
    IP + TCP,
    `4f${'00'.repeat(7)}4006beef0a000001c0000207${'01'.repeat(40)}${TCP}`,
    `${IP.replace('4006', '4001')}0501abcdc0a80001`,
    `${IP.replace('4006', '4033')}060400000000010000000001`,
    CHAIN,
    `${IP6.replace('2c3f', '3a3f')}8000abcd01020304`,
    '000108000604000202000000000a0a0900010200000000bb0a090002',
  ];

  /** The record must not depend on what stands around the packet. */
  function isReadAlone(stage: TestStage, event: ValuesByKey): void {
    expect(stage.run(event, 0xff)).toEqual(stage.run(event, 0x00));
  }

  test('nothing is read beyond the end of a packet that is cut at any byte', () => {
    for (const packet of whole) {
      for (let length = 0; length <= packet.length; length += 2) {
        for (const [family, protocol] of families) {
          const event = {
            'oob.family': family,
            'oob.protocol': protocol,
            'oob.hook': 1,
            'raw.pkt': packet.slice(0, length),
          };
          isReadAlone(right, event);
          isReadAlone(compat, event);
        }
      }
    }
  });

  test('nothing is read beyond the end of any bytes at all', () => {
    const packets = fc.tuple(
      fc.constantFrom('', IP, IP6, IP.replace('45', '4f')),
      fc.uint8Array({ maxLength: 200 }),
      fc.nat(60),
    );
    fc.assert(
      fc.property(fc.constantFrom(...families), packets, fc.nat(255), ([family, protocol], [head, bytes, at], byte) => {
        const packet = Buffer.concat([Buffer.from(head, 'hex'), bytes]);
        if (at < packet.length) packet[at] = byte;
        const event = {
          'oob.family': family,
          'oob.protocol': protocol,
          'oob.hook': 1,
          'raw.pkt': packet.toString('hex'),
        };
        isReadAlone(right, event);
        isReadAlone(compat, event);
      }),
      { numRuns: 1000 },
    );
  });
});
