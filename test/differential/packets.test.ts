// NFLOG: every kind of packet the kernel can log, from every hook it can log at, through the packet stacks.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DifferentialLab, log, MAC, type Setup } from '../support/differential.ts';
import {
  arp, authentication, Dice, ETHERTYPE, ethernet, extension, fragment, type Ipv4Fields, type Ipv6Fields, icmp, ipv4, ipv6,
  PROTOCOL, type Segment, sctp, segment, tcp, udp,
} from '../support/packets.ts'; // biome-ignore format: a list

const SEED = Number(process.env.SEED ?? 20251121);
const LOGEMU = 'log1:NFLOG,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,print1:PRINTPKT,emu1:LOGEMU';
const JSON_STACK = 'log1:NFLOG,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,mac2str1:HWHDR,json1:JSON';
const BOTH: Setup = { stacks: [LOGEMU, JSON_STACK], outputs: ['emu1', 'json1'] };

const routed = { dst: MAC.router, src: MAC.peer };
const bridged = { dst: MAC.absent, src: MAC.peer };
const v4 = (packet: Buffer) => ethernet({ ...routed, type: ETHERTYPE.ipv4 }, packet);
const v6 = (packet: Buffer) => ethernet({ ...routed, type: ETHERTYPE.ipv6 }, packet);
const b4 = (packet: Buffer) => ethernet({ ...bridged, type: ETHERTYPE.ipv4 }, packet);
const b6 = (packet: Buffer) => ethernet({ ...bridged, type: ETHERTYPE.ipv6 }, packet);
const count = (length: number) => Array.from({ length }, (_, index) => index);
const octets = count(256);

/** One chain that logs all it sees. Before -400 nothing has put fragments together yet. */
const chain = (family: string, hook: string, statement: string, priority = -450) =>
  `table ${family} t_${hook} { chain c { type filter hook ${hook} priority ${priority}; ${statement}; }; }\n`;
const atPrerouting = (options = 'prefix "scene"') =>
  chain('ip', 'prerouting', `${log(options)} drop`) + chain('ip6', 'prerouting', `${log(options)} drop`);

const V6_CHAINS = [
  [extension(PROTOCOL.hopByHop)],
  [extension(PROTOCOL.destination, 2)],
  [extension(PROTOCOL.routing, 1)],
  [authentication()],
  [authentication(7, 1)],
  [extension(PROTOCOL.mobility)],
  [fragment(0, true)],
  [fragment(1448, true)],
  [fragment(65528, false)],
  [fragment(0, false, 1)],
  [
    extension(PROTOCOL.hopByHop),
    extension(PROTOCOL.destination),
    extension(PROTOCOL.routing),
    fragment(0, true),
    authentication(),
  ],
  [extension(PROTOCOL.hopByHop, 1), fragment(8, false), extension(PROTOCOL.destination, 3)],
  [extension(PROTOCOL.destination), extension(PROTOCOL.destination), extension(PROTOCOL.destination)],
  [extension(PROTOCOL.destination), extension(PROTOCOL.hopByHop)],
  [extension(PROTOCOL.routing), extension(PROTOCOL.routing)],
  [fragment(0, true), fragment(16, true, 5)],
];

const SEGMENTS: Readonly<Record<string, Segment>> = {
  tcp: tcp({ flags: 0x12, options: Buffer.from('020405b4', 'hex') }, Buffer.from('hello')),
  udp: udp({}, Buffer.from('hello')),
  icmp: icmp(),
  icmpUnreachable: icmp({ type: 3, code: 4, rest: 1400 }, ipv4({}, udp())),
  icmpRedirect: icmp({ type: 5, code: 1, rest: 0x0a4d0063 }, ipv4({}, udp())),
  icmpv6: icmp({ type: 128, protocol: PROTOCOL.icmpv6 }),
  sctp: sctp(),
  esp: segment(PROTOCOL.esp, Buffer.from('0102030400000001aabbccddeeff0011', 'hex')),
  ah: segment(PROTOCOL.ah, Buffer.from('11040000010203040000000100112233445566778899aabb', 'hex')),
  gre: segment(PROTOCOL.gre, Buffer.from('2000080000000001', 'hex')),
  udplite: udp({ protocol: PROTOCOL.udplite }, Buffer.from('lite')),
  dccp: segment(PROTOCOL.dccp, Buffer.from('9c4000500401000000000001000000020000000000000000', 'hex')),
  igmp: segment(PROTOCOL.igmp, Buffer.from('1100eeff00000000', 'hex')),
};

/** ulogd reads behind a packet that is shorter than an IPv4 header and says that its header is shorter still: not here. */
function inBounds(frame: Buffer): Buffer {
  if (frame.length < 34 && (frame[14]! & 15) < 5) frame[14]! |= 5;
  return frame;
}

function randomSegment(dice: Dice): Segment {
  const port = () => dice.roll(65536);
  const payload = dice.bytes(dice.roll(64));
  switch (dice.roll(8)) {
    case 0:
    case 1: {
      const options = dice.bytes(dice.roll(11) * 4);
      return tcp(
        {
          sport: port(),
          dport: port(),
          seq: dice.roll(2 ** 32),
          ack: dice.roll(2 ** 32),
          reserved: dice.roll(16),
          flags: dice.roll(256),
          window: port(),
          urgp: port(),
          options,
        },
        payload,
      );
    }
    case 2:
      return udp({ sport: port(), dport: port(), ...(dice.roll(4) ? {} : { length: port() }) }, payload);
    case 3:
      return icmp(
        { type: dice.pick([0, 3, 5, 8, 11, 12, 13, dice.roll(256)]), code: dice.roll(16), rest: dice.roll(2 ** 32) },
        payload,
      );
    case 4:
      return icmp(
        {
          type: dice.pick([1, 2, 3, 4, 128, 129, 133, 134, 135, 136, dice.roll(256)]),
          code: dice.roll(8),
          rest: dice.roll(2 ** 32),
          protocol: PROTOCOL.icmpv6,
        },
        payload,
      );
    case 5:
      return sctp({ sport: port(), dport: port(), tag: dice.roll(2 ** 32), csum: dice.roll(2 ** 32) });
    default:
      return segment(
        dice.pick([PROTOCOL.esp, PROTOCOL.ah, PROTOCOL.gre, PROTOCOL.udplite, PROTOCOL.igmp, dice.roll(256)]),
        payload,
      );
  }
}

function randomV4(dice: Dice, fields: Ipv4Fields = {}): Buffer {
  const address = () => [...dice.bytes(4)].join('.');
  const fragoff = dice.roll(3) ? dice.pick([0, 0x4000]) : dice.roll(65536);
  const options = dice.roll(4) ? Buffer.alloc(0) : dice.bytes(dice.roll(41));
  const random = {
    src: address(),
    dst: address(),
    tos: dice.roll(256),
    ttl: dice.roll(256),
    id: dice.roll(65536),
    fragoff,
    options,
  };
  return ipv4({ ...random, ...fields }, randomSegment(dice));
}

function randomV6(dice: Dice, fields: Ipv6Fields = {}): Buffer {
  const address = () =>
    dice
      .bytes(16)
      .toString('hex')
      .replaceAll(/(.{4})(?!$)/g, '$1:');
  const extensions = dice.roll(3) ? [] : dice.pick(V6_CHAINS);
  const random = {
    src: `2001:db8:${address().slice(10)}`,
    dst: address(),
    trafficClass: dice.roll(256),
    flowLabel: dice.roll(2 ** 20),
    hopLimit: dice.roll(256),
    extensions,
  };
  return ipv6({ ...random, ...fields }, randomSegment(dice));
}

describe('packets, ulogd 2.0.8 beside flowlogd', () => {
  let lab: DifferentialLab;

  /** Sends frames through rules and compares; by default one line for each frame, 'some' where the kernel has a say. */
  async function scene(
    name: string,
    rules: string,
    frames: readonly Buffer[],
    lines: number | 'some' = frames.length,
    device = 'fl1',
  ): Promise<void> {
    lab.rules(rules);
    lab.inject(frames, device);
    await lab.settle();
    lab.compare(name, lines === 'some' ? { atLeast: frames.length / 2 } : { lines });
  }

  beforeAll(() => {
    process.stdout.write(`SEED=${SEED}\n`);
    lab = new DifferentialLab();
    // A bridge with two ports: what no IP layer has looked at. And a tun device: no link-layer header.
    lab.lab.cable([lab.router, 'fb0'], [lab.peer, 'fb1']);
    lab.lab.cable([lab.router, 'fc0'], [lab.peer, 'fc1']);
    lab.sh(`ip link add br0 type bridge; ip link set fb0 master br0; ip link set fc0 master br0
      sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.br0.disable_ipv6=1 net.ipv6.conf.fb0.disable_ipv6=1 net.ipv6.conf.fc0.disable_ipv6=1
      ip link set br0 address 02:00:00:00:00:03; ip addr add 10.78.0.1/24 dev br0; ip link set br0 up
      ip tuntap add tun0 mode tun; sysctl -qw net.ipv6.conf.tun0.disable_ipv6=1; ip addr add 10.79.0.1/24 dev tun0; ip link set tun0 up`);
    lab.lab.sh(
      'sysctl -qw net.ipv6.conf.fl1.disable_ipv6=1 net.ipv6.conf.fb1.disable_ipv6=1 net.ipv6.conf.fc1.disable_ipv6=1',
      lab.peer,
    );
  });
  afterAll(() => lab?.close());

  describe('the usual stacks', () => {
    beforeAll(() => lab.start(BOTH));
    afterAll(() => lab.stop());

    test('the comparison itself sees a single other byte, and a missing line', async () => {
      lab.rules(atPrerouting());
      const file = join(lab.lab.directory, 'our.json1');
      for (const spoil of [
        (text: string) => text.replace(/"ip.ttl": 64/, '"ip.ttl": 65'),
        (text: string) => text.replace(/.*\n/, ''),
      ]) {
        lab.inject([v4(ipv4({}, udp())), v4(ipv4({}, tcp()))]);
        await lab.settle();
        const before = readFileSync(file, 'latin1').split(/(?<=\n)/);
        const fresh = before.splice(-3).join('');
        writeFileSync(file, before.join('') + spoil(fresh), 'latin1');
        expect(() => lab.compare('spoilt')).toThrow(
          /spoilt: json1: ulogd wrote 2 lines, flowlogd [12]; [12] differ, first line 1/,
        );
      }
    });
    test('one packet of each protocol, over IPv4 and IPv6', async () => {
      const segments = Object.values(SEGMENTS);
      await scene('protocols', atPrerouting(), [
        ...segments.map((each) => v4(ipv4({}, each))),
        ...segments.map((each) => v6(ipv6({}, each))),
      ]);
    });
    test('every TCP flag and reserved bit', async () => {
      const flags = octets.map((flags) => tcp({ flags, urgp: 0x0102 }));
      const reserved = count(16).map((reserved) => tcp({ reserved, flags: 0x10 }));
      const offsets = count(16).map((offset) => tcp({ offset }));
      const frames = [...flags, ...reserved, ...offsets].flatMap((each) => [v4(ipv4({}, each)), v6(ipv6({}, each))]);
      await scene('tcp-flags', atPrerouting(), frames);
    });
    test('every ICMP type and many codes', async () => {
      const codes = [0, 1, 2, 3, 4, 5, 8, 12, 13, 255];
      const frames = octets.flatMap((type) =>
        codes.map((code) => v4(ipv4({}, icmp({ type, code, rest: 0xc0a80105 })))),
      );
      await scene('icmp-types', atPrerouting(), frames);
      await scene(
        'icmp-codes',
        atPrerouting(),
        octets.map((code) => v4(ipv4({}, icmp({ type: 3, code, rest: 0x010205dc })))),
      );
    });
    test('every ICMPv6 type and some codes', async () => {
      const frames = octets.flatMap((type) =>
        [0, 1, 4, 255].map((code) => v6(ipv6({}, icmp({ type, code, protocol: PROTOCOL.icmpv6 })))),
      );
      await scene('icmpv6-types', atPrerouting(), frames);
    });
    test('every TOS, TTL, traffic class and hop limit', async () => {
      const frames = octets.flatMap((value) => [
        v4(ipv4({ tos: value, ttl: 255 - value, id: value * 257 }, udp())),
        v6(ipv6({ trafficClass: value, hopLimit: 255 - value, flowLabel: value * 4112 }, udp())),
      ]);
      await scene('tos', atPrerouting(), frames);
    });
    test('every IP protocol number', async () => {
      const content = Buffer.from('000102030405060708090a0b0c0d0e0f1011121314151617', 'hex');
      const frames = octets.map((protocol) => v4(ipv4({ protocol }, content)));
      await scene('ip-protocols', atPrerouting(), frames);
      await scene(
        'ip-protocols-bare',
        atPrerouting(),
        octets.map((protocol) => v4(ipv4({ protocol }, Buffer.alloc(0)))),
      );
      await scene(
        'ip6-next-headers',
        atPrerouting(),
        octets.map((protocol) => v6(ipv6({ protocol }, content))),
        'some',
      );
    });
    test('fragments', async () => {
      const offsets = [
        0x2000, 0x0001, 0x2001, 0x00b9, 0x20b9, 0x1fff, 0x3fff, 0x4000, 0x6000, 0x8000, 0xe000, 0xffff, 0x5fff,
      ];
      const frames = offsets.flatMap((fragoff) =>
        Object.values(SEGMENTS).map((each) => v4(ipv4({ fragoff, id: fragoff }, each))),
      );
      await scene('fragments', atPrerouting(), frames);
      const content = Buffer.from('0000000000000000', 'hex');
      await scene(
        'fragments-tiny',
        atPrerouting(),
        offsets.map((fragoff) => v4(ipv4({ fragoff, protocol: 6 }, content))),
      );
    });
    test('IP options', async () => {
      const options = [
        '01',
        '00',
        '0707040a4d000100',
        '830704c0000201',
        '94040000',
        '4408050000000000',
        '860b0000000100020000',
        '88040001',
        'ff',
        '0700',
        '8328',
      ];
      const frames = options.flatMap((hex) =>
        [tcp(), udp(), icmp(), sctp()].map((each) => v4(ipv4({ options: Buffer.from(hex, 'hex') }, each))),
      );
      const longest = [4, 8, 20, 36, 40].map((length) => v4(ipv4({ options: Buffer.alloc(length, 1) }, tcp())));
      await scene('ip-options', atPrerouting(), [...frames, ...longest]);
    });
    test('IPv6 extension headers and chains of them', async () => {
      const frames = V6_CHAINS.flatMap((extensions) =>
        Object.values(SEGMENTS).map((each) => v6(ipv6({ extensions }, each))),
      );
      await scene('ip6-extensions', chain('ip6', 'prerouting', `${log('prefix "scene"')} drop`), frames, 'some');
    });
    test('packets cut by the rule at every byte', async () => {
      const lengths = count(100).map((length) => length + 1);
      const rules = (family: string) =>
        chain(family, 'prerouting', [...lengths.map((length) => log(`snaplen ${length}`)), 'drop'].join('; '));
      const segments = Object.values(SEGMENTS);
      const frames = segments.map((each) => v4(ipv4({ options: Buffer.alloc(4, 1) }, each)));
      await scene('snaplen-ipv4', rules('ip'), frames, frames.length * lengths.length);
      const frames6 = [
        ...segments.map((each) => v6(ipv6({}, each))),
        ...V6_CHAINS.map((extensions) => v6(ipv6({ extensions }, tcp()))),
      ];
      await scene('snaplen-ipv6', rules('ip6'), frames6, 'some');
    });
    test('packets whose own length says less', async () => {
      const shorter = (each: Segment) =>
        count(each.bytes.length + 1).map((length) => segment(each.protocol, each.bytes.subarray(0, length)));
      const cut = Object.values(SEGMENTS).flatMap(shorter);
      await scene(
        'short-ipv4',
        atPrerouting(),
        cut.map((each) => v4(ipv4({}, each))),
      );
      await scene(
        'short-ipv6',
        atPrerouting(),
        cut.map((each) => v6(ipv6({}, each))),
      );
    });
    test('prefixes', async () => {
      // The kernel's limit is 127 bytes (NF_LOG_PREFIXLEN), and nft takes any byte but a double quote.
      const prefixes = [
        '',
        'plain',
        'trailing ',
        ' leading',
        'tab\tinside',
        "quote' and \\\\ backslash",
        'slash/ <&> %s %n',
        'grüße ☃ 🧱',
        'x'.repeat(127),
        '\x7f',
        '{"a": 1}'.replaceAll('"', "'"),
        '\u2028',
        '\x01\x1f',
      ];
      for (const [index, prefix] of prefixes.entries()) {
        const statement = prefix === '' ? log() : log(`prefix "${prefix}"`);
        await scene(`prefix-${index}`, chain('ip', 'prerouting', `${statement} drop`), [v4(ipv4({}, udp()))]);
      }
    });
    test('prefixes that only iptables can write', async () => {
      // Through a shell, so that any byte reaches the rule: invalid UTF-8, quotes, a cut sequence.
      const prefixes = [
        '\\377\\376',
        'a"b\\\\c',
        'ok\\303',
        '\\300\\200',
        '\\355\\240\\200',
        '\\364\\220\\200\\200',
        '\\033[31m',
        'caf\\303\\251',
      ];
      for (const [index, prefix] of prefixes.entries()) {
        lab.rules('');
        for (const group of [32, 33])
          lab.sh(
            `iptables -t raw -A PREROUTING -p udp --dport 53 -j NFLOG --nflog-group ${group} --nflog-prefix "$(printf '${prefix}')"`,
          );
        lab.inject([v4(ipv4({}, udp()))]);
        await lab.settle();
        // jansson refuses a string that is not UTF-8 and ulogd then leaves the key out, so the line still comes.
        lab.compare(`prefix-bytes-${index}`, { lines: 1 });
      }
    });
    test('iptables and ip6tables with size and threshold', async () => {
      lab.rules('');
      for (const group of [32, 33]) {
        lab.sh(`iptables -t raw -A PREROUTING -i fl0 ! -s 203.0.113.1 -j NFLOG --nflog-group ${group} --nflog-prefix 'DROP: ' --nflog-size 40 --nflog-threshold 3
          ip6tables -t raw -A PREROUTING -i fl0 -j NFLOG --nflog-group ${group} --nflog-prefix 'six'`);
      }
      lab.inject([v4(ipv4({}, tcp())), v6(ipv6({}, tcp())), v4(ipv4({}, udp()))]);
      await lab.settle();
      lab.compare('iptables', { atLeast: 3 });
    });
    test('packet marks', async () => {
      const marks = [0, 1, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff, 0xdeadbeef];
      const statements = marks.map((mark) => `meta mark set ${mark} ${log('prefix "mark"')}`);
      await scene(
        'marks',
        chain('ip', 'prerouting', [...statements, 'drop'].join('; ')),
        [v4(ipv4({}, tcp()))],
        marks.length,
      );
    });
    test('VLAN tags', async () => {
      const tagged = [[10], [0], [0x6fff], [10, 20]].flatMap((vlans) => [
        ethernet({ ...bridged, type: ETHERTYPE.ipv4, vlans }, ipv4({}, tcp())),
        ethernet({ ...bridged, type: ETHERTYPE.ipv6, vlans }, ipv6({}, udp())),
        ethernet({ ...bridged, type: ETHERTYPE.arp, vlans }, arp()),
      ]);
      await scene(
        'vlan-bridge',
        chain('bridge', 'prerouting', `${log('prefix "vlan"')} drop`, -300),
        tagged,
        tagged.length,
        'fb1',
      );
      await scene(
        'vlan-netdev',
        ingress('fl0'),
        tagged.map((frame) => Buffer.concat([Buffer.from('020000000001', 'hex'), frame.subarray(6)])),
        'some',
      );
    });
    test('each hook of the inet, ip and ip6 families', async () => {
      lab.sh(
        'sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1; ip route replace 198.51.100.0/24 via 10.77.0.2; ip -6 route replace 2001:db8:5::/48 via fd77::2',
      );
      const frames = [
        v4(ipv4({}, icmp())), v6(ipv6({}, icmp({ type: 128, protocol: PROTOCOL.icmpv6 }))), v4(ipv4({ dst: '198.51.100.7' }, udp())),
        v6(ipv6({ dst: '2001:db8:5::7' }, udp())), v4(ipv4({}, tcp({ dport: 4444 }))), v4(ipv4({}, udp({ dport: 4444 }))), v4(ipv4({ dst: '198.51.100.7', ttl: 1 }, udp())),
      ]; // biome-ignore format: a list
      const hooks = ['prerouting', 'input', 'forward', 'output', 'postrouting'];
      for (const family of ['inet', 'ip', 'ip6']) {
        const quiet = family === 'ip' ? 'ip daddr 224.0.0.0/4 accept' : 'ip6 daddr ff00::/8 accept'; // the kernel's own reports
        await scene(
          `hooks-${family}`,
          hooks.map((hook) => chain(family, hook, `${quiet}; ${log(`prefix "${family} ${hook}"`)}`, -5)).join(''),
          frames,
          'some',
        );
      }
    });
    test('the bridge family, each hook', async () => {
      const frames = [
        b4(ipv4({}, tcp())),
        b6(ipv6({}, udp())),
        ethernet({ ...bridged, type: ETHERTYPE.arp }, arp()),
        ethernet({ ...bridged, type: ETHERTYPE.lldp }, Buffer.from('0207040200000000020000', 'hex')),
      ];
      const local = frames.map((frame) => Buffer.concat([Buffer.from('020000000003', 'hex'), frame.subarray(6)]));
      const hooks = ['prerouting', 'input', 'forward', 'output', 'postrouting'];
      await scene(
        'hooks-bridge',
        hooks.map((hook) => chain('bridge', hook, log(`prefix "bridge ${hook}"`), -5)).join(' '),
        [...frames, ...local],
        'some',
        'fb1',
      );
    });
    test('ARP seen by a bridge and by the arp family', async () => {
      const operations = [0, 1, 2, 3, 4, 8, 9, 10, 11, 255, 65535];
      const packets = [
        ...operations.map((operation) => arp({ operation, sha: '02:aa:bb:cc:dd:ee', tha: '02:11:22:33:44:55', spa: '192.0.2.1', tpa: '198.51.100.254' })),
        arp({ hwtype: 6 }), arp({ hwtype: 24, hlen: 8 }), arp({ protocol: 0x86dd, plen: 16 }), arp({ hlen: 0 }), arp({ plen: 0 }), arp().subarray(0, 27), arp().subarray(0, 8), arp().subarray(0, 1),
      ]; // biome-ignore format: a list
      const frames = packets.map((packet) =>
        ethernet({ dst: 'ff:ff:ff:ff:ff:ff', src: MAC.peer, type: ETHERTYPE.arp }, packet),
      );
      await scene(
        'arp-bridge',
        chain('bridge', 'prerouting', `${log('prefix "arp"')} drop`, -300),
        frames,
        frames.length,
        'fb1',
      );
      await scene('arp-family', chain('arp', 'input', `${log('prefix "arp"')} drop`, 0), frames, 'some');
    });
    test('the netdev family: frames before any layer looks at them', async () => {
      const frames = [
        v4(ipv4({}, tcp())),
        v6(ipv6({}, udp())),
        ethernet({ ...routed, type: ETHERTYPE.arp }, arp()),
        ethernet({ ...routed, type: ETHERTYPE.lldp }, Buffer.alloc(30)),
      ];
      await scene('netdev', ingress('fl0'), frames, 'some');
    });
    test('broken IP over a bridge', async () => {
      const lies = [
        ...count(16).map((ihl) => b4(ipv4({ ihl }, tcp()))), ...count(16).map((version) => b4(ipv4({ version }, udp()))), ...[0, 1, 19, 20, 21, 39, 41, 1500, 65535].map((totlen) => b4(ipv4({ totlen }, tcp()))),
        ...count(16).map((version) => b6(ipv6({ version }, tcp()))), ...[0, 1, 19, 20, 21, 65535].map((payloadLength) => b6(ipv6({ payloadLength }, tcp()))),
        b4(ipv4({ csum: 0xdead }, tcp({ csum: 0xbeef }))), b4(ipv6({}, tcp())), b6(ipv4({}, tcp())), b4(ipv4({ ttl: 0 }, udp({ csum: 0 }))), b4(ipv4({}, udp({ length: 0 }))), b4(ipv4({}, udp({ length: 65535 }))),
      ]; // biome-ignore format: a list
      await scene(
        'lies-bridge',
        chain('bridge', 'prerouting', `${log('prefix "lie"')} drop`, -300),
        lies,
        lies.length,
        'fb1',
      );
    });
    test('frames cut at every byte over a bridge', async () => {
      const whole = [
        ...Object.values(SEGMENTS).map((each) => b4(ipv4({}, each))),
        ...['tcp', 'udp', 'icmpv6', 'sctp'].map((name) => b6(ipv6({ extensions: V6_CHAINS[10]! }, SEGMENTS[name]!))),
      ];
      const frames = whole.flatMap((frame) =>
        count(frame.length - 14).map((length) => frame.subarray(0, 14 + length + 1)),
      );
      await scene(
        'cut-bridge',
        chain('bridge', 'prerouting', `${log('prefix "cut"')} drop`, -300),
        frames,
        'some',
        'fb1',
      );
    });
    test('random packets', async () => {
      const dice = new Dice(SEED);
      const frames = count(3000).map(() => (dice.roll(2) ? v4(randomV4(dice)) : v6(randomV6(dice))));
      await scene('random', atPrerouting('prefix "random"'), frames, 'some');
    });
    test('random packets with damage, over a bridge', async () => {
      const dice = new Dice(SEED + 1);
      const frames = count(3000).map(() => {
        const frame = Buffer.from(dice.roll(2) ? b4(randomV4(dice)) : b6(randomV6(dice)));
        for (let left = dice.roll(4); left > 0; left--) frame[14 + dice.roll(frame.length - 14)] = dice.roll(256);
        return inBounds(dice.roll(3) ? frame : frame.subarray(0, 15 + dice.roll(frame.length - 15)));
      });
      await scene(
        'damaged',
        chain('bridge', 'prerouting', `${log('prefix "damage"')} drop`, -300),
        frames,
        'some',
        'fb1',
      );
    });
    test('frames of any ethertype over a bridge', async () => {
      const dice = new Dice(SEED + 2);
      const types = [0x0800, 0x0806, 0x86dd, 0x8100, 0x88a8, 0x8863, 0x8864, 0x88cc, 0x8847, 0x0600, 0xffff];
      const frames = count(500).map(() =>
        ethernet({ ...bridged, type: dice.pick(types) }, dice.bytes(dice.roll(80) + 1)),
      );
      await scene(
        'ethertypes',
        chain('bridge', 'prerouting', `${log('prefix "any"')} drop`, -300),
        frames,
        'some',
        'fb1',
      );
    });
    test('packets of a tun device and of loopback', async () => {
      lab.rules(
        chain('inet', 'prerouting', `iifname { lo, tun0 } ${log('prefix "no mac"')} drop`) +
          chain('inet', 'output', log('prefix "out"'), 0),
      );
      lab.inject(
        Object.values(SEGMENTS).map((each) => ipv4({ src: '10.79.0.2', dst: '10.79.0.1' }, each)),
        'tun0',
        'tun',
      );
      lab.sh("bash -c 'echo one >/dev/udp/127.0.0.1/4444; echo two >/dev/udp/::1/4444'");
      await lab.settle();
      lab.compare('no-mac', { atLeast: 15 });
    });
    test('who sent it: user and group of the socket', async () => {
      lab.rules(
        chain('inet', 'output', `udp dport 4444 ${log('prefix "owner"')}`, 0) +
          chain('inet', 'postrouting', `udp dport 4444 ${log('prefix "owner post"')}`, 0),
      );
      lab.sh(`echo root | bash -c 'cat >/dev/udp/10.77.0.2/4444'
        echo other | setpriv --reuid 65534 --regid 7 --clear-groups bash -c 'cat >/dev/udp/10.77.0.2/4444'
        echo six | setpriv --reuid 4294967290 --regid 4294967293 --clear-groups bash -c 'cat >/dev/udp/fd77::2/4444'`);
      await lab.settle();
      lab.compare('owner', { lines: 6 });
    });
  });

  const ingress = (device: string) =>
    `table netdev t { chain c { type filter hook ingress device ${device} priority 0; ip saddr 10.77.0.2 udp sport 65001 accept; ${log('prefix "netdev"')} drop; }; }\n`;

  const mixed = () => {
    const dice = new Dice(SEED + 3);
    return [
      ...Object.values(SEGMENTS).flatMap((each) => [v4(ipv4({}, each)), v6(ipv6({}, each))]),
      ...count(100).map(() => v4(randomV4(dice))),
    ];
  };
  const marked = () =>
    chain('ip', 'prerouting', `meta mark set ip id and 0x1ff ${log('prefix "mixed"')} drop`) +
    chain('ip6', 'prerouting', `meta mark set 0xffffff05 ${log('prefix "six"')} drop`);

  const variants: Readonly<Record<string, Setup>> = {
    'json eventv1 and device': { ...BOTH, sections: { json1: { eventv1: 1, device: '"router 1"' } } },
    'json without timestamp': { ...BOTH, sections: { json1: { timestamp: 0 } } },
    'json boolean label': { ...BOTH, sections: { json1: { boolean_label: 1 } } },
    'json boolean label with numeric label': {
      ...BOTH,
      sections: { log1: { numeric_label: 1 }, json1: { boolean_label: 1 } },
    },
    'numeric label 255': { ...BOTH, sections: { log1: { numeric_label: 255 } } },
    'sequence numbers': { ...BOTH, sections: { log1: { seq_local: 1, seq_global: 1 } } },
    'local sequence numbers': { ...BOTH, sections: { log1: { seq_local: 1 } } },
    'one packet a message': { ...BOTH, sections: { log1: { netlink_qthreshold: 1 } } },
    'queue threshold and timeout': { ...BOTH, sections: { log1: { netlink_qthreshold: 40, netlink_qtimeout: 5 } } },
    'binding protocol families': { ...BOTH, sections: { log1: { bind: 1, unbind: 0 } } },
    'mark filter': {
      stacks: [
        LOGEMU.replace('log1:NFLOG,', 'log1:NFLOG,mark1:MARK,'),
        JSON_STACK.replace('log1:NFLOG,', 'log1:NFLOG,mark1:MARK,'),
      ],
      outputs: ['emu1', 'json1'],
      sections: { mark1: { mark: 5, mask: '0xff' } },
    },
    'json of the bare packet': { stacks: ['log1:NFLOG,json1:JSON'], outputs: ['json1'] },
    'json without names': { stacks: ['log1:NFLOG,base1:BASE,json1:JSON'], outputs: ['json1'] },
    'json with the printed line': {
      stacks: ['log1:NFLOG,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,mac2str1:HWHDR,print1:PRINTPKT,json1:JSON'],
      outputs: ['json1'],
    },
    'json of a link-layer header': { stacks: ['log1:NFLOG,mac2str1:HWHDR,json1:JSON'], outputs: ['json1'] },
    'in Kolkata': { ...BOTH, timeZone: 'Asia/Kolkata' },
    'west of Greenwich': { ...BOTH, timeZone: '<-0030>0:30' },
    'in Newfoundland': { ...BOTH, timeZone: 'America/St_Johns' },
    'in London': { ...BOTH, timeZone: 'Europe/London' },
  };
  for (const [name, setup] of Object.entries(variants)) {
    test(name, async () => {
      await lab.start(setup);
      lab.rules(marked());
      lab.inject(mixed());
      await lab.settle();
      lab.compare(name, { atLeast: 10 });
      await lab.stop();
    });
  }
});
