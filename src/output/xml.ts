import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { defineOutput } from '../pipeline/plugin.ts';
import { ABSENT, type Record } from '../pipeline/record.ts';
import { LocalTime } from '../system/local-time.ts';
import type { FileSeries } from '../system/named-file.ts';
import { Literal, writeBytes, writeText } from '../wire/ascii.ts';
import { ConntrackEntry, decodeConntrack, decodeConntrackAttributes } from '../wire/conntrack.ts';
import { flowXmlRoom, writeFlowXml } from '../wire/flow-xml.ts';
import { LineBuffer } from '../wire/line-buffer.ts';
import { decodeNfacct, NfacctCounter } from '../wire/nfacct.ts';
import { decodePacket, NflogPacket } from '../wire/nflog.ts';
import { packetXmlRoom, writePacketXml } from '../wire/packet-xml.ts';
import { writeXmlText, xmlTextRoom } from '../wire/xml-text.ts';
import { keepingOptions } from './file-options.ts';
import { fileSink, serviceOf } from './file-sink.ts';
import { gapAsText } from './gap-text.ts';

const EVERY_ATTRIBUTE = 0xffffffff;
const NEWLINE = 0x0a;
const DECLARATION = '<?xml version="1.0" encoding="utf-8"?>\n';
const WHEN_ROOM = 200;

/** What a file is about: part of its name, and the element that holds all records. */
const SUBJECTS = {
  packet: { name: 'pkt', root: 'packet' },
  flow: { name: 'flow', root: 'conntrack' },
  sum: { name: 'sum', root: 'sum' },
} as const;

/** XML: events as the libraries of Netfilter describe them. */
export default defineOutput({
  name: 'XML',
  summary: 'Writes each event as XML, into a file that is named by the time and closed at SIGHUP.',
  accepts: ['raw', 'packet', 'flow', 'sum'],
  example: 'stack=ct1:NFCT,xml1:XML',
  options: {
    directory: { type: 'string', path: 'folder', default: '/var/log/', doc: 'Directory of the files.' },
    ...keepingOptions,
    stdout: { type: 'bool', default: false, doc: 'Write to standard output instead.' },
  },
  reads: {
    ct: { type: 'raw', optional: true },
    raw: { type: 'raw', optional: true },
    sum: { type: 'raw', optional: true },
  },
  link(link) {
    const { options, read, compat, clock } = link;
    const subject = read.raw !== ABSENT ? SUBJECTS.packet : read.sum !== ABSENT ? SUBJECTS.sum : SUBJECTS.flow;
    const file = fileSink(link, 'XML', options.stdout ? '/dev/stdout' : filesOf(options.directory, subject.name), {
      header: Buffer.from(`${DECLARATION}<${subject.root}>\n`),
      footer: Buffer.from(`</${subject.root}>\n`),
    });
    const time = new LocalTime();
    const fields = new LineBuffer(256);
    const when = new LineBuffer(256);
    const packet = new NflogPacket();
    const entry = new ConntrackEntry();
    const counter = new NfacctCounter();

    /** Makes the elements of the present time, once a second. */
    function readTime(): void {
      if (!time.update(clock.seconds)) return;
      const [year, month, day, hour, minute, second] = time.iso.split(/\D/) as [
        string, string, string, string, string, string,
      ]; // biome-ignore format: six of them
      const weekday = new Date(Date.UTC(Number(year), Number(month) - 1, Number(day))).getUTCDay() + 1;
      const texts =
        `<hour>${Number(hour)}</hour><min>${minute}</min><sec>${second}</sec><wday>${weekday}</wday>` +
        `<day>${Number(day)}</day><month>${Number(month)}</month><year>${year}</year>`;
      fields.length = 0;
      fields.append(texts);
      when.length = 0;
      when.append(`<when>${texts}</when>`);
    }

    /** Writes what the record holds at the end of the buffer; returns the offset behind it. */
    function write(buffer: LineBuffer, record: Record): number {
      const { value, extra, valid, view } = record;
      const start = buffer.length;
      let at = start;
      if (valid[read.raw] === 1) {
        const from = value[read.raw]!;
        if (!decodePacket(view, from, from + extra[read.raw]!, packet, EVERY_ATTRIBUTE)) return start;
        buffer.ensure(WHEN_ROOM + packetXmlRoom(packet));
        at = writePacketXml(buffer.bytes, buffer.view, at, packet, record.bytes, when, compat);
      }
      if (valid[read.ct] === 1) {
        const from = value[read.ct]!;
        const to = from + extra[read.ct]!;
        // Beside a packet the kernel sends the attributes alone, without the family.
        if (at > start) entry.family = packet.family;
        const decoded =
          at > start
            ? decodeConntrackAttributes(view, from, to, entry, EVERY_ATTRIBUTE)
            : decodeConntrack(view, from, to, entry, EVERY_ATTRIBUTE);
        if (decoded) {
          buffer.length = at;
          buffer.ensure(WHEN_ROOM + flowXmlRoom(entry));
          buffer.length = start;
          at = writeFlowXml(buffer.bytes, buffer.view, at, entry, record.bytes, when, clock.seconds, compat);
        }
      }
      if (valid[read.sum] === 1) {
        const from = value[read.sum]!;
        if (!decodeNfacct(view, from, from + extra[read.sum]!, counter)) return start;
        buffer.ensure(WHEN_ROOM * 2 + xmlTextRoom(counter.nameLength));
        at = writeSum(buffer, at, record);
      }
      return at;
    }

    function writeSum({ bytes, view }: LineBuffer, at: number, record: Record): number {
      let to = OBJ.writeTo(view, at);
      to = writeXmlText(bytes, view, to, record.bytes, counter.nameOffset, counter.nameLength, compat);
      to = PKTS.writeTo(view, to);
      to = writeTwentyDigits(bytes, to, counter.packetsHigh, counter.packetsLow);
      to = BYTES.writeTo(view, to);
      to = writeTwentyDigits(bytes, to, counter.bytesHigh, counter.bytesLow);
      to = writeBytes(view, BYTES_CLOSE.writeTo(view, to), fields.view, 0, fields.length);
      return OBJ_CLOSE.writeTo(view, to);
    }

    return {
      run(record) {
        readTime();
        const { buffer } = file;
        const start = buffer.length;
        const end = write(buffer, record);
        if (end === start) return false;
        buffer.bytes[end] = NEWLINE;
        file.endLine(end + 1);
        return true;
      },
      ...serviceOf(file),
      // Nothing ends a comment before its time.
      gap: (gap) => file.note(`<!-- flowlogd: ${gapAsText(gap).replaceAll('--', '- -')} -->`),
    };
  },
});

const OBJ = new Literal('<obj><name>');
const PKTS = new Literal('</name><pkts>');
const BYTES = new Literal('</pkts><bytes>');
const BYTES_CLOSE = new Literal('</bytes>');
const OBJ_CLOSE = new Literal('</obj>');

/** A counter as libnetfilter_acct pads it. Counters are read every few seconds: no need for speed. */
function writeTwentyDigits(bytes: Uint8Array, at: number, high: number, low: number): number {
  return writeText(bytes, at, ((BigInt(high) << 32n) | BigInt(low)).toString().padStart(20, '0'));
}

/** Files that are named by the time at which they are begun, as ulogd2 names them. */
function filesOf(directory: string, subject: string): FileSeries {
  const start = `ulogd-${subject}-`;
  return {
    directory,
    next() {
      const time = new LocalTime();
      time.update(Math.floor(Date.now() / 1000));
      const [year, month, day, hour, minute, second] = time.iso.split(/\D/);
      const name = join(directory, `${start}${day}${month}${year}-${hour}${minute}${second}`);
      // Two in the same second: the first one is closed, and nothing can come behind its end.
      for (let other = 1, path = `${name}.xml`; ; path = `${name}-${other++}.xml`) if (!existsSync(path)) return path;
    },
    names: {
      renames: false,
      order(name) {
        if (!name.startsWith(start)) return undefined;
        const [, day, month, year, rest = ''] =
          /^(\d\d)(\d\d)(\d{4})-(\d{6}(?:-\d+)?)\.xml$/.exec(name.slice(start.length)) ?? [];
        return day === undefined ? undefined : `${year}${month}${day}-${rest}`;
      },
    },
  };
}
