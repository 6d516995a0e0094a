import { defineOutput } from '../pipeline/plugin.ts';
import type { Record } from '../pipeline/record.ts';
import { writeDecimal, writeShort, writeWideDecimal } from '../wire/ascii.ts';
import { IPPROTO_ICMP } from '../wire/ip.ts';
import { fileOptions } from './file-options.ts';
import { fileSink, serviceOf } from './file-sink.ts';
import { gapAsText } from './gap-text.ts';

const TAB = 0x09;
const NEWLINE = 0x0a;
/** Eight numbers and their tabs. */
const ROOM = 8 * 21;

/** NACCT: traffic of a connection, in the format of net-acct. */
export default defineOutput({
  name: 'NACCT',
  summary: 'Writes each ended connection as a line of net-acct: time, protocol, ends, packets, bytes.',
  accepts: ['packet', 'flow'],
  example: 'stack=ct1:NFCT,ip2str1:IP2STR,nacct1:NACCT',
  options: fileOptions('/var/log/ulogd_nacct.log'),
  reads: {
    'orig.ip.saddr.str': { type: 'string' },
    'orig.ip.daddr.str': { type: 'string' },
    'orig.ip.protocol': { type: 'u8' },
    'orig.l4.sport': { type: 'u16' },
    'orig.l4.dport': { type: 'u16' },
    'orig.raw.pktlen': { type: 'u64', optional: true },
    'orig.raw.pktcount': { type: 'u64', optional: true },
    'reply.raw.pktlen': { type: 'u64' },
    'reply.raw.pktcount': { type: 'u64' },
    'icmp.code': { type: 'u8' },
    'icmp.type': { type: 'u8' },
    'flow.end.sec': { type: 'u32' },
  },
  link(link) {
    const { options, read, compat } = link;
    const file = fileSink(link, 'NACCT', options.file);
    const { 'orig.ip.saddr.str': saddr, 'orig.ip.daddr.str': daddr, 'orig.ip.protocol': protocol } = read;
    const { 'orig.l4.sport': sport, 'orig.l4.dport': dport, 'icmp.type': type, 'icmp.code': code } = read;
    const { 'orig.raw.pktlen': sentBytes, 'orig.raw.pktcount': sentPackets } = read;
    const { 'reply.raw.pktlen': gotBytes, 'reply.raw.pktcount': gotPackets, 'flow.end.sec': end } = read;

    /** Traffic of both directions; ulogd2 counts that of the replies alone. */
    function writeTotal(
      bytes: Uint8Array,
      view: DataView,
      at: number,
      { value, extra, valid }: Record,
      sent: number,
      got: number,
    ): number {
      let low = valid[got] === 1 ? value[got]! : 0;
      let high = valid[got] === 1 ? extra[got]! : 0;
      if (!compat && valid[sent] === 1) {
        low += value[sent]!;
        high += extra[sent]! + (low > 0xffffffff ? 1 : 0);
      }
      return writeWideDecimal(bytes, view, at, high, low >>> 0);
    }

    return {
      run(record) {
        const { value, extra, valid } = record;
        const { buffer } = file;
        const sourceLength = valid[saddr] === 1 ? extra[saddr]! : 0;
        const destinationLength = valid[daddr] === 1 ? extra[daddr]! : 0;
        buffer.ensure(ROOM + sourceLength + destinationLength);
        const { bytes, view } = buffer;
        const carried = valid[protocol] === 1 ? value[protocol]! : 0;
        const source = carried === IPPROTO_ICMP ? type : sport;
        const destination = carried === IPPROTO_ICMP ? code : dport;

        let at = writeDecimal(view, buffer.length, valid[end] === 1 ? value[end]! | 0 : 0);
        bytes[at] = TAB;
        at = writeDecimal(view, at + 1, carried);
        bytes[at] = TAB;
        at = writeShort(view, at + 1, record.view, value[saddr]!, sourceLength);
        bytes[at] = TAB;
        at = writeDecimal(view, at + 1, valid[source] === 1 ? value[source]! : 0);
        bytes[at] = TAB;
        at = writeShort(view, at + 1, record.view, value[daddr]!, destinationLength);
        bytes[at] = TAB;
        at = writeDecimal(view, at + 1, valid[destination] === 1 ? value[destination]! : 0);
        bytes[at] = TAB;
        at = writeTotal(bytes, view, at + 1, record, sentPackets, gotPackets);
        bytes[at] = TAB;
        at = writeTotal(bytes, view, at + 1, record, sentBytes, gotBytes);
        bytes[at] = NEWLINE;
        file.endLine(at + 1);
        return true;
      },
      ...serviceOf(file),
      gap: (gap) => file.note(`# flowlogd: ${gapAsText(gap)}`),
    };
  },
});
