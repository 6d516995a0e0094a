import { defineOutput } from '../pipeline/plugin.ts';
import type { Record } from '../pipeline/record.ts';
import { localOffset } from '../system/native.ts';
import { captureEnd } from '../system/torn-end.ts';
import { writeBytes } from '../wire/ascii.ts';
import { ARPHRD_ETHER, ETHERNET_HEADER, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_OFFSET } from '../wire/ethernet.ts';
import { IPV6_HEADER, NFPROTO_IPV4, NFPROTO_IPV6 } from '../wire/ip.ts';
import { LINKTYPE_ETHERNET, LINKTYPE_RAW, pcapHeader, pcapRecordEnd, writePcapRecord } from '../wire/pcap.ts';
import { fileOptions } from './file-options.ts';
import { fileSink, serviceOf } from './file-sink.ts';

/** What a packet takes beside itself: two headers, and what writeBytes writes too many. */
const ROOM = 64;

/** PCAP: packets for tcpdump and Wireshark. */
export default defineOutput({
  name: 'PCAP',
  summary: 'Writes packets to a file that tcpdump and Wireshark read.',
  accepts: ['packet'],
  example: 'stack=log1:NFLOG,base1:BASE,pcap1:PCAP',
  options: {
    ...fileOptions('/var/log/ulogd.pcap', 'packets'),
    snaplen: {
      type: 'int',
      default: 65536,
      min: 1,
      max: 262144,
      unit: 'bytes',
      doc: 'Bytes of each packet that are kept at most.',
    },
    linktype: {
      type: 'choice',
      choices: ['raw', 'ethernet'],
      default: 'raw',
      doc: 'What each packet begins with: its IP header, or an Ethernet header, which ARP and the like need.',
    },
  },
  reads: {
    'raw.pkt': { type: 'raw' },
    'raw.pktlen': { type: 'u32' },
    'ip.totlen': { type: 'u16' },
    'ip6.payloadlen': { type: 'u16' },
    'oob.time.sec': { type: 'u32' },
    'oob.time.usec': { type: 'u32' },
    'oob.family': { type: 'u8' },
    'oob.protocol': { type: 'u16', optional: true },
    'raw.mac': { type: 'raw', optional: true },
    'raw.type': { type: 'u16', optional: true },
  },
  link(link) {
    const { options, read, compat, clock, log, id } = link;
    const { snaplen } = options;
    const framed = options.linktype === 'ethernet';
    const linkType = framed ? LINKTYPE_ETHERNET : LINKTYPE_RAW;
    const header = pcapHeader(linkType, snaplen, compat ? secondsWest() : 0);
    const inspect = captureEnd(header);
    const file = fileSink(link, 'PCAP', options.file, {
      records: 'packets',
      header,
      inspect,
      recordEnd: pcapRecordEnd,
    });
    const { 'raw.pkt': packet, 'ip.totlen': totlen, 'ip6.payloadlen': payloadlen, 'oob.family': family } = read;
    const { 'oob.time.sec': second, 'oob.time.usec': microsecond, 'oob.protocol': protocol } = read;
    const { 'raw.mac': mac, 'raw.type': type } = read;
    let told = false;

    /** Bytes of the IP packet by its own header, -1 when it is none. */
    function lengthOf({ value, valid }: Record): number {
      if (valid[totlen] === 1) return value[totlen]!;
      return valid[payloadlen] === 1 ? value[payloadlen]! + IPV6_HEADER : -1;
    }

    /** As ulogd2: by the family of the rule, whether the packet was decoded or not. */
    function ulogdLengthOf({ value, extra, valid }: Record): number {
      if (value[family] === NFPROTO_IPV4) return valid[totlen] === 1 ? value[totlen]! : 0;
      if (value[family] === NFPROTO_IPV6) return (valid[payloadlen] === 1 ? value[payloadlen]! : 0) + IPV6_HEADER;
      return extra[packet]!;
    }

    /** Ethernet header of the packet: its own, or, where it came without, one that says only what follows. */
    function writeFrame(bytes: Uint8Array, view: DataView, at: number, record: Record): number {
      const { value, extra, valid } = record;
      if (valid[mac] === 1 && extra[mac]! >= ETHERNET_HEADER && valid[type] === 1 && value[type] === ARPHRD_ETHER) {
        return writeBytes(view, at, record.view, value[mac]!, ETHERNET_HEADER);
      }
      bytes.fill(0, at, at + ETHERNET_HEADER);
      let ethertype = valid[protocol] === 1 ? value[protocol]! : 0;
      if (valid[totlen] === 1) ethertype = ETHERTYPE_IPV4;
      else if (valid[payloadlen] === 1) ethertype = ETHERTYPE_IPV6;
      view.setUint16(at + ETHERTYPE_OFFSET, ethertype);
      return at + ETHERNET_HEADER;
    }

    function refuse(): boolean {
      if (!told) log.notice(`${id}:PCAP: packets that are not IP are left out: linktype=ethernet keeps them`);
      told = true;
      return false;
    }

    return {
      run(record) {
        const { value, extra, valid } = record;
        if (valid[packet] === 0) return false;
        const there = extra[packet]!;
        const stated = compat ? ulogdLengthOf(record) : lengthOf(record);
        if (stated < 0 && !framed) return refuse();
        const frame = framed ? ETHERNET_HEADER : 0;
        const kept = Math.min(there, Math.max(snaplen - frame, 0));
        // A header may state less than is there (padding, or nothing: offloads, jumbograms).
        const length = compat ? stated : Math.max(stated, there);
        const { buffer } = file;
        buffer.ensure(ROOM + kept);
        const { bytes, view } = buffer;
        const sec = valid[second] === 1 ? value[second]! | 0 : clock.seconds | 0;
        const usec = valid[microsecond] === 1 ? value[microsecond]! : 0;
        let at = writePcapRecord(view, buffer.length, sec, usec, kept + frame, length + frame);
        if (framed) at = writeFrame(bytes, view, at, record);
        file.endLine(writeBytes(view, at, record.view, value[packet]!, kept));
        return true;
      },
      ...serviceOf(file),
    };
  },
});

/** The C library's `timezone`: seconds west of Greenwich, without summer time. */
function secondsWest(): number {
  const year = new Date().getUTCFullYear();
  const offsets = [0, 6].map((month) => localOffset(Date.UTC(year, month, 1) / 1000));
  return -Math.min(...offsets);
}
