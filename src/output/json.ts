import type { UpstreamKey } from '../pipeline/plugin.ts';
import { defineOutput } from '../pipeline/plugin.ts';
import { ABSENT, type Record } from '../pipeline/record.ts';
import { LocalTime } from '../system/local-time.ts';
import { OutputFile } from '../system/output-file.ts';
import { Literal, writeBytes, writeDecimal, writePadded, writeWideDecimal } from '../wire/ascii.ts';
import { jsonStringRoom, writeJsonString } from '../wire/json-text.ts';

/** How a field's value is rendered. */
const NUMBER = 0;
const WIDE = 1;
const SIGNED_WIDE = 2;
const TEXT = 3;
const PLAIN_TEXT = 4;
const ACTION = 5;

/** Most bytes that a number, a time or an action takes. */
const VALUE_ROOM = 48;
const QUOTE = 0x22;
const ALLOWED = new Literal('"allowed"');
const BLOCKED = new Literal('"blocked"');

/** JSON: one object per line, as Logstash, Filebeat, Vector and jq read it. */
export default defineOutput({
  name: 'JSON',
  summary: 'Writes each event as one line of JSON.',
  accepts: ['packet', 'flow', 'sum'],
  example: 'stack=ct1:NFCT,ip2str1:IP2STR,json1:JSON',
  options: {
    file: { type: 'string', default: '/var/log/ulogd.json', doc: 'File that lines are appended to.' },
    sync: { type: 'bool', default: false, doc: 'Write each batch before the next is read; flowlogd always does.' },
    timestamp: { type: 'bool', default: true, doc: 'Begin with the time of the event.' },
    eventv1: {
      type: 'bool',
      default: false,
      doc: 'Begin with "@version": 1 and name the time "@timestamp", as Logstash does.',
    },
    device: { type: 'string', default: 'Netfilter', doc: 'Value of "dvc", the device that the event came from.' },
    boolean_label: {
      type: 'bool',
      default: false,
      doc: 'Write the packet label as "action": "allowed" or "blocked" instead of "raw.label".',
    },
    mode: { type: 'choice', choices: ['file'], default: 'file', doc: 'Where lines go.' },
  },
  reads: 'every',
  link({ options, upstream, record, compat, shared, log, id }) {
    const file = shared(() => new OutputFile(options.file, (message) => log.error(`${id}:JSON: ${message}`)));
    const head = new Head(options, upstream);
    const fields = new Fields(upstream, options.boolean_label, compat);
    const time = new LocalTime();

    function run(): boolean {
      const { buffer } = file;
      buffer.ensure(head.room + fields.room(record));
      const at = head.write(buffer.bytes, buffer.view, buffer.length, record, time, compat);
      const end = fields.write(buffer.bytes, buffer.view, at, record);
      buffer.bytes[end] = 0x7d; // }
      buffer.bytes[end + 1] = 0x0a;
      file.endLine(end + 2);
      return true;
    }

    return {
      run,
      start: () => file.open(),
      flush: () => file.flush(),
      reopen: () => file.reopen(),
      stop: () => file.close(),
    };
  },
});

/** What stands before the keys: version, time and device. */
class Head {
  readonly room: number;
  readonly #second: number;
  readonly #microsecond: number;
  /** Everything up to the time, and from behind it. */
  readonly #before: Literal;
  readonly #after: Literal;
  readonly #timed: boolean;

  constructor(options: HeadOptions, upstream: readonly UpstreamKey[]) {
    const slotOf = (name: string) => upstream.find((key) => key.name === name)?.slot ?? ABSENT;
    this.#second = slotOf('oob.time.sec');
    this.#microsecond = slotOf('oob.time.usec');
    this.#timed = options.timestamp;
    const version = options.eventv1 ? '"@version": 1, ' : '';
    const device = `"dvc": ${JSON.stringify(options.device)}`;
    const name = options.eventv1 ? '@timestamp' : 'timestamp';
    this.#before = new Literal(options.timestamp ? `{${version}"${name}": "` : `{${version}${device}`);
    this.#after = new Literal(options.timestamp ? `", ${device}` : '');
    this.room = this.#before.length + this.#after.length + VALUE_ROOM;
  }

  write(bytes: Uint8Array, view: DataView, at: number, record: Record, time: LocalTime, compat: boolean): number {
    let to = this.#before.writeTo(view, at);
    if (!this.#timed) return to;
    const known = record.valid[this.#second] === 1;
    time.update(known ? record.value[this.#second]! : Math.floor(Date.now() / 1000));
    to = writeBytes(bytes, to, time.iso, 0, time.iso.length);
    if (record.valid[this.#microsecond] === 1) {
      bytes[to] = 0x2e; // .
      to = writePadded(bytes, to + 1, record.value[this.#microsecond]!, 6);
    }
    if (compat) to = writeUlogdZone(bytes, to, time);
    else to = writeBytes(bytes, to, time.zone, 0, time.zone.length);
    return this.#after.writeTo(view, to);
  }
}

/** ulogd2 leaves the zone out where it is UTC, and loses the minus of less than an hour. */
function writeUlogdZone(bytes: Uint8Array, at: number, time: LocalTime): number {
  if (time.offset === 0) return at;
  const end = writeBytes(bytes, at, time.zone, 0, time.zone.length);
  if (time.offset > -60) bytes[at] = 0x2b; // +
  return end;
}

interface HeadOptions {
  readonly timestamp: boolean;
  readonly eventv1: boolean;
  readonly device: string;
}

/** The keys, in the order of the stack, each only when it is valid. */
class Fields {
  readonly #names: readonly Literal[];
  readonly #slots: Int32Array;
  readonly #forms: Uint8Array;
  readonly #texts: Int32Array;
  readonly #fixedRoom: number;
  readonly #strict: boolean;

  constructor(upstream: readonly UpstreamKey[], actionLabel: boolean, compat: boolean) {
    const fields = upstream.flatMap((key) => {
      const form = actionLabel && key.name === 'raw.label' ? ACTION : formOf(key, compat);
      return form === undefined ? [] : [{ slot: key.slot, form, name: nameOf(key, form) }];
    });
    this.#names = fields.map(({ name }) => new Literal(`, ${JSON.stringify(name)}: `));
    this.#slots = Int32Array.from(fields, ({ slot }) => slot);
    this.#forms = Uint8Array.from(fields, ({ form }) => form);
    this.#texts = Int32Array.from(
      fields.filter(({ form }) => form === TEXT || form === PLAIN_TEXT),
      ({ slot }) => slot,
    );
    this.#fixedRoom = this.#names.reduce((sum, name) => sum + name.length + VALUE_ROOM, 2);
    this.#strict = compat;
  }

  /** Most bytes that the record can take. */
  room(record: Record): number {
    let room = this.#fixedRoom;
    const texts = this.#texts;
    for (let i = 0; i < texts.length; i++) room += jsonStringRoom(record.extra[texts[i]!]!);
    return room;
  }

  write(bytes: Uint8Array, view: DataView, at: number, record: Record): number {
    const slots = this.#slots;
    const forms = this.#forms;
    const names = this.#names;
    const { value, extra, valid } = record;
    let to = at;
    for (let i = 0; i < slots.length; i++) {
      const slot = slots[i]!;
      if (valid[slot] === 0) continue;
      const start = to;
      to = names[i]!.writeTo(view, to);
      switch (forms[i]) {
        case NUMBER:
          to = writeDecimal(bytes, to, value[slot]!);
          break;
        case WIDE:
          to = writeWideDecimal(bytes, to, extra[slot]!, value[slot]!);
          break;
        case SIGNED_WIDE:
          to = writeSignedWide(bytes, to, extra[slot]!, value[slot]!);
          break;
        case PLAIN_TEXT:
          bytes[to] = QUOTE;
          to = writeBytes(bytes, to + 1, record.bytes, value[slot]!, extra[slot]!);
          bytes[to++] = QUOTE;
          break;
        case TEXT:
          to = writeJsonString(bytes, to, record.bytes, value[slot]!, extra[slot]!, this.#strict);
          // jansson refuses a string that is not UTF-8, and ulogd2 then leaves the key out.
          if (to < 0) to = start;
          break;
        case ACTION:
          to = (value[slot] === 0 ? BLOCKED : ALLOWED).writeTo(view, to);
      }
    }
    return to;
  }
}

/** Addresses and raw bytes have no form in JSON: IP2STR and HWHDR make text of them. */
function formOf({ spec }: UpstreamKey, compat: boolean): number | undefined {
  if (spec.type === 'string') return spec.plain ? PLAIN_TEXT : TEXT;
  // ulogd2 hands 64-bit counters to jansson as signed numbers.
  if (spec.type === 'u64') return compat ? SIGNED_WIDE : WIDE;
  return spec.type === 'ip' || spec.type === 'raw' || spec.type === 'rawstr' ? undefined : NUMBER;
}

const nameOf = (key: UpstreamKey, form: number): string => (form === ACTION ? 'action' : (key.spec.cim ?? key.name));

function writeSignedWide(bytes: Uint8Array, at: number, high: number, low: number): number {
  if (high < 0x80000000) return writeWideDecimal(bytes, at, high, low);
  bytes[at] = 0x2d; // -
  const negatedLow = -low >>> 0;
  return writeWideDecimal(bytes, at + 1, (~high + (low === 0 ? 1 : 0)) >>> 0, negatedLow);
}
