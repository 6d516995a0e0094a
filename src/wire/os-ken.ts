import {
  IPPROTO_ICMP,
  IPPROTO_ICMPV6,
  IPPROTO_TCP,
  IPPROTO_UDP,
  IPV4_FRAGMENT_OFFSET,
  IPV4_HEADER,
  IPV6_HEADER,
  TCP_HEADER,
  UDP_HEADER,
} from './ip.ts';
import { ipText } from './ip-text.ts';

/**
 * Packets as os-ken's `str()` writes them, which is what stands behind `pkt=` in Neutron's packet log: the name of a header and its
 * fields by name, one header behind the other (os_ken/lib/stringify.py; neutron_fwaas/privileged/netfilter_log). It makes
 * strings: the log is limited to some hundred lines a second.
 */

const ETHERNET = 14;
const ETHERTYPE_IPV4 = 0x0800;
const ETHERTYPE_IPV6 = 0x86dd;
const ICMP_ECHO = new Set([0, 8]);
const ICMPV6_ECHO = new Set([128, 129]);
const ICMP_UNREACHABLE = 3;
const ICMP_TIME_EXCEEDED = 11;

/** The Ethernet header in `size` bytes at `at`; empty when there is none. */
export function describeEthernet(view: DataView, at: number, size: number): string {
  if (size < ETHERNET) return '';
  const type = view.getUint16(at + 12);
  return `ethernet(dst='${macText(view, at)}',ethertype=${type},src='${macText(view, at + 6)}')`;
}

/** The network and transport headers of the packet between `at` and `end`. What is cut off is left out. */
export function describePacket(view: DataView, at: number, end: number, ethertype: number): string {
  if (ethertype === ETHERTYPE_IPV4 && end - at >= IPV4_HEADER) return ipv4(view, at, end);
  if (ethertype === ETHERTYPE_IPV6 && end - at >= IPV6_HEADER) return ipv6(view, at, end);
  return `Does not support hw_proto: ${ethertype}`;
}

function ipv4(view: DataView, at: number, end: number): string {
  const words = view.getUint8(at) & 15;
  const header = Math.min(Math.max(words * 4, IPV4_HEADER), end - at);
  const fragment = view.getUint16(at + 6);
  const total = view.getUint16(at + 2);
  const protocol = view.getUint8(at + 9);
  const option = header > IPV4_HEADER ? bytesText(view, at + IPV4_HEADER, at + header) : 'None';
  const own =
    `ipv4(csum=${view.getUint16(at + 10)},dst='${addressText(view, at + 16, 4)}',flags=${fragment >> 13},header_length=${words},` +
    `identification=${view.getUint16(at + 4)},offset=${fragment & IPV4_FRAGMENT_OFFSET},option=${option},proto=${protocol},` +
    `src='${addressText(view, at + 12, 4)}',tos=${view.getUint8(at + 1)},total_length=${total},ttl=${view.getUint8(at + 8)},` +
    `version=${view.getUint8(at) >> 4})`;
  // A later fragment has no transport header, whatever its first bytes look like.
  if ((fragment & IPV4_FRAGMENT_OFFSET) !== 0) return own;
  return own + transport(view, protocol, at + header, Math.min(end, at + Math.max(total, header)));
}

function ipv6(view: DataView, at: number, end: number): string {
  const first = view.getUint32(at);
  const next = view.getUint8(at + 6);
  const payload = view.getUint16(at + 4);
  const own =
    `ipv6(dst='${addressText(view, at + 24, 16)}',ext_hdrs=[],flow_label=${first & 0xfffff},hop_limit=${view.getUint8(at + 7)},` +
    `nxt=${next},payload_length=${payload},src='${addressText(view, at + 8, 16)}',traffic_class=${(first >>> 20) & 0xff},version=${first >>> 28})`;
  return own + transport(view, next, at + IPV6_HEADER, Math.min(end, at + IPV6_HEADER + payload));
}

function transport(view: DataView, protocol: number, at: number, end: number): string {
  const size = end - at;
  if (protocol === IPPROTO_TCP && size >= TCP_HEADER) return tcp(view, at, end);
  if (protocol === IPPROTO_UDP && size >= UDP_HEADER) {
    return `udp(csum=${view.getUint16(at + 6)},dst_port=${view.getUint16(at + 2)},src_port=${view.getUint16(at)},total_length=${view.getUint16(at + 4)})`;
  }
  if ((protocol === IPPROTO_ICMP || protocol === IPPROTO_ICMPV6) && size >= 4) return icmp(view, protocol, at, end);
  return '';
}

function tcp(view: DataView, at: number, end: number): string {
  const offset = view.getUint8(at + 12) >> 4;
  const behind = Math.min(at + offset * 4, end);
  const option = offset * 4 > TCP_HEADER ? options(view, at + TCP_HEADER, behind) : 'None';
  return (
    `tcp(ack=${view.getUint32(at + 8)},bits=${view.getUint8(at + 13) & 0x3f},csum=${view.getUint16(at + 16)},` +
    `dst_port=${view.getUint16(at + 2)},offset=${offset},option=${option},seq=${view.getUint32(at + 4)},` +
    `src_port=${view.getUint16(at)},urgent=${view.getUint16(at + 18)},window_size=${view.getUint16(at + 14)})`
  );
}

/** Options as objects; as bytes when they are broken. */
function options(view: DataView, from: number, end: number): string {
  const found: string[] = [];
  for (let at = from; at < end; ) {
    const kind = view.getUint8(at);
    if (kind < 2) {
      found.push(`${kind === 0 ? 'TCPOptionEndOfOptionList' : 'TCPOptionNoOperation'}(kind=${kind},length=1)`);
      at++;
      continue;
    }
    const length = at + 1 < end ? view.getUint8(at + 1) : 0;
    if (length < 2 || at + length > end) return bytesText(view, from, end);
    found.push(option(view, at, kind, length));
    at += length;
  }
  return `[${found.join(', ')}]`;
}

function option(view: DataView, at: number, kind: number, length: number): string {
  const own = `kind=${kind},length=${length}`;
  if (kind === 2 && length === 4) return `TCPOptionMaximumSegmentSize(${own},max_seg_size=${view.getUint16(at + 2)})`;
  if (kind === 3 && length === 3) return `TCPOptionWindowScale(${own},shift_cnt=${view.getUint8(at + 2)})`;
  if (kind === 4 && length === 2) return `TCPOptionSACKPermitted(${own})`;
  if (kind === 5 && length % 8 === 2) {
    const blocks = Array.from({ length: (length - 2) / 8 }, (_, i) => {
      const left = view.getUint32(at + 2 + 8 * i);
      return `(${left}, ${view.getUint32(at + 6 + 8 * i)})`;
    });
    return `TCPOptionSACK(blocks=[${blocks.join(', ')}],${own})`;
  }
  if (kind === 8 && length === 10) {
    return `TCPOptionTimestamps(${own},ts_ecr=${view.getUint32(at + 6)},ts_val=${view.getUint32(at + 2)})`;
  }
  return `TCPOptionUnknown(${own},value=${bytesText(view, at + 2, at + length)})`;
}

function icmp(view: DataView, protocol: number, at: number, end: number): string {
  const type = view.getUint8(at);
  const isV4 = protocol === IPPROTO_ICMP;
  const named = end - at >= 8;
  let data = bytesText(view, at + 4, end);
  const rest = end > at + 8 ? bytesText(view, at + 8, end) : 'None';
  if (named && (isV4 ? ICMP_ECHO : ICMPV6_ECHO).has(type)) {
    data = `echo(data=${rest},id=${view.getUint16(at + 4)},seq=${view.getUint16(at + 6)})`;
  } else if (named && isV4 && type === ICMP_UNREACHABLE) {
    data = `dest_unreach(data=${rest},data_len=${view.getUint8(at + 5)},mtu=${view.getUint16(at + 6)})`;
  } else if (named && isV4 && type === ICMP_TIME_EXCEEDED) {
    data = `TimeExceeded(data=${rest},data_len=${view.getUint8(at + 5)})`;
  }
  const head = `code=${view.getUint8(at + 1)},csum=${view.getUint16(at + 2)},data=${data}`;
  return isV4 ? `icmp(${head},type=${type})` : `icmpv6(${head},type_=${type})`;
}

/** Bytes as Python's repr() writes them: printable ASCII, so that no payload can end a line or speak to a terminal. */
export function bytesText(view: DataView, from: number, to: number): string {
  const bytes = Buffer.from(view.buffer, view.byteOffset + from, Math.max(0, to - from));
  const quote = bytes.includes(0x27) && !bytes.includes(0x22) ? '"' : "'";
  let text = '';
  for (const byte of bytes) {
    const character = String.fromCharCode(byte);
    if (character === '\\' || character === quote) text += `\\${character}`;
    else if (byte >= 0x20 && byte < 0x7f) text += character;
    else text += SHORT[byte] ?? `\\x${byte.toString(16).padStart(2, '0')}`;
  }
  return `b${quote}${text}${quote}`;
}

const SHORT: Readonly<Record<number, string>> = { 9: '\\t', 10: '\\n', 13: '\\r' };

function macText(view: DataView, at: number): string {
  return Buffer.from(view.buffer, view.byteOffset + at, 6)
    .toString('hex')
    .replace(/..(?=.)/g, '$&:');
}

function addressText(view: DataView, at: number, length: number): string {
  return ipText(new Uint8Array(view.buffer, view.byteOffset + at, length));
}
