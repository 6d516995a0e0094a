// NFLOG: every kind of packet, right and wrong, through the packet stacks of ulogd 2.0.8 and of flowlogd.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { DifferentialLab, log } from '../support/differential.ts';
import {
  Dice,
  ethernet,
  fragment,
  icmp,
  ipv4,
  ipv6,
  PROTOCOL,
  type Segment,
  sctp,
  segment,
  tcp,
  udp,
} from '../support/packets.ts';
import {
  addBridge,
  atPrerouting,
  BOTH,
  b4,
  b6,
  bridged,
  chain,
  count,
  inBounds,
  octets,
  randomV4,
  randomV6,
  SEED,
  SEGMENTS,
  V6_CHAINS,
  v4,
  v6,
} from '../support/traffic.ts';

describe('packets', () => {
  let lab: DifferentialLab;

  beforeAll(async () => {
    lab = new DifferentialLab();
    process.stdout.write(`SEED=${SEED}\n`);
    addBridge(lab);
    await lab.start(BOTH);
  });
  afterAll(async () => {
    await lab?.stop();
    lab?.close();
  });

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
    await lab.scene('protocols', atPrerouting(), [
      ...segments.map((each) => v4(ipv4({}, each))),
      ...segments.map((each) => v6(ipv6({}, each))),
    ]);
  });
  test('every TCP flag and reserved bit', async () => {
    const flags = octets.map((flags) => tcp({ flags, urgp: 0x0102 }));
    const reserved = count(16).map((reserved) => tcp({ reserved, flags: 0x10 }));
    const offsets = count(16).map((offset) => tcp({ offset }));
    const frames = [...flags, ...reserved, ...offsets].flatMap((each) => [v4(ipv4({}, each)), v6(ipv6({}, each))]);
    await lab.scene('tcp-flags', atPrerouting(), frames);
  });
  test('every ICMP type and many codes', async () => {
    const codes = [0, 1, 2, 3, 4, 5, 8, 12, 13, 255];
    const frames = octets.flatMap((type) => codes.map((code) => v4(ipv4({}, icmp({ type, code, rest: 0xc0a80105 })))));
    await lab.scene('icmp-types', atPrerouting(), frames);
    await lab.scene(
      'icmp-codes',
      atPrerouting(),
      octets.map((code) => v4(ipv4({}, icmp({ type: 3, code, rest: 0x010205dc })))),
    );
  });
  test('every ICMPv6 type and some codes', async () => {
    const frames = octets.flatMap((type) =>
      [0, 1, 4, 255].map((code) => v6(ipv6({}, icmp({ type, code, protocol: PROTOCOL.icmpv6 })))),
    );
    await lab.scene('icmpv6-types', atPrerouting(), frames);
  });
  test('every TOS, TTL, traffic class and hop limit', async () => {
    const frames = octets.flatMap((value) => [
      v4(ipv4({ tos: value, ttl: 255 - value, id: value * 257 }, udp())),
      v6(ipv6({ trafficClass: value, hopLimit: 255 - value, flowLabel: value * 4112 }, udp())),
    ]);
    await lab.scene('tos', atPrerouting(), frames);
  });
  test('every IP protocol number', async () => {
    const content = Buffer.from('000102030405060708090a0b0c0d0e0f1011121314151617', 'hex');
    const frames = octets.map((protocol) => v4(ipv4({ protocol }, content)));
    await lab.scene('ip-protocols', atPrerouting(), frames);
    await lab.scene(
      'ip-protocols-bare',
      atPrerouting(),
      octets.map((protocol) => v4(ipv4({ protocol }, Buffer.alloc(0)))),
    );
    await lab.scene(
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
    await lab.scene('fragments', atPrerouting(), frames);
    const content = Buffer.from('0000000000000000', 'hex');
    await lab.scene(
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
    await lab.scene('ip-options', atPrerouting(), [...frames, ...longest]);
  });
  test('IPv6 extension headers and chains of them', async () => {
    const frames = V6_CHAINS.flatMap((extensions) =>
      Object.values(SEGMENTS).map((each) => v6(ipv6({ extensions }, each))),
    );
    await lab.scene('ip6-extensions', chain('ip6', 'prerouting', `${log('prefix "scene"')} drop`), frames, 'some');
  });
  test('later IPv6 fragments: what stands behind the fragment header is no header, whatever it says', async () => {
    const next = [0, 6, 17, 43, 44, 50, 51, 58, 59, 60, 135];
    // 2.0.8 goes on from a second fragment header, whatever that says comes next: every length up to it and beyond.
    const payloads = [0, 17, 43, 44, 50, 59].flatMap((inner) =>
      count(18).map((length) => Buffer.alloc(length).fill(inner, 0, Math.min(1, length))),
    );
    const frames = next.flatMap((protocol) =>
      payloads.map((payload) => b6(ipv6({ extensions: [fragment(1480, false)] }, segment(protocol, payload)))),
    );
    await lab.scene(
      'later-fragments',
      chain('bridge', 'prerouting', `${log('prefix "later"')} drop`, -300),
      frames,
      'some',
      'fb1',
    );
  });
  test('packets cut by the rule at every byte', async () => {
    const lengths = count(100).map((length) => length + 1);
    const rules = (family: string) =>
      chain(family, 'prerouting', [...lengths.map((length) => log(`snaplen ${length}`)), 'drop'].join('; '));
    const segments = Object.values(SEGMENTS);
    const frames = segments.map((each) => v4(ipv4({ options: Buffer.alloc(4, 1) }, each)));
    await lab.scene('snaplen-ipv4', rules('ip'), frames, frames.length * lengths.length);
    const frames6 = [
      ...segments.map((each) => v6(ipv6({}, each))),
      ...V6_CHAINS.map((extensions) => v6(ipv6({ extensions }, tcp()))),
    ];
    await lab.scene('snaplen-ipv6', rules('ip6'), frames6, 'some');
  });
  test('packets whose own length says less', async () => {
    const shorter = (each: Segment) =>
      count(each.bytes.length + 1).map((length) => segment(each.protocol, each.bytes.subarray(0, length)));
    const cut = Object.values(SEGMENTS).flatMap(shorter);
    await lab.scene(
      'short-ipv4',
      atPrerouting(),
      cut.map((each) => v4(ipv4({}, each))),
    );
    await lab.scene(
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
      await lab.scene(`prefix-${index}`, chain('ip', 'prerouting', `${statement} drop`), [v4(ipv4({}, udp()))]);
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
    await lab.scene(
      'marks',
      chain('ip', 'prerouting', [...statements, 'drop'].join('; ')),
      [v4(ipv4({}, tcp()))],
      marks.length,
    );
  });
  test('broken IP over a bridge', async () => {
    const lies = [
      ...count(16).map((ihl) => b4(ipv4({ ihl }, tcp()))), ...count(16).map((version) => b4(ipv4({ version }, udp()))), ...[0, 1, 19, 20, 21, 39, 41, 1500, 65535].map((totlen) => b4(ipv4({ totlen }, tcp()))),
      ...count(16).map((version) => b6(ipv6({ version }, tcp()))), ...[0, 1, 19, 20, 21, 65535].map((payloadLength) => b6(ipv6({ payloadLength }, tcp()))),
      b4(ipv4({ csum: 0xdead }, tcp({ csum: 0xbeef }))), b4(ipv6({}, tcp())), b6(ipv4({}, tcp())), b4(ipv4({ ttl: 0 }, udp({ csum: 0 }))), b4(ipv4({}, udp({ length: 0 }))), b4(ipv4({}, udp({ length: 65535 }))),
    ]; // biome-ignore format: a list
    await lab.scene(
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
    await lab.scene(
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
    await lab.scene('random', atPrerouting('prefix "random"'), frames, 'some');
  });
  test('random packets with damage, over a bridge', async () => {
    const dice = new Dice(SEED + 1);
    const frames = count(3000).map(() => {
      const frame = Buffer.from(dice.roll(2) ? b4(randomV4(dice)) : b6(randomV6(dice)));
      for (let left = dice.roll(4); left > 0; left--) frame[14 + dice.roll(frame.length - 14)] = dice.roll(256);
      return inBounds(dice.roll(3) ? frame : frame.subarray(0, 15 + dice.roll(frame.length - 15)));
    });
    await lab.scene(
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
    await lab.scene(
      'ethertypes',
      chain('bridge', 'prerouting', `${log('prefix "any"')} drop`, -300),
      frames,
      'some',
      'fb1',
    );
  });
});
