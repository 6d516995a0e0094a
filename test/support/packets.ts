// Frames with any field, right or wrong: what the tests put on the wire.
import { isIPv6 } from 'node:net';

/** A transport header with its payload, and where its checksum goes (undefined: leave the bytes as they are). */
export interface Segment {
  readonly protocol: number;
  readonly bytes: Buffer;
  readonly checksumAt?: number;
}

/** Protocol numbers (IANA) by the names the tests use. */
export const PROTOCOL = {
  hopByHop: 0, icmp: 1, igmp: 2, ipip: 4, tcp: 6, udp: 17, dccp: 33, ipv6: 41, routing: 43, fragment: 44, gre: 47, esp: 50,
  ah: 51, icmpv6: 58, noNext: 59, destination: 60, sctp: 132, mobility: 135, udplite: 136,
} as const; // biome-ignore format: a table

/** Ethertypes by name. */
export const ETHERTYPE = { ipv4: 0x0800, arp: 0x0806, vlan: 0x8100, qinq: 0x88a8, ipv6: 0x86dd, lldp: 0x88cc } as const;

function bytes(...values: readonly (readonly [value: number, size: 1 | 2 | 4])[]): Buffer {
  const out = Buffer.alloc(values.reduce((sum, [, size]) => sum + size, 0));
  let at = 0;
  for (const [value, size] of values)
    at = out.writeUIntBE(size === 4 ? value >>> 0 : value & (2 ** (size * 8) - 1), at, size);
  return out;
}

/** The four or sixteen bytes of an address in text. */
export function address(text: string): Buffer {
  if (!isIPv6(text)) return Buffer.from(text.split('.').map(Number));
  const [head, tail] = text.split('::');
  const words = (part: string | undefined) => (part ? part.split(':').map((word) => Number.parseInt(word, 16)) : []);
  const left = words(head);
  const right = words(tail);
  const all = tail === undefined ? left : [...left, ...Array<number>(8 - left.length - right.length).fill(0), ...right];
  return Buffer.from(all.flatMap((word) => [word >> 8, word & 255]));
}

/** The six bytes of a link-layer address in text. */
export function mac(text: string): Buffer {
  return Buffer.from(text.replaceAll(':', ''), 'hex');
}

/** The Internet checksum (RFC 1071) of the parts as if they were one. */
export function checksum(...parts: readonly Buffer[]): number {
  const all = Buffer.concat(parts);
  let sum = 0;
  for (let at = 0; at < all.length; at++) sum += at & 1 ? all[at]! : all[at]! << 8;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** An Ethernet frame; each of `vlans` is a tag control field under 0x8100. */
export function ethernet(
  { dst, src, type, vlans = [] }: { dst: string; src: string; type: number; vlans?: readonly number[] },
  payload: Buffer,
): Buffer {
  const tags = vlans.map((tci) => bytes([ETHERTYPE.vlan, 2], [tci, 2]));
  return Buffer.concat([mac(dst), mac(src), ...tags, bytes([type, 2]), payload]);
}

/** An ARP packet (RFC 826); the lengths may lie. */
export function arp(
  fields: {
    hwtype?: number;
    protocol?: number;
    hlen?: number;
    plen?: number;
    operation?: number;
    sha?: string;
    spa?: string;
    tha?: string;
    tpa?: string;
  } = {},
): Buffer {
  const { hwtype = 1, protocol = ETHERTYPE.ipv4, hlen = 6, plen = 4, operation = 1 } = fields;
  const { sha = '02:00:00:00:00:02', spa = '10.77.0.2', tha = '00:00:00:00:00:00', tpa = '10.77.0.1' } = fields;
  const head = bytes([hwtype, 2], [protocol, 2], [hlen, 1], [plen, 1], [operation, 2]);
  return Buffer.concat([head, mac(sha), address(spa), mac(tha), address(tpa)]);
}

function asSegment(payload: Segment | Buffer, protocol: number | undefined): Segment {
  return Buffer.isBuffer(payload) ? { protocol: protocol ?? 253, bytes: payload } : payload;
}

function withTransportChecksum(segment: Segment, pseudoHeader: readonly Buffer[]): Buffer {
  if (segment.checksumAt === undefined || segment.checksumAt + 2 > segment.bytes.length) return segment.bytes;
  const out = Buffer.from(segment.bytes);
  out.writeUInt16BE(checksum(...pseudoHeader, out), segment.checksumAt);
  return out;
}

/** What may be said about an IPv4 header; all else is computed. `fragoff` is the whole 16-bit field with its flags. */
export interface Ipv4Fields {
  readonly src?: string;
  readonly dst?: string;
  readonly protocol?: number;
  readonly tos?: number;
  readonly ttl?: number;
  readonly id?: number;
  readonly fragoff?: number;
  readonly version?: number;
  readonly ihl?: number;
  readonly totlen?: number;
  readonly csum?: number;
  readonly options?: Buffer;
}

/** An IPv4 packet (RFC 791). */
export function ipv4(fields: Ipv4Fields, payload: Segment | Buffer): Buffer {
  const { src = '10.77.0.2', dst = '10.77.0.1', tos = 0, ttl = 64, id = 0x1234, fragoff = 0, version = 4 } = fields;
  const segment = asSegment(payload, fields.protocol);
  const protocol = fields.protocol ?? segment.protocol;
  const given = fields.options ?? Buffer.alloc(0);
  const options = Buffer.concat([given, Buffer.alloc(-given.length & 3)]);
  const ends = [address(src), address(dst)];
  // ICMP and IGMP sum themselves alone, the others with a pseudo-header.
  const alone = segment.protocol === PROTOCOL.icmp || segment.protocol === PROTOCOL.igmp;
  const length = segment.bytes.length;
  const body = withTransportChecksum(segment, alone ? [] : [...ends, bytes([segment.protocol, 2], [length, 2])]);
  const ihl = fields.ihl ?? 5 + options.length / 4;
  const totlen = fields.totlen ?? 20 + options.length + body.length;
  const head = bytes(
    [(version << 4) | ihl, 1],
    [tos, 1],
    [totlen, 2],
    [id, 2],
    [fragoff, 2],
    [ttl, 1],
    [protocol, 1],
    [0, 2],
  );
  const header = Buffer.concat([head, ...ends, options]);
  header.writeUInt16BE(fields.csum ?? checksum(header), 10);
  return Buffer.concat([header, body]);
}

/** One IPv6 extension header, by protocol number, with its body after the "next header" byte. */
export interface Extension {
  readonly protocol: number;
  readonly body: Buffer;
}

/** Hop-by-hop, destination options or routing header (RFC 8200) of `units` × 8 bytes more than the first 8. */
export function extension(protocol: number, units = 0, fill = 0): Extension {
  return { protocol, body: Buffer.concat([bytes([units, 1]), Buffer.alloc(6 + units * 8, fill)]) };
}

/** A fragment header; `offset` in bytes, a multiple of 8. */
export function fragment(offset: number, more: boolean, id = 0xdeadbeef): Extension {
  return { protocol: PROTOCOL.fragment, body: bytes([0, 1], [offset | (more ? 1 : 0), 2], [id, 4]) };
}

/** An authentication header (RFC 4302) with `words` 32-bit words of check value. */
export function authentication(spi = 0x01020304, words = 3): Extension {
  return {
    protocol: PROTOCOL.ah,
    body: Buffer.concat([bytes([words + 1, 1], [0, 2], [spi, 4], [1, 4]), Buffer.alloc(words * 4, 0xaa)]),
  };
}

/** What may be said about an IPv6 header; all else is computed. */
export interface Ipv6Fields {
  readonly src?: string;
  readonly dst?: string;
  readonly protocol?: number;
  readonly trafficClass?: number;
  readonly flowLabel?: number;
  readonly hopLimit?: number;
  readonly payloadLength?: number;
  readonly version?: number;
  readonly extensions?: readonly Extension[];
}

/** An IPv6 packet (RFC 8200) with its extension headers in the order given. */
export function ipv6(fields: Ipv6Fields, payload: Segment | Buffer): Buffer {
  const {
    src = 'fd77::2',
    dst = 'fd77::1',
    trafficClass = 0,
    flowLabel = 0,
    hopLimit = 64,
    version = 6,
    extensions = [],
  } = fields;
  const segment = asSegment(payload, fields.protocol);
  const ends = [address(src), address(dst)];
  const body = withTransportChecksum(segment, [...ends, bytes([segment.bytes.length, 4], [segment.protocol, 4])]);
  const last = fields.protocol ?? segment.protocol;
  const chain = extensions.map(({ body }, index) =>
    Buffer.concat([bytes([extensions[index + 1]?.protocol ?? last, 1]), body]),
  );
  const rest = Buffer.concat([...chain, body]);
  const word = version * 2 ** 28 + (trafficClass & 255) * 2 ** 20 + (flowLabel & 0xfffff);
  const first = extensions[0]?.protocol ?? last;
  const head = bytes([word, 4], [fields.payloadLength ?? rest.length, 2], [first, 1], [hopLimit, 1]);
  return Buffer.concat([head, ...ends, rest]);
}

/** What may be said about a TCP header. `flags` is the low byte, `reserved` the low nibble of the byte before. */
export interface TcpFields {
  readonly sport?: number;
  readonly dport?: number;
  readonly seq?: number;
  readonly ack?: number;
  readonly offset?: number;
  readonly reserved?: number;
  readonly flags?: number;
  readonly window?: number;
  readonly urgp?: number;
  readonly csum?: number;
  readonly options?: Buffer;
}

/** A TCP segment (RFC 9293). */
export function tcp(fields: TcpFields = {}, payload: Buffer = Buffer.alloc(0)): Segment {
  const { sport = 40000, dport = 80, seq = 0x01020304, ack = 0x05060708, flags = 2, window = 64240, urgp = 0 } = fields;
  const options = fields.options ?? Buffer.alloc(0);
  const offset = fields.offset ?? 5 + options.length / 4;
  const head = bytes(
    [sport, 2],
    [dport, 2],
    [seq, 4],
    [ack, 4],
    [(offset << 4) | (fields.reserved ?? 0), 1],
    [flags, 1],
    [window, 2],
    [fields.csum ?? 0, 2],
    [urgp, 2],
  );
  return segment(PROTOCOL.tcp, Buffer.concat([head, options, payload]), fields.csum === undefined ? 16 : undefined);
}

/** A UDP datagram (RFC 768), or another protocol with its layout (UDP-Lite). */
export function udp(
  {
    sport = 40000,
    dport = 53,
    length,
    csum,
    protocol = PROTOCOL.udp,
  }: { sport?: number; dport?: number; length?: number; csum?: number; protocol?: number } = {},
  payload: Buffer = Buffer.alloc(0),
): Segment {
  const head = bytes([sport, 2], [dport, 2], [length ?? 8 + payload.length, 2], [csum ?? 0, 2]);
  return segment(protocol, Buffer.concat([head, payload]), csum === undefined ? 6 : undefined);
}

/** An ICMP message (RFC 792, RFC 4443 when `protocol` says so); `rest` is the second word. */
export function icmp(
  {
    type = 8,
    code = 0,
    rest = 0x00070001,
    protocol = PROTOCOL.icmp,
    csum,
  }: { type?: number; code?: number; rest?: number; protocol?: number; csum?: number } = {},
  payload: Buffer = Buffer.alloc(8),
): Segment {
  return segment(
    protocol,
    Buffer.concat([bytes([type, 1], [code, 1], [csum ?? 0, 2], [rest, 4]), payload]),
    csum === undefined ? 2 : undefined,
  );
}

/** An SCTP packet (RFC 9260) with an INIT chunk; the checksum (CRC32c) is what you say. */
export function sctp({ sport = 40000, dport = 3868, tag = 0, csum = 0xcafebabe } = {}): Segment {
  const chunk = bytes([1, 1], [0, 1], [20, 2], [0xabcdef01, 4], [65535, 4], [1, 2], [1, 2], [1, 4]);
  return segment(PROTOCOL.sctp, Buffer.concat([bytes([sport, 2], [dport, 2], [tag, 4], [csum, 4]), chunk]));
}

/** Any protocol with any bytes after the IP header. */
export function segment(protocol: number, content: Buffer, checksumAt?: number): Segment {
  return checksumAt === undefined ? { protocol, bytes: content } : { protocol, bytes: content, checksumAt };
}

/** Numbers that come out the same for the same seed (mulberry32). */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** An integer in [0, below). */
  roll(below: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  }

  /** One of the choices. */
  pick<T>(choices: readonly T[]): T {
    return choices[this.roll(choices.length)]!;
  }

  /** Random bytes. */
  bytes(length: number): Buffer {
    const out = Buffer.alloc(length);
    for (let at = 0; at < length; at++) out[at] = this.roll(256);
    return out;
  }
}
