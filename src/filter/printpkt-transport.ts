import type { Slots } from '../pipeline/plugin.ts';
import type { Record } from '../pipeline/record.ts';
import { Literal, writeDecimal, writeHex } from '../wire/ascii.ts';
import { writeField, writePair } from '../wire/field.ts';
import {
  ICMP_ECHO,
  ICMP_ECHO_REPLY,
  ICMP_PARAMETER_PROBLEM,
  ICMP_REDIRECT,
  IPPROTO_AH,
  IPPROTO_ESP,
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_SCTP,
  IPPROTO_TCP,
  IPPROTO_UDP,
} from '../wire/ip.ts';
import { writeIpv4 } from '../wire/ip-text.ts';
import type { printpktReads } from './printpkt-reads.ts';

/** Writes what an IP packet carries; of a later fragment, only what it is. */
export type WriteTransport = (record: Record, at: number, protocol: number, later: boolean, version: 4 | 6) => number;

const SPACE = 0x20;
const PROTO = new Literal('PROTO=');
const TCP = new Literal('PROTO=TCP ');
const TCP_SPT = new Literal('PROTO=TCP SPT=');
const UDP = new Literal('PROTO=UDP ');
const UDP_SPT = new Literal('PROTO=UDP SPT=');
const SCTP = new Literal('PROTO=SCTP ');
const SCTP_SPT = new Literal('PROTO=SCTP SPT=');
const ICMP = new Literal('PROTO=ICMP ');
const ICMPV6 = new Literal('PROTO=ICMPv6 ');
const ESP = new Literal('PROTO=ESP ');
const AH = new Literal('PROTO=AH ');
const DPT = new Literal(' DPT=');
const SEQ = new Literal('SEQ=');
const ECHO_SEQ = new Literal(' SEQ=');
const ACK = new Literal(' ACK=');
const WINDOW = new Literal('WINDOW=');
const LEN = new Literal('LEN=');
const TYPE = new Literal('TYPE=');
const CODE = new Literal(' CODE=');
const ID = new Literal('ID=');
const GATEWAY = new Literal('GATEWAY=');
const NO_GATEWAY = new Literal('GATEWAY=0.0.0.0 ');
const PARAMETER = new Literal('PARAMETER=');
const MTU = new Literal('MTU=');
const SPI = new Literal('SPI=0x');
/** The flags of a TCP header, URG highest, as the line has them between the window and the urgent pointer. */
const FLAGS = Array.from({ length: 64 }, (_, bits) => {
  const names = ['URG', 'ACK', 'PSH', 'RST', 'SYN', 'FIN'].filter((_, bit) => bits & (32 >> bit));
  return new Literal([...['', ...names], 'URGP='].join(' '));
});

/** The transport half of PRINTPKT. */
export function linkTransport(read: Slots<typeof printpktReads>, compat: boolean): WriteTransport {
  const tcp = linkTcp(read);
  const icmp = linkIcmp(read, compat);
  const { 'udp.sport': udpSport, 'udp.dport': udpDport, 'udp.len': udpLen } = read;
  const { 'sctp.sport': sctpSport, 'sctp.dport': sctpDport, 'icmp.type': icmpType, 'ahesp.spi': spi } = read;
  const { 'icmpv6.type': type6, 'icmpv6.code': code6, 'icmpv6.echoid': echoid6, 'icmpv6.echoseq': echoseq6 } = read;
  const tcpSport = read['tcp.sport'];
  // ulogd 2.0.8 puts no blank behind it.
  const incomplete = new Literal(compat ? 'INCOMPLETE' : 'INCOMPLETE ');

  return (record, at, protocol, later, version) => {
    const { bytes, view, value, valid } = record;
    let to = at;
    switch (protocol) {
      case IPPROTO_TCP:
        if (valid[tcpSport] === 1) return tcp(record, to);
        to = TCP.writeTo(view, to);
        break;
      case IPPROTO_UDP:
        if (valid[udpSport] === 1) {
          to = writePair(bytes, view, to, UDP_SPT, value[udpSport]!, DPT, value[udpDport]!);
          return writeField(bytes, view, to, LEN, value[udpLen]!);
        }
        to = UDP.writeTo(view, to);
        break;
      case IPPROTO_SCTP:
        if (valid[sctpSport] === 1)
          return writePair(bytes, view, to, SCTP_SPT, value[sctpSport]!, DPT, value[sctpDport]!);
        to = SCTP.writeTo(view, to);
        break;
      case IPPROTO_ICMP:
        if (version === 6) return writeField(bytes, view, to, PROTO, protocol);
        to = ICMP.writeTo(view, to);
        if (valid[icmpType] === 1) return icmp(record, to);
        break;
      case IPPROTO_ICMPV6:
        if (version === 4) return writeField(bytes, view, to, PROTO, protocol);
        to = ICMPV6.writeTo(view, to);
        if (valid[type6] === 0) break;
        to = writePair(bytes, view, to, TYPE, value[type6]!, CODE, value[code6]!);
        if (valid[echoid6] === 1) to = writePair(bytes, view, to, ID, value[echoid6]!, ECHO_SEQ, value[echoseq6]!);
        return to;
      case IPPROTO_ESP:
      case IPPROTO_AH:
        // ulogd 2.0.8 calls ESP over IPv6 AH.
        to = (protocol === IPPROTO_AH || (compat && version === 6) ? AH : ESP).writeTo(view, to);
        if (valid[spi] === 0) break;
        to = writeHex(bytes, SPI.writeTo(view, to), value[spi]! | 0);
        bytes[to++] = SPACE;
        return to;
      default:
        return writeField(bytes, view, to, PROTO, protocol);
    }
    // A later fragment lacks nothing, as in the kernel's own lines; ulogd 2.0.8 calls it incomplete.
    return later && !compat ? to : incomplete.writeTo(view, to);
  };
}

function linkTcp(read: Slots<typeof printpktReads>): (record: Record, at: number) => number {
  const { 'tcp.sport': sport, 'tcp.dport': dport, 'tcp.seq': seq, 'tcp.ackseq': ackseq, 'tcp.window': window } = read;
  const { 'tcp.urg': urg, 'tcp.ack': ack, 'tcp.psh': psh, 'tcp.rst': rst, 'tcp.syn': syn, 'tcp.fin': fin } = read;
  const urgp = read['tcp.urgp'];
  return (record, at) => {
    const { bytes, view, value, valid } = record;
    const flags =
      (value[urg]! << 5) |
      (value[ack]! << 4) |
      (value[psh]! << 3) |
      (value[rst]! << 2) |
      (value[syn]! << 1) |
      value[fin]!;
    let to = writePair(bytes, view, at, TCP_SPT, value[sport]!, DPT, value[dport]!);
    to = writePair(bytes, view, to, SEQ, value[seq]! | 0, ACK, value[ackseq]! | 0);
    to = writeDecimal(view, WINDOW.writeTo(view, to), value[window]!);
    return writeField(bytes, view, to, FLAGS[flags]!, valid[urgp] === 1 ? value[urgp]! : 0);
  };
}

function linkIcmp(read: Slots<typeof printpktReads>, compat: boolean): (record: Record, at: number) => number {
  const { 'icmp.type': type, 'icmp.code': code, 'icmp.echoid': echoid, 'icmp.echoseq': echoseq } = read;
  const { 'icmp.gateway': gateway, 'icmp.fragmtu': fragmtu } = read;
  return (record, at) => {
    const { bytes, view, value, valid } = record;
    let to = writePair(bytes, view, at, TYPE, value[type]!, CODE, value[code]!);
    // ulogd 2.0.8 chooses what follows by the code, and shows 0 for what the packet does not have.
    switch (value[compat ? code : type]) {
      case ICMP_ECHO_REPLY:
      case ICMP_ECHO: {
        const known = valid[echoid] === 1;
        return writePair(bytes, view, to, ID, known ? value[echoid]! : 0, ECHO_SEQ, known ? value[echoseq]! : 0);
      }
      case ICMP_REDIRECT:
        if (valid[gateway] === 0) return NO_GATEWAY.writeTo(view, to);
        to = writeIpv4(bytes, GATEWAY.writeTo(view, to), bytes, value[gateway]!);
        bytes[to++] = SPACE;
        return to;
      case ICMP_PARAMETER_PROBLEM: {
        // RFC 792: the pointer is the first byte; compat has the four bytes in reverse.
        const pointer = valid[gateway] === 1 ? bytes[value[gateway]! + (compat ? 3 : 0)]! : 0;
        return writeField(bytes, view, to, PARAMETER, pointer);
      }
    }
    return valid[fragmtu] === 1 && !compat ? writeField(bytes, view, to, MTU, value[fragmtu]!) : to;
  };
}
