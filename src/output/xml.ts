import { join } from 'node:path';
import type { OutputAccount } from '../pipeline/ledger.ts';
import { defineOutput } from '../pipeline/plugin.ts';
import { ABSENT, type Record } from '../pipeline/record.ts';
import { LocalTime } from '../system/local-time.ts';
import { OutputFile } from '../system/output-file.ts';
import { Literal, writeBytes, writeText } from '../wire/ascii.ts';
import { ConntrackEntry, decodeConntrack, decodeConntrackAttributes } from '../wire/conntrack.ts';
import { flowXmlRoom, writeFlowXml } from '../wire/flow-xml.ts';
import { LineBuffer } from '../wire/line-buffer.ts';
import { decodeNfacct, NfacctCounter } from '../wire/nfacct.ts';
import { decodePacket, NflogPacket } from '../wire/nflog.ts';
import { packetXmlRoom, writePacketXml } from '../wire/packet-xml.ts';
import { writeXmlText, xmlTextRoom } from '../wire/xml-text.ts';

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
    sync: { type: 'bool', default: false, doc: 'Write each batch before the next is read; flowlogd always does.' },
    stdout: { type: 'bool', default: false, doc: 'Write to standard output instead.' },
  },
  reads: {
    ct: { type: 'raw', optional: true },
    raw: { type: 'raw', optional: true },
    sum: { type: 'raw', optional: true },
  },
  link({ options, read, compat, shared, clock, log, id }) {
    const report = (message: string): void => log.error(`${id}:XML: ${message}`);
    const subject = read.raw !== ABSENT ? SUBJECTS.packet : read.sum !== ABSENT ? SUBJECTS.sum : SUBJECTS.flow;
    const sink = shared(() => new XmlFile(options.stdout ? undefined : options.directory, subject, report));
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
          at = writeFlowXml(buffer.bytes, buffer.view, at, entry, record.bytes, when);
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
        const { file } = sink;
        const { buffer } = file;
        const start = buffer.length;
        const end = write(buffer, record);
        if (end === start) return false;
        buffer.bytes[end] = NEWLINE;
        file.endLine(end + 1);
        return true;
      },
      start: () => sink.open(),
      flush: () => sink.file.flush(),
      reopen: () => sink.reopen(),
      stop: () => sink.close(),
      account: () => sink.account(),
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

/** A file whose name has the time of its opening in it, with a root element that is closed before the file is. */
class XmlFile {
  file: OutputFile;
  readonly #directory: string | undefined;
  readonly #subject: { readonly name: string; readonly root: string };
  readonly #report: (message: string) => void;
  #isOpen = false;
  /** Counts of the files that are closed. */
  readonly #before = { written: 0, dropped: 0, bytes: 0 };

  constructor(
    directory: string | undefined,
    subject: { readonly name: string; readonly root: string },
    report: (message: string) => void,
  ) {
    this.#directory = directory;
    this.#subject = subject;
    this.#report = report;
    this.file = this.#next();
  }

  open(): void {
    if (this.#isOpen) return;
    this.file = this.#next();
    this.file.open();
    this.#isOpen = true;
  }

  reopen(): void {
    this.close();
    try {
      this.open();
    } catch (error) {
      this.#report((error as Error).message); // tried again with the next batch
      this.#isOpen = true;
    }
  }

  close(): void {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.file.note(`</${this.#subject.root}>`);
    this.file.close();
    this.#before.written += this.file.records;
    this.#before.dropped += this.file.dropped;
    this.#before.bytes += this.file.written;
  }

  /** What became of the records of all files. */
  account(): OutputAccount {
    const { written, dropped, bytes } = this.#before;
    const now = this.#isOpen ? this.file : { records: 0, dropped: 0, written: 0, pending: 0 };
    return {
      sink: this,
      written: written + now.records,
      queued: now.pending,
      dropped: { 'file not writable': dropped + now.dropped },
      bytes: bytes + now.written,
    };
  }

  #next(): OutputFile {
    const format = { header: Buffer.from(`${DECLARATION}<${this.#subject.root}>\n`) };
    return new OutputFile(this.#path(), this.#report, format);
  }

  #path(): string {
    if (this.#directory === undefined) return '/dev/stdout';
    const time = new LocalTime();
    time.update(Math.floor(Date.now() / 1000));
    const [year, month, day, hour, minute, second] = time.iso.split(/\D/);
    const name = `ulogd-${this.#subject.name}-${day}${month}${year}-${hour}${minute}${second}.xml`;
    return join(this.#directory, name);
  }
}
