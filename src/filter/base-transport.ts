import type { Memory } from '../pipeline/memory.ts';
import type { Slots } from '../pipeline/plugin.ts';
import type { Record } from '../pipeline/record.ts';
import {
  AH_HEADER,
  ESP_HEADER,
  ICMP_ECHO,
  ICMP_ECHO_REPLY,
  ICMP_FRAGMENTATION_NEEDED,
  ICMP_HEADER,
  ICMP_PARAMETER_PROBLEM,
  ICMP_REDIRECT,
  ICMP_UNREACHABLE,
  ICMPV6_ECHO,
  ICMPV6_ECHO_REPLY,
  IPPROTO_AH,
  IPPROTO_ESP,
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_SCTP,
  IPPROTO_TCP,
  IPPROTO_UDP,
  SCTP_HEADER,
  TCP_HEADER,
  UDP_HEADER,
} from '../wire/ip.ts';
import type { baseKeys } from './base-keys.ts';

/** Decodes the transport header between two offsets; a header that is not all there leaves its keys unwritten. */
export type DecodeTransport = (record: Record, protocol: number, start: number, end: number, version: 4 | 6) => void;

/** The transport half of BASE: TCP, UDP, SCTP, ICMP, ICMPv6, and the SPI of AH and ESP. */
export function linkTransport(write: Slots<typeof baseKeys>, memory: Memory, compat: boolean): DecodeTransport {
  const tcp = linkTcp(write, compat);
  const icmp = linkIcmp(write, memory, compat);
  const icmpv6 = linkIcmpv6(write, compat);
  const { 'udp.sport': udpSport, 'udp.dport': udpDport, 'udp.len': udpLen, 'udp.csum': udpCsum } = write;
  const { 'sctp.sport': sctpSport, 'sctp.dport': sctpDport, 'sctp.csum': sctpCsum, 'ahesp.spi': spi } = write;

  return (record, protocol, start, end, version) => {
    const { view } = record;
    const size = end - start;
    switch (protocol) {
      case IPPROTO_TCP:
        if (size >= TCP_HEADER) tcp(record, start);
        break;
      case IPPROTO_UDP:
        if (size < UDP_HEADER) break;
        record.setNumber(udpSport, view.getUint16(start));
        record.setNumber(udpDport, view.getUint16(start + 2));
        record.setNumber(udpLen, view.getUint16(start + 4));
        record.setNumber(udpCsum, view.getUint16(start + 6));
        break;
      case IPPROTO_ICMP:
        if (size >= ICMP_HEADER && version === 4) icmp(record, start);
        break;
      case IPPROTO_ICMPV6:
        if (size >= ICMP_HEADER && version === 6) icmpv6(record, start);
        break;
      case IPPROTO_SCTP:
        // ulogd 2.0.8 knows SCTP over IPv4 only.
        if (size < SCTP_HEADER || (compat && version === 6)) break;
        record.setNumber(sctpSport, view.getUint16(start));
        record.setNumber(sctpDport, view.getUint16(start + 2));
        record.setNumber(sctpCsum, view.getUint32(start + 8));
        break;
      // ulogd 2.0.8 has the key but never sets it.
      case IPPROTO_AH:
        if (size >= AH_HEADER && !compat) record.setNumber(spi, view.getUint32(start + 4));
        break;
      case IPPROTO_ESP:
        if (size >= ESP_HEADER && !compat) record.setNumber(spi, view.getUint32(start));
    }
  };
}

type Decode = (record: Record, start: number) => void;

function linkTcp(write: Slots<typeof baseKeys>, compat: boolean): Decode {
  const { 'tcp.sport': sport, 'tcp.dport': dport, 'tcp.seq': seq, 'tcp.ackseq': ackseq, 'tcp.window': window } = write;
  const { 'tcp.offset': offset, 'tcp.reserved': reserved, 'tcp.csum': csum, 'tcp.urgp': urgp } = write;
  const { 'tcp.urg': urg, 'tcp.ack': ack, 'tcp.psh': psh, 'tcp.rst': rst, 'tcp.syn': syn, 'tcp.fin': fin } = write;
  const { 'tcp.res1': res1, 'tcp.res2': res2 } = write;
  return (record, start) => {
    const { view } = record;
    record.setNumber(sport, view.getUint16(start));
    record.setNumber(dport, view.getUint16(start + 2));
    record.setNumber(seq, view.getUint32(start + 4));
    record.setNumber(ackseq, view.getUint32(start + 8));
    // RFC 9293: data offset (4 bits), reserved (4), CWR ECE URG ACK PSH RST SYN FIN.
    const control = view.getUint16(start + 12);
    record.setNumber(urg, (control >> 5) & 1);
    record.setNumber(ack, (control >> 4) & 1);
    record.setNumber(psh, (control >> 3) & 1);
    record.setNumber(rst, (control >> 2) & 1);
    record.setNumber(syn, (control >> 1) & 1);
    record.setNumber(fin, control & 1);
    const spare = (control >> 8) & 15;
    const congestion = (control >> 6) & 3;
    // ulogd 2.0.8 puts the bits themselves into booleans, and cuts the other two down to nothing.
    record.setNumber(res1, compat ? spare : spare === 0 ? 0 : 1);
    record.setNumber(res2, compat ? congestion : congestion === 0 ? 0 : 1);
    record.setNumber(reserved, compat ? 0 : spare);
    record.setNumber(offset, compat ? 0 : control >> 12);
    record.setNumber(window, view.getUint16(start + 14));
    record.setNumber(csum, view.getUint16(start + 16));
    if ((control & 0x20) !== 0) record.setNumber(urgp, view.getUint16(start + 18));
  };
}

function linkIcmp(write: Slots<typeof baseKeys>, memory: Memory, compat: boolean): Decode {
  const { 'icmp.type': typeSlot, 'icmp.code': codeSlot, 'icmp.csum': csum, 'icmp.gateway': gateway } = write;
  const { 'icmp.echoid': echoid, 'icmp.echoseq': echoseq, 'icmp.fragmtu': fragmtu } = write;
  const reversed = memory.reserve(4);
  return (record, start) => {
    const { view } = record;
    const type = view.getUint8(start);
    const code = view.getUint8(start + 1);
    record.setNumber(typeSlot, type);
    record.setNumber(codeSlot, code);
    record.setNumber(csum, view.getUint16(start + 2, compat)); // unswapped by ulogd 2.0.8
    switch (type) {
      case ICMP_ECHO_REPLY:
      case ICMP_ECHO:
        record.setNumber(echoid, view.getUint16(start + 4));
        record.setNumber(echoseq, view.getUint16(start + 6));
        break;
      case ICMP_REDIRECT:
      case ICMP_PARAMETER_PROBLEM:
        if (!compat) {
          record.setBytes(gateway, start + 4, 4);
          break;
        }
        view.setUint32(reversed, view.getUint32(start + 4), true);
        record.setBytes(gateway, reversed, 4);
        break;
      case ICMP_UNREACHABLE:
        if (code === ICMP_FRAGMENTATION_NEEDED) record.setNumber(fragmtu, view.getUint16(start + 6));
    }
  };
}

function linkIcmpv6(write: Slots<typeof baseKeys>, compat: boolean): Decode {
  const { 'icmpv6.type': typeSlot, 'icmpv6.code': code, 'icmpv6.csum': csum } = write;
  const { 'icmpv6.echoid': echoid, 'icmpv6.echoseq': echoseq } = write;
  return (record, start) => {
    const { view } = record;
    const type = view.getUint8(start);
    record.setNumber(typeSlot, type);
    record.setNumber(code, view.getUint8(start + 1));
    record.setNumber(csum, view.getUint16(start + 2, compat)); // unswapped by ulogd 2.0.8
    if (type !== ICMPV6_ECHO && type !== ICMPV6_ECHO_REPLY) return;
    record.setNumber(echoid, view.getUint16(start + 4));
    record.setNumber(echoseq, view.getUint16(start + 6));
  };
}
