import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import base from '../../../src/filter/base.ts';
import ip2str from '../../../src/filter/ip2str.ts';
import printpkt from '../../../src/filter/printpkt.ts';
import { TestStage, type ValuesByKey } from '../../support/stage.ts';

const given = { 'oob.family': 2, 'oob.protocol': 0x0800, 'oob.prefix': 'PFX', 'oob.in': 'eth0', 'oob.out': 'eth1' };

/** What BASE, IP2STR and PRINTPKT make of an event. */
function printer(compat: boolean): (event: ValuesByKey) => string {
  const [decode, address, print] = [base, ip2str, printpkt].map((plugin) => new TestStage(plugin, { compat }));
  return (event) => {
    const decoded = decode?.run(event);
    return print?.run({ ...event, ...decoded, ...address?.run({ ...decoded }) })?.print as string;
  };
}

const compat = printer(true);
const right = printer(false);

/** Packet, what ulogd 2.0.8 prints for it behind `MAC= ` (captured from Debian's binaries), and what is right where that differs; ~ is the addresses. */
// biome-ignore format: a table
const packets: readonly (readonly [name: string, packet: string, compat: string, right?: string])[] = [
  ['a TCP packet shows its ports, numbers and flags', '45000028000140004006beef0a000001c00002073039005000000001000000025012faf012340007',
    '~ LEN=40 TOS=00 PREC=0x00 TTL=64 ID=1 DF PROTO=TCP SPT=12345 DPT=80 SEQ=1 ACK=2 WINDOW=64240 ACK SYN URGP=0 '],
  ['every TCP flag is shown, and the urgent pointer where URG is set', '45000028000140004006beef0a000001c00002073039005000000001000000025ffffaf012340007',
    '~ LEN=40 TOS=00 PREC=0x00 TTL=64 ID=1 DF PROTO=TCP SPT=12345 DPT=80 SEQ=1 ACK=2 WINDOW=64240 URG ACK PSH RST SYN FIN URGP=7 '],
  ['IPv4 options are skipped', '4600002c000140004006beef0a000001c0000207010101013039005000000001000000025012faf012340007',
    '~ LEN=44 TOS=00 PREC=0x00 TTL=64 ID=1 DF PROTO=TCP SPT=12345 DPT=80 SEQ=1 ACK=2 WINDOW=64240 ACK SYN URGP=0 '],
  ['a UDP packet shows its ports and length', '4500001c000140004011beef0a000001c00002070035d4310010abcd',
    '~ LEN=28 TOS=00 PREC=0x00 TTL=64 ID=1 DF PROTO=UDP SPT=53 DPT=54321 LEN=16 '],
  ['type of service, precedence and all three flags are shown', '45ff001c0001e0004011beef0a000001c00002070035d4310010abcd',
    '~ LEN=28 TOS=1E PREC=0xE0 TTL=64 ID=1 CE DF MF PROTO=UDP SPT=53 DPT=54321 LEN=16 '],
  ['a later IPv4 fragment has no ports', '4500001c000120b94011beef0a000001c00002070035d4310010abcd',
    '~ LEN=28 TOS=00 PREC=0x00 TTL=64 ID=1 MF FRAG:185 PROTO=UDP SPT=53 DPT=54321 LEN=16 ',
    '~ LEN=28 TOS=00 PREC=0x00 TTL=64 ID=1 MF FRAG:185 PROTO=UDP '],
  ['a TCP header one byte short is incomplete', '45000027000140004006beef0a000001c00002073039005000000001000000025012faf0123400',
    '~ LEN=39 TOS=00 PREC=0x00 TTL=64 ID=1 DF PROTO=TCP INCOMPLETE',
    '~ LEN=39 TOS=00 PREC=0x00 TTL=64 ID=1 DF PROTO=TCP INCOMPLETE '],
  ['a UDP header one byte short is incomplete', '4500001b000140004011beef0a000001c00002070035d4310010ab',
    '~ LEN=27 TOS=00 PREC=0x00 TTL=64 ID=1 DF PROTO=UDP INCOMPLETE',
    '~ LEN=27 TOS=00 PREC=0x00 TTL=64 ID=1 DF PROTO=UDP INCOMPLETE '],
  ['an ICMP header one byte short is incomplete', '4500001b000140004001beef0a000001c00002070800abcd010203',
    '~ LEN=27 TOS=00 PREC=0x00 TTL=64 ID=1 DF PROTO=ICMP INCOMPLETE',
    '~ LEN=27 TOS=00 PREC=0x00 TTL=64 ID=1 DF PROTO=ICMP INCOMPLETE '],
  ['an SCTP header one byte short is incomplete', '4500001f000140004084beef0a000001c00002071111222233333333deadbe',
    '~ LEN=31 TOS=00 PREC=0x00 TTL=64 ID=1 DF PROTO=SCTP INCOMPLETE',
    '~ LEN=31 TOS=00 PREC=0x00 TTL=64 ID=1 DF PROTO=SCTP INCOMPLETE '],
  ['an IPv4 header with nothing behind it is shown', '4500001400014000402fbeef0a000001c0000207',
    'LEN=0 TOS=00 PREC=0x00 TTL=0 ID=0 PROTO=0 ',
    '~ LEN=20 TOS=00 PREC=0x00 TTL=64 ID=1 DF PROTO=47 '],
  ['an IPv4 header one byte short is incomplete', '45000014000140004011beef0a000001c00002',
    'LEN=0 TOS=00 PREC=0x00 TTL=0 ID=0 PROTO=0 ',
    'INCOMPLETE '],
  ['an IPv4 header length below 5 hides what follows', '44000014000140004011beef0a000001c00002070035d4310010abcd',
    '~ LEN=20 TOS=00 PREC=0x00 TTL=64 ID=1 DF PROTO=UDP SPT=49152 DPT=519 LEN=53 ',
    '~ LEN=20 TOS=00 PREC=0x00 TTL=64 ID=1 DF PROTO=UDP INCOMPLETE '],
  ['an IPv4 header length beyond the end hides what follows', '4f000014000140004011beef0a000001c00002070035d4310010abcd',
    'LEN=0 TOS=00 PREC=0x00 TTL=0 ID=0 PROTO=0 ',
    '~ LEN=20 TOS=00 PREC=0x00 TTL=64 ID=1 DF PROTO=UDP INCOMPLETE '],
  ['an SCTP packet shows its ports', '45000020000140004084beef0a000001c00002071111222233333333deadbeef',
    '~ LEN=32 TOS=00 PREC=0x00 TTL=64 ID=1 DF PROTO=SCTP SPT=4369 DPT=8738 '],
  ['an ICMP echo request shows identifier and sequence number', '4500001c000140004001beef0a000001c00002070800abcd01020304',
    '~ LEN=28 TOS=00 PREC=0x00 TTL=64 ID=1 DF PROTO=ICMP TYPE=8 CODE=0 ID=258 SEQ=772 '],
  ['an ICMP echo reply shows identifier and sequence number', '4500001c000140004001beef0a000001c00002070000abcd01020304',
    '~ LEN=28 TOS=00 PREC=0x00 TTL=64 ID=1 DF PROTO=ICMP TYPE=0 CODE=0 ID=258 SEQ=772 '],
  ['ICMP network unreachable has neither identifier nor sequence number', '4500001c000140004001beef0a000001c00002070300abcd01020304',
    '~ LEN=28 TOS=00 PREC=0x00 TTL=64 ID=1 DF PROTO=ICMP TYPE=3 CODE=0 ID=0 SEQ=0 ',
    '~ LEN=28 TOS=00 PREC=0x00 TTL=64 ID=1 DF PROTO=ICMP TYPE=3 CODE=0 '],
  ['ICMP fragmentation needed shows the MTU', '4500001c000140004001beef0a000001c00002070304abcd000005dc',
    '~ LEN=28 TOS=00 PREC=0x00 TTL=64 ID=1 DF PROTO=ICMP TYPE=3 CODE=4 ',
    '~ LEN=28 TOS=00 PREC=0x00 TTL=64 ID=1 DF PROTO=ICMP TYPE=3 CODE=4 MTU=1500 '],
  ['an ICMP redirect for a host shows the gateway', '4500001c000140004001beef0a000001c00002070501abcdc0a80001',
    '~ LEN=28 TOS=00 PREC=0x00 TTL=64 ID=1 DF PROTO=ICMP TYPE=5 CODE=1 ',
    '~ LEN=28 TOS=00 PREC=0x00 TTL=64 ID=1 DF PROTO=ICMP TYPE=5 CODE=1 GATEWAY=192.168.0.1 '],
  ['an ICMP redirect of code 5 shows the gateway the right way round', '4500001c000140004001beef0a000001c00002070505abcdc0a80001',
    '~ LEN=28 TOS=00 PREC=0x00 TTL=64 ID=1 DF PROTO=ICMP TYPE=5 CODE=5 GATEWAY=1.0.168.192 ',
    '~ LEN=28 TOS=00 PREC=0x00 TTL=64 ID=1 DF PROTO=ICMP TYPE=5 CODE=5 GATEWAY=192.168.0.1 '],
  ['ICMP time exceeded of code 5 shows no gateway', '4500001c000140004001beef0a000001c00002070b05abcdc0a80001',
    '~ LEN=28 TOS=00 PREC=0x00 TTL=64 ID=1 DF PROTO=ICMP TYPE=11 CODE=5 GATEWAY=0.0.0.0 ',
    '~ LEN=28 TOS=00 PREC=0x00 TTL=64 ID=1 DF PROTO=ICMP TYPE=11 CODE=5 '],
  ['an ICMP parameter problem shows the pointer', '4500001c000140004001beef0a000001c00002070c00abcd14020304',
    '~ LEN=28 TOS=00 PREC=0x00 TTL=64 ID=1 DF PROTO=ICMP TYPE=12 CODE=0 ID=0 SEQ=0 ',
    '~ LEN=28 TOS=00 PREC=0x00 TTL=64 ID=1 DF PROTO=ICMP TYPE=12 CODE=0 PARAMETER=20 '],
  ['an ICMP parameter problem of code 12 shows the pointer', '4500001c000140004001beef0a000001c00002070c0cabcd14020304',
    '~ LEN=28 TOS=00 PREC=0x00 TTL=64 ID=1 DF PROTO=ICMP TYPE=12 CODE=12 PARAMETER=20 '],
  ['ICMP unreachable of code 12 shows no parameter', '4500001c000140004001beef0a000001c0000207030cabcd14020304',
    '~ LEN=28 TOS=00 PREC=0x00 TTL=64 ID=1 DF PROTO=ICMP TYPE=3 CODE=12 PARAMETER=0 ',
    '~ LEN=28 TOS=00 PREC=0x00 TTL=64 ID=1 DF PROTO=ICMP TYPE=3 CODE=12 '],
  ['AH shows its SPI', '45000021000140004033beef0a000001c000020706040000000001000000000100',
    '~ LEN=33 TOS=00 PREC=0x00 TTL=64 ID=1 DF PROTO=AH INCOMPLETE',
    '~ LEN=33 TOS=00 PREC=0x00 TTL=64 ID=1 DF PROTO=AH SPI=0x100 '],
  ['ESP shows its SPI', '4500001c000140004032beef0a000001c00002070000010000000001',
    '~ LEN=28 TOS=00 PREC=0x00 TTL=64 ID=1 DF PROTO=ESP INCOMPLETE',
    '~ LEN=28 TOS=00 PREC=0x00 TTL=64 ID=1 DF PROTO=ESP SPI=0x100 '],
  ['any other protocol shows its number', '4500001800014000402fbeef0a000001c000020700000800',
    '~ LEN=24 TOS=00 PREC=0x00 TTL=64 ID=1 DF PROTO=47 '],
  ['IPv6 shows traffic class, hop limit and flow label', '6b8123450008113f20010db800000000000000000000000120010db80000000000000000000000020035d4310010abcd',
    '~ LEN=48 TC=184 HOPLIMIT=63 FLOWLBL=74565 PROTO=UDP SPT=53 DPT=54321 LEN=16 '],
  ['TCP over IPv6', '600000000014063f20010db800000000000000000000000120010db80000000000000000000000023039005000000001000000025020faf012340007',
    '~ LEN=60 TC=0 HOPLIMIT=63 FLOWLBL=0 PROTO=TCP SPT=12345 DPT=80 SEQ=1 ACK=2 WINDOW=64240 URG URGP=7 '],
  ['SCTP over IPv6 shows its ports', '60000000000c843f20010db800000000000000000000000120010db80000000000000000000000021111222233333333deadbeef',
    '~ LEN=52 TC=0 HOPLIMIT=63 FLOWLBL=0 PROTO=SCTP INCOMPLETE',
    '~ LEN=52 TC=0 HOPLIMIT=63 FLOWLBL=0 PROTO=SCTP SPT=4369 DPT=8738 '],
  ['an ICMPv6 echo request shows identifier and sequence number', '6000000000083a3f20010db800000000000000000000000120010db80000000000000000000000028000abcd01020304',
    '~ LEN=48 TC=0 HOPLIMIT=63 FLOWLBL=0 PROTO=ICMPv6 TYPE=128 CODE=0 ID=258 SEQ=772 '],
  ['another ICMPv6 message shows type and code', '6000000000083a3f20010db800000000000000000000000120010db80000000000000000000000028800abcd01020304',
    '~ LEN=48 TC=0 HOPLIMIT=63 FLOWLBL=0 PROTO=ICMPv6 TYPE=136 CODE=0 '],
  ['ICMP for IPv4 inside IPv6 is but a number', '600000000007013f20010db800000000000000000000000120010db80000000000000000000000028000abcd010203',
    '~ LEN=47 TC=0 HOPLIMIT=63 FLOWLBL=0 PROTO=1 '],
  ['hop-by-hop options of 16 bytes are skipped', '600000000018003f20010db800000000000000000000000120010db8000000000000000000000002110101040000000000000000000000000035d4310010abcd',
    '~ LEN=64 TC=0 HOPLIMIT=63 FLOWLBL=0 PROTO=UDP SPT=53 DPT=54321 LEN=16 '],
  ['a routing header is skipped', '6000000000102b3f20010db800000000000000000000000120010db800000000000000000000000211000000000000000035d4310010abcd',
    '~ LEN=56 TC=0 HOPLIMIT=63 FLOWLBL=0 PROTO=UDP SPT=53 DPT=54321 LEN=16 '],
  ['destination options and a fragment header are skipped, and the fragment shown', '6000000000183c3f20010db800000000000000000000000120010db80000000000000000000000022c00010400000000110000010000abcd0035d4310010abcd',
    '~ LEN=64 TC=0 HOPLIMIT=63 FLOWLBL=0 FRAG: 0 ID: 0000abcd PROTO=UDP SPT=53 DPT=54321 LEN=16 '],
  ['an authentication header is skipped', '600000000020333f20010db800000000000000000000000120010db80000000000000000000000021104000000000100000000010000000000000000000000000035d4310010abcd',
    '~ LEN=72 TC=0 HOPLIMIT=63 FLOWLBL=0 PROTO=UDP SPT=53 DPT=54321 LEN=16 '],
  ['a later IPv6 fragment has no ports', '6000000000102c3f20010db800000000000000000000000120010db8000000000000000000000002110000b90000abcd0035d4310010abcd',
    '~ LEN=56 TC=0 HOPLIMIT=63 FLOWLBL=0 FRAG: 184 ID: 0000abcd PROTO=UDP INCOMPLETE',
    '~ LEN=56 TC=0 HOPLIMIT=63 FLOWLBL=0 FRAG: 184 ID: 0000abcd PROTO=UDP '],
  ['a cut fragment header is incomplete', '6000000000032c3f20010db800000000000000000000000120010db8000000000000000000000002110000',
    '~ LEN=43 TC=0 HOPLIMIT=63 FLOWLBL=0 PROTO=0 ',
    '~ LEN=43 TC=0 HOPLIMIT=63 FLOWLBL=0 INCOMPLETE '],
  ['an extension header that is longer than the packet is incomplete', '600000000008003f20010db800000000000000000000000120010db80000000000000000000000021105010400000000',
    '~ LEN=48 TC=0 HOPLIMIT=63 FLOWLBL=0 PROTO=0 ',
    '~ LEN=48 TC=0 HOPLIMIT=63 FLOWLBL=0 INCOMPLETE '],
  ['ESP over IPv6 shows its SPI', '600000000008323f20010db800000000000000000000000120010db80000000000000000000000020000010000000001',
    '~ LEN=48 TC=0 HOPLIMIT=63 FLOWLBL=0 PROTO=AH INCOMPLETE',
    '~ LEN=48 TC=0 HOPLIMIT=63 FLOWLBL=0 PROTO=ESP SPI=0x100 '],
  ['no next header is but a number', '6000000000043b3f20010db800000000000000000000000120010db800000000000000000000000200000000',
    '~ LEN=44 TC=0 HOPLIMIT=63 FLOWLBL=0 PROTO=59 '],
  ['an IPv6 header one byte short is incomplete', '600000000008113f20010db800000000000000000000000120010db80000000000000000000000',
    'PROTO=0 ',
    'INCOMPLETE '],
];

describe('a packet as a line', () => {
  for (const [name, packet, compatLine, rightLine = compatLine] of packets) {
    test(name, () => {
      const six = packet.startsWith('6');
      const event = { ...given, 'oob.family': six ? 10 : 2, 'raw.pkt': packet };
      const addresses = six ? 'SRC=2001:db8::1 DST=2001:db8::2' : 'SRC=10.0.0.1 DST=192.0.2.7';
      const line = (rest: string) => `PFX IN=eth0 OUT=eth1 MAC= ${rest.replace('~', addresses)}\n`;
      expect(compat(event)).toBe(line(compatLine));
      expect(right(event)).toBe(line(rightLine));
    });
  }
});

const udp = '4500001c000100004011667d0a0900010a0900020035d43100080000';
const udpLine = 'SRC=10.9.0.1 DST=10.9.0.2 LEN=28 TOS=00 PREC=0x00 TTL=64 ID=1 PROTO=UDP SPT=53 DPT=54321 LEN=8 ';
const mac = '0200000000bb02000000000a0800';
const macLine = '02:00:00:00:00:bb:02:00:00:00:00:0a:08:00';

describe('what stands around the packet', () => {
  test('all of it, as ulogd 2.0.8 printed this packet of a bridge', () => {
    // biome-ignore format: a table
    const event = {
      'oob.family': 7, 'oob.protocol': 0x0800, 'oob.prefix': 'BR', 'oob.in': 'br0', 'oob.out': '', 'raw.mac': mac,
      'oob.uid': 0, 'oob.gid': 0, 'oob.mark': 0, 'raw.pkt': udp,
    };
    const line = `BR IN=br0 OUT= MAC=${macLine} ${udpLine}UID=0 GID=0 MARK=0x0 \n`;
    expect(compat(event)).toBe(line);
    expect(right(event)).toBe(line);
  });

  test('nothing of it that is not known', () => {
    expect(right({ 'oob.family': 2, 'raw.pkt': udp })).toBe(`MAC= ${udpLine}\n`);
    expect(right({ 'oob.family': 2, 'oob.in': 'eth0', 'raw.pkt': udp })).toBe(`MAC= ${udpLine}\n`);
    expect(right({})).toBe('MAC= \n');
  });

  test('an empty prefix leaves its blank', () => {
    expect(right({ ...given, 'oob.prefix': '', 'raw.pkt': udp })).toMatch(/^ IN=eth0 /);
  });

  test('marks, users and groups of any size', () => {
    const most = { 'oob.mark': 0xffffffff, 'oob.uid': 0xffffffff, 'oob.gid': 65534 };
    expect(right({ ...most, 'raw.pkt': udp })).toBe('MAC= UID=4294967295 GID=65534 MARK=0xffffffff \n');
  });
});

describe('frames of other families', () => {
  const frame = (family: number, ethertype: number, packet: string, more: ValuesByKey = {}) => ({
    'oob.family': family,
    'oob.protocol': ethertype,
    'raw.pkt': packet,
    ...more,
  });
  const arp = (operation: string) => `0001080006040${operation}02000000000a0a0900010200000000bb0a090002`;
  const arpAddresses = 'SRC=10.9.0.1 DST=10.9.0.2';

  test.each([
    ['001', 'REQUEST '],
    ['002', 'REPLY REPLY_MAC=02:00:00:00:00:0a '],
    ['003', 'CODE=3 '],
    ['00a', 'NAK '],
  ])('ARP operation %s on a bridge', (operation, text) => {
    const event = frame(7, 0x0806, arp(operation));
    expect(right(event)).toBe(`MAC= ${arpAddresses} PROTO=ARP ${text}\n`);
    expect(compat(event)).toBe(`MAC= ${arpAddresses} PROTO=ARP ${text}\n`);
  });

  test('a cut ARP packet shows what is there', () => {
    expect(right(frame(7, 0x0806, arp('002').slice(0, 34)))).toBe('MAC= PROTO=ARP REPLY \n');
    expect(right(frame(7, 0x0806, '00010800'))).toBe('MAC= PROTO=ARP INCOMPLETE \n');
    expect(compat(frame(7, 0x0806, arp('002').slice(0, 34)))).toBe('MAC= PROTO=ARP \n');
  });

  test('ARP rules and netdev rules show the packet, which ulogd 2.0.8 did not', () => {
    for (const event of [frame(3, 0x0806, arp('001')), frame(5, 0x0800, udp)]) expect(compat(event)).toBe('MAC= \n');
    expect(right(frame(3, 0x0806, arp('001')))).toBe(`MAC= ${arpAddresses} PROTO=ARP REQUEST \n`);
    expect(right(frame(5, 0x0800, udp))).toBe(`MAC= ${udpLine}\n`);
  });

  test('a netdev egress rule hands over the frame with its Ethernet header', () => {
    expect(right(frame(5, 0x0800, mac + udp, { 'oob.hook': 1 }))).toBe(`MAC= ${udpLine}\n`);
  });

  test('what is neither IP nor ARP is but an ethertype', () => {
    expect(right(frame(7, 0x88cc, '0207040200000000'))).toBe('MAC= PROTO=35020 \n');
    expect(compat(frame(7, 0x88cc, '0207040200000000'))).toBe('MAC= PROTO=35020 \n');
  });
});

describe('text from outside', () => {
  const prefixOf = (print: (event: ValuesByKey) => string, prefix: string | Buffer) =>
    print({ 'oob.prefix': prefix }).replace(' MAC= \n', '');

  test('cannot begin a line of its own, nor speak to a terminal', () => {
    for (const print of [compat, right]) {
      expect(prefixOf(print, 'a\nb\r\x1b[2J\x00\x7f')).toBe('a\\x0ab\\x0d\\x1b[2J\\x00\\x7f');
      expect(print({ 'oob.in': 'e\n0', 'oob.out': 'e\x1b' })).toBe('IN=e\\x0a0 OUT=e\\x1b MAC= \n');
    }
  });

  test('keeps its UTF-8, without C1 controls', () => {
    expect(prefixOf(right, 'Zürich → €🙂')).toBe('Zürich → €🙂');
    expect(prefixOf(right, 'a\u009b31m\u0080\u00a0')).toBe('a\\xc2\\x9b31m\\xc2\\x80\u00a0');
    expect(prefixOf(right, Buffer.from([0x61, 0xff, 0xc3]))).toBe('a\\xff\\xc3');
  });

  test('keeps TAB and everything from 0x80 on as ulogd 2.0.8 does, if asked to', () => {
    expect(prefixOf(compat, 'a\tü\u009b')).toBe('a\tü\u009b');
    expect(prefixOf(right, 'a\tb')).toBe('a\\x09b');
  });

  test('any text of any length makes one line without control characters', () => {
    const texts = fc.tuple(
      fc.uint8Array({ maxLength: 3000 }),
      fc.uint8Array({ maxLength: 300 }),
      fc.uint8Array({ maxLength: 400 }),
    );
    fc.assert(
      fc.property(texts, ([prefix, device, header]) => {
        const [p, d, h] = [Buffer.from(prefix), Buffer.from(device), Buffer.from(header)];
        const event = { 'oob.prefix': p, 'oob.in': d, 'oob.out': d, 'raw.mac': h.toString('hex'), 'oob.mark': 1 };
        expect(right(event)).toMatch(/^\P{Cc}*MARK=0x1 \n$/u);
        expect(compat(event).slice(0, -1)).not.toContain('\n');
      }),
    );
  });
});
