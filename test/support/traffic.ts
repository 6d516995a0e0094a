// What the tests of packets send, systematic and random, and the rules that log it.
import { type DifferentialLab, log, MAC, type Setup } from './differential.ts';
import {
  authentication,
  type Dice,
  ETHERTYPE,
  ethernet,
  extension,
  fragment,
  type Ipv4Fields,
  type Ipv6Fields,
  icmp,
  ipv4,
  ipv6,
  PROTOCOL,
  type Segment,
  sctp,
  segment,
  tcp,
  udp,
} from './packets.ts';

/** The seed of everything random: fixed, unless SEED= says otherwise. */
export const SEED = Number(process.env.SEED ?? 20251121);

/** The stack that prints packets in syslog's style. */
export const LOGEMU = 'log1:NFLOG,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,print1:PRINTPKT,emu1:LOGEMU';
/** The stack that writes packets as JSON. */
export const JSON_STACK = 'log1:NFLOG,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,mac2str1:HWHDR,json1:JSON';
/** Both in one process, on one source. */
export const BOTH: Setup = { stacks: [LOGEMU, JSON_STACK], outputs: ['emu1', 'json1'] };

/** Link-layer addresses of frames for the router itself. */
export const routed = { dst: MAC.router, src: MAC.peer };
/** Link-layer addresses of frames that a bridge floods. */
export const bridged = { dst: MAC.absent, src: MAC.peer };
/** An IPv4 packet for the router. */
export const v4 = (packet: Buffer) => ethernet({ ...routed, type: ETHERTYPE.ipv4 }, packet);
/** An IPv6 packet for the router. */
export const v6 = (packet: Buffer) => ethernet({ ...routed, type: ETHERTYPE.ipv6 }, packet);
/** Anything under the ethertype of IPv4, for a bridge. */
export const b4 = (packet: Buffer) => ethernet({ ...bridged, type: ETHERTYPE.ipv4 }, packet);
/** Anything under the ethertype of IPv6, for a bridge. */
export const b6 = (packet: Buffer) => ethernet({ ...bridged, type: ETHERTYPE.ipv6 }, packet);
/** 0, 1, 2 … length - 1. */
export const count = (length: number) => Array.from({ length }, (_, index) => index);
/** 0 to 255. */
export const octets = count(256);

/** One chain that logs all it sees. Before -400 nothing has put fragments together yet. */
export const chain = (family: string, hook: string, statement: string, priority = -450) =>
  `table ${family} t_${hook} { chain c { type filter hook ${hook} priority ${priority}; ${statement}; }; }\n`;
/** Logs all IPv4 and IPv6 before fragments are put together, then drops it. */
export const atPrerouting = (options = 'prefix "scene"') =>
  chain('ip', 'prerouting', `${log(options)} drop`) + chain('ip6', 'prerouting', `${log(options)} drop`);

/** Chains of IPv6 extension headers. */
export const V6_CHAINS = [
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

/** One message of each transport protocol. */
export const SEGMENTS: Readonly<Record<string, Segment>> = {
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
export function inBounds(frame: Buffer): Buffer {
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

/** A random IPv4 packet that an IP layer accepts, but for the `fields` given. */
export function randomV4(dice: Dice, fields: Ipv4Fields = {}): Buffer {
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

/** A random IPv6 packet that an IP layer accepts, but for the `fields` given. */
export function randomV6(dice: Dice, fields: Ipv6Fields = {}): Buffer {
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

/** Gives the router a bridge br0 with two ports, fb0 and fc0, whose far ends fb1 and fc1 the peer holds: no IP layer looks at what it logs. */
export function addBridge(lab: DifferentialLab): void {
  lab.lab.cable([lab.router, 'fb0'], [lab.peer, 'fb1']);
  lab.lab.cable([lab.router, 'fc0'], [lab.peer, 'fc1']);
  lab.sh(`ip link add br0 type bridge; ip link set fb0 master br0; ip link set fc0 master br0
    sysctl -qw net.ipv6.conf.br0.disable_ipv6=1 net.ipv6.conf.fb0.disable_ipv6=1 net.ipv6.conf.fc0.disable_ipv6=1
    ip link set br0 address 02:00:00:00:00:03; ip addr add 10.78.0.1/24 dev br0; ip link set br0 up`);
  lab.lab.sh('sysctl -qw net.ipv6.conf.fb1.disable_ipv6=1 net.ipv6.conf.fc1.disable_ipv6=1', lab.peer);
}
