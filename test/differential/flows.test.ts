// NFCT: every kind of connection conntrack can tell of, in event, hash and poll mode.
import { afterAll, beforeAll, describe, test } from 'vitest';
import { DifferentialLab, MAC, type Setup } from '../support/differential.ts';
import { ETHERTYPE, ethernet, icmp, ipv4, ipv6, PROTOCOL, sctp, segment, tcp, udp } from '../support/packets.ts';

const PRINTED = 'ct1:NFCT,ip2str1:IP2STR,print1:PRINTFLOW,emu1:LOGEMU';
const JSON_STACK = 'ct1:NFCT,ip2str1:IP2STR,json1:JSON';
const both = (ct1: Readonly<Record<string, string | number>>, more: Partial<Setup> = {}): Setup => ({
  stacks: [PRINTED, JSON_STACK],
  outputs: ['emu1', 'json1'],
  sections: { ct1 },
  ...more,
});

const link = { dst: MAC.router, src: MAC.peer };
const v4 = (packet: Buffer) => ethernet({ ...link, type: ETHERTYPE.ipv4 }, packet);
const v6 = (packet: Buffer) => ethernet({ ...link, type: ETHERTYPE.ipv6 }, packet);
const reply4 = { src: '10.77.0.1', dst: '10.77.0.2' };

/** Lines of the flows that settle() makes. */
const MARKER = /SPT=65001 |"orig\.l4\.sport": 65001,/;
/** Markers, and the changes of connections that ulogd2 drops with a complaint each, and flowlogd writes when asked for. */
const MARKER_OR_UPDATE = /SPT=65001 |"orig\.l4\.sport": 65001,|\[UPDATE\]|"ct\.event": 2,/;

/** Conntrack works in a namespace only while a rule asks for it. No traffic of the kernel's own is tracked. */
const TRACKED = `table inet t {
  chain quiet { type filter hook output priority -300; ip6 daddr ff00::/8 notrack; }
  chain track { type filter hook prerouting priority 0; ct state new counter; }
}\n`;
const NAT = `table ip n {
  chain p { type nat hook prerouting priority -100; tcp dport 8000 dnat to 10.77.0.1:80; udp dport 5300 redirect to :53; tcp dport 8001 dnat to 198.51.100.2:81; }
  chain s { type nat hook postrouting priority 100; tcp dport 81 snat to 10.77.0.1:30000-30010; ip daddr 198.51.100.0/24 masquerade; }
}
table ip6 n { chain p { type nat hook prerouting priority -100; tcp dport 8000 dnat to [fd77::1]:80; }; }\n`;

const MESSAGES = [
  tcp({ sport: 1001, dport: 80 }), tcp({ sport: 1002, dport: 9999 }), udp({ sport: 1003, dport: 53 }, Buffer.from('query')), icmp({ rest: 0x12340001 }), icmp({ type: 13, rest: 0x12350001 }, Buffer.alloc(12)),
  icmp({ type: 15, rest: 0x12360001 }), icmp({ type: 17, rest: 0x12370001 }), sctp({ sport: 1004, dport: 3868 }), udp({ sport: 1005, dport: 7, protocol: PROTOCOL.udplite }, Buffer.from('lite')),
  segment(PROTOCOL.gre, Buffer.from('0000080045000000', 'hex')), segment(PROTOCOL.gre, Buffer.from('3081880b0000004200000001', 'hex')), segment(PROTOCOL.esp, Buffer.from('0102030400000001aabbccdd', 'hex')), segment(PROTOCOL.ah, Buffer.alloc(24)),
  segment(PROTOCOL.dccp, Buffer.from('03ed00500401000000000001000000020000000000000000', 'hex')), segment(PROTOCOL.ipip, Buffer.alloc(20)), segment(PROTOCOL.igmp, Buffer.alloc(8)), segment(253, Buffer.from('experiment')), segment(255, Buffer.alloc(4)),
]; // biome-ignore format: a list
const MESSAGES6 = [
  ...MESSAGES.filter(({ protocol }) => protocol !== PROTOCOL.icmp), icmp({ type: 128, rest: 0x22340001, protocol: PROTOCOL.icmpv6 }), icmp({ type: 139, rest: 0x22350001, protocol: PROTOCOL.icmpv6 }),
]; // biome-ignore format: a list

describe('flows, ulogd 2.0.8 beside flowlogd', () => {
  let lab: DifferentialLab;
  let markers = 0;

  beforeAll(() => {
    lab = new DifferentialLab();
    // Checksums: the SCTP packets here have none. Events: 1, for with 2 (the default) a flow made while nobody listened
    // ends without an event. Long timeouts: flows end when the test says so, not by themselves.
    lab.sh(`sysctl -qw net.netfilter.nf_conntrack_acct=1 net.netfilter.nf_conntrack_timestamp=1 net.netfilter.nf_conntrack_events=1 net.netfilter.nf_conntrack_checksum=0 net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.fl0.send_redirects=0
      ip route add 198.51.100.0/24 via 10.77.0.2; ip -6 route add 2001:db8:5::/48 via fd77::2`);
  });
  afterAll(() => lab?.close());

  const conntrack = (line: string) => lab.sh(`conntrack ${line} 2>&1`);
  const markerTuple = (port: number) => `-p tcp -s 10.77.0.250 -d 10.77.0.1 --sport 65001 --dport ${port}`;

  /** A flow made and ended behind all others; whoever has written of its end (or birth) has written of all before. */
  async function settle(last: 'NEW' | 'DESTROY' = 'DESTROY'): Promise<void> {
    const port = ++markers;
    conntrack(`-I ${markerTuple(port)} --state ESTABLISHED -t 600`);
    conntrack(`-D ${markerTuple(port)}`);
    const event = last === 'NEW' ? 1 : 4;
    await lab.until(`flow ${port}`, (text, output) => {
      const lines = text.split('\n').filter((line) => MARKER.test(line));
      return output.startsWith('json')
        ? lines.some((line) => line.includes(`"orig.l4.dport": ${port},`) && line.includes(`"ct.event": ${event}`))
        : lines.some((line) => line.includes(`DPT=${port} `) && line.includes(`[${last}]`));
    });
  }

  /** Packets both ways, then the end of all flows. */
  function talk(): void {
    lab.inject([...MESSAGES.map((each) => v4(ipv4({}, each))), ...MESSAGES6.map((each) => v6(ipv6({}, each)))]);
    conntrack('-F');
  }

  describe('event mode', () => {
    beforeAll(async () => {
      lab.rules(TRACKED);
      await lab.start(both({ hash_enable: 0, event_mask: '0x00000005' }));
    });
    afterAll(() => lab.stop());

    test('one flow of each protocol, over IPv4 and IPv6', async () => {
      talk();
      await settle();
      lab.compare('flows-protocols', { atLeast: 60, without: MARKER, kernelTimes: true });
    });
    test('flows with address translation', async () => {
      lab.rules(TRACKED + NAT);
      lab.inject([
        v4(ipv4({}, tcp({ sport: 2001, dport: 8000 }))), v4(ipv4({}, udp({ sport: 2002, dport: 5300 }))), v4(ipv4({}, tcp({ sport: 2003, dport: 8001 }))),
        v4(ipv4({ dst: '198.51.100.9' }, tcp({ sport: 2004, dport: 443 }))), v4(ipv4({ dst: '198.51.100.9' }, icmp({ rest: 0x77770001 }))), v6(ipv6({}, tcp({ sport: 2005, dport: 8000 }))), v6(ipv6({ dst: '2001:db8:5::9' }, udp({ sport: 2006, dport: 443 }))),
      ]); // biome-ignore format: a list
      conntrack('-F');
      await settle();
      lab.rules(TRACKED);
      lab.compare('flows-nat', { lines: 14, without: MARKER, kernelTimes: true });
    });
    test('a whole TCP connection with data both ways', async () => {
      const us = { sport: 3001, dport: 80 };
      const them = { sport: 80, dport: 3001 };
      lab.rules(`${TRACKED}table ip silent { chain c { type filter hook input priority 0; tcp dport 80 drop; }; }`);
      const say = (fields: Parameters<typeof tcp>[0], from: 'us' | 'them', text = '') =>
        v4(
          ipv4(
            from === 'us' ? { dst: '198.51.100.9' } : { src: '198.51.100.9', dst: '10.77.0.2' },
            tcp({ ...(from === 'us' ? us : them), ...fields }, Buffer.from(text)),
          ),
        );
      lab.inject([
        say({ flags: 2, seq: 100, ack: 0 }, 'us'), say({ flags: 0x12, seq: 900, ack: 101 }, 'them'), say({ flags: 0x10, seq: 101, ack: 901 }, 'us'),
        say({ flags: 0x18, seq: 101, ack: 901 }, 'us', 'GET /'), say({ flags: 0x18, seq: 901, ack: 106 }, 'them', 'x'.repeat(1000)), say({ flags: 0x11, seq: 106, ack: 1901 }, 'us'), say({ flags: 0x11, seq: 1901, ack: 107 }, 'them'), say({ flags: 0x10, seq: 107, ack: 1902 }, 'us'),
      ]); // biome-ignore format: a list
      conntrack('-F');
      await settle();
      lab.rules(TRACKED);
      lab.compare('flows-tcp', { lines: 2, without: MARKER, kernelTimes: true });
    });
    test('entries made by hand, with marks', async () => {
      const marks = [0, 1, 0x7fffffff, 0x80000000, 0xffffffff];
      for (const [index, mark] of marks.entries()) {
        const tuple = `-p udp -s 192.0.2.${index + 1} -d 198.51.100.1 --sport 5000 --dport 53`;
        conntrack(
          `-I ${tuple} -r 198.51.100.1 -q 203.0.113.9 --reply-port-src 53 --reply-port-dst 5000 -t 600 -m ${mark}`,
        );
        conntrack(`-U ${tuple} -m ${mark ^ 3}`);
        conntrack(`-D ${tuple}`);
      }
      conntrack('-I -p tcp -s 2001:db8::1 -d 2001:db8::2 --sport 1 --dport 65535 --state SYN_SENT -t 600 -m 7');
      conntrack('-I -p icmp -s 192.0.2.77 -d 192.0.2.78 --icmp-type 8 --icmp-code 0 --icmp-id 77 -t 600');
      conntrack('-I -p icmpv6 -s 2001:db8::3 -d 2001:db8::4 --icmpv6-type 128 --icmpv6-code 0 --icmpv6-id 78 -t 600');
      conntrack('-I -p gre -s 192.0.2.79 -d 192.0.2.80 --srckey 0x1234 --dstkey 0x5678 -t 600');
      conntrack('-I -p 99 -s 192.0.2.81 -d 192.0.2.82 -t 600');
      conntrack('-F');
      await settle();
      lab.compare('flows-by-hand', { atLeast: 18, without: MARKER, kernelTimes: true });
    });
    test('hundreds of flows', async () => {
      lab.inject(
        Array.from({ length: 600 }, (_, index) =>
          v4(
            ipv4(
              { ...reply4, src: `10.77.${1 + (index >> 8)}.${index & 255}`, dst: '10.77.0.1' },
              udp({ sport: 1024 + index, dport: 7 }),
            ),
          ),
        ),
      );
      conntrack('-F');
      await settle();
      lab.compare('flows-many', { atLeast: 1000, without: MARKER, kernelTimes: true });
    });
  });

  const modes: Readonly<Record<string, [setup: Setup, last?: 'NEW' | 'DESTROY']>> = {
    'only new flows': [both({ hash_enable: 0, event_mask: '0x00000001' }), 'NEW'],
    'only ended flows': [both({ hash_enable: 0, event_mask: '0x00000004' })],
    'updates too, which ulogd2 drops': [both({ hash_enable: 0, event_mask: '0x00000007' })],
    'hash mode': [both({})],
    'hash mode with updates': [both({ event_mask: 7 })],
    'hash mode without new flows': [both({ event_mask: 4 })],
    'a hash of three entries': [both({ hash_max_entries: 3, hash_buckets: 2 })],
    // Lists of both families, and no list of destinations: for a family without a list, and for IPv6 destinations,
    // 2.0.8 decides by uninitialised memory, and two runs differ.
    'sources accepted by a filter': [both({ hash_enable: 0, accept_src_filter: '10.77.0.0/24,fd77::/64' })],
    'sources and protocols accepted by a filter': [both({ hash_enable: 0, accept_proto_filter: 'udp,icmp,tcp', accept_src_filter: '10.77.0.0/24,fd77::/64' })],
    'protocols accepted by a filter': [both({ hash_enable: 0, accept_proto_filter: 'tcp,udp' })],
    'json eventv1 of flows': [both({ hash_enable: 0 }, { sections: { ct1: { hash_enable: 0 }, json1: { eventv1: 1, device: '"cgn 1"' } } })],
    'json of flows without names': [{ stacks: ['ct1:NFCT,json1:JSON'], outputs: ['json1'], sections: { ct1: { hash_enable: 0 } } }],
    'json of flows with the printed line': [{ stacks: ['ct1:NFCT,ip2str1:IP2STR,print1:PRINTFLOW,json1:JSON'], outputs: ['json1'], sections: { ct1: { hash_enable: 0 } } }],
    'json of flows without timestamp': [both({ hash_enable: 0 }, { sections: { ct1: { hash_enable: 0 }, json1: { timestamp: 0 } } })],
    'a mark filter': [
      { stacks: ['ct1:NFCT,mark1:MARK,ip2str1:IP2STR,print1:PRINTFLOW,emu1:LOGEMU', 'ct1:NFCT,mark1:MARK,ip2str1:IP2STR,json1:JSON'], outputs: ['emu1', 'json1'], sections: { ct1: { hash_enable: 0 }, mark1: { mark: 0, mask: 1 } } },
    ],
    'flows in Kolkata': [both({ hash_enable: 0 }, { timeZone: 'Asia/Kolkata' })],
  }; // biome-ignore format: a table
  for (const [name, [setup, last = 'DESTROY']] of Object.entries(modes)) {
    test(name, async () => {
      lab.rules(TRACKED);
      await lab.start(setup);
      talk();
      conntrack('-I -p udp -s 10.77.0.201 -d 10.77.0.1 --sport 5 --dport 6 -t 600 -m 5');
      conntrack('-I -p udp -s 10.77.0.202 -d 10.77.0.1 --sport 5 --dport 6 -t 600 -m 6');
      conntrack('-I -p udp -s 192.0.2.1 -d 10.77.0.1 --sport 5 --dport 6 -t 600');
      conntrack('-F');
      await settle(last);
      lab.compare(name, { atLeast: 5, without: MARKER_OR_UPDATE });
      await lab.stop();
    });
  }

  describe('without counters and time stamps of the kernel', () => {
    beforeAll(() => void lab.sh('sysctl -qw net.netfilter.nf_conntrack_acct=0 net.netfilter.nf_conntrack_timestamp=0'));
    afterAll(() => void lab.sh('sysctl -qw net.netfilter.nf_conntrack_acct=1 net.netfilter.nf_conntrack_timestamp=1'));
    for (const [name, options] of Object.entries({ event: { hash_enable: 0 }, hash: {} })) {
      test(`${name} mode`, async () => {
        lab.rules(TRACKED);
        await lab.start(both(options));
        talk();
        await settle();
        lab.compare(`flows-plain-${name}`, { atLeast: 30, without: MARKER });
        await lab.stop();
      });
    }
  });

  test('hash mode: flows that were there before the daemon', async () => {
    lab.rules(TRACKED);
    for (const index of [1, 2, 3])
      conntrack(`-I -p udp -s 192.0.2.${index} -d 198.51.100.1 --sport 5000 --dport 53 -t 600 -m ${index}`);
    await lab.start(both({}));
    conntrack('-D -p udp -s 192.0.2.2');
    conntrack('-F');
    await settle();
    lab.compare('flows-before', { lines: 3, without: MARKER });
    await lab.stop();
  });

  test('poll mode', async () => {
    lab.rules(TRACKED);
    await lab.start(both({ pollinterval: 1 }));
    lab.inject([...MESSAGES.map((each) => v4(ipv4({}, each))), ...MESSAGES6.map((each) => v6(ipv6({}, each)))]);
    const flows = Number(lab.sh('conntrack -C'));
    // The polls of the two are not simultaneous, and say nothing. A flow that both have told of was seen in a poll of
    // each; the flows above were there before it, and their counters were final: so both know all of them.
    for (let pause = 1100; ; pause *= 1.5) {
      const port = ++markers;
      conntrack(`-I ${markerTuple(port)} --state ESTABLISHED -t 600`);
      await new Promise((resolve) => setTimeout(resolve, pause));
      conntrack(`-D ${markerTuple(port)}`);
      const told = lab.until('the marker', (text) => MARKER.test(text), 3);
      if (
        await told.then(
          () => true,
          () => false,
        )
      )
        break;
      if (pause > 10_000) throw new Error('a flow of ten seconds is in no poll');
    }
    conntrack('-F');
    await lab.until(
      'the end of all flows',
      (text) => text.split('\n').filter((line) => line && !MARKER.test(line)).length >= flows,
    );
    lab.compare('flows-poll', { lines: flows, sorted: true, without: MARKER });
    await lab.stop();
  });
});
