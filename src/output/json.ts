import { deliveryOptions } from '../delivery/options.ts';
import type { UpstreamKey } from '../pipeline/plugin.ts';
import { defineOutput } from '../pipeline/plugin.ts';
import { ABSENT, type Record } from '../pipeline/record.ts';
import type { Clock } from '../system/clock.ts';
import { LocalTime } from '../system/local-time.ts';
import { linesEnd } from '../system/torn-end.ts';
import {
  Literal,
  writeBytes,
  writeDecimal,
  writeLiteral,
  writeMillionths,
  writeShort,
  writeWideDecimal,
} from '../wire/ascii.ts';
import { jsonStringRoom, writeJsonString } from '../wire/json-text.ts';
import { LineBuffer } from '../wire/line-buffer.ts';
import { keepingOptions } from './file-options.ts';
import { fileSink, serviceOf } from './file-sink.ts';
import { gapAsJson, tornAsJson } from './gap-text.ts';
import { peerSink, portFault } from './line-sink.ts';

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
const DOT = 0x2e;
const ALLOWED = new Literal('"allowed"');
const BLOCKED = new Literal('"blocked"');

/** JSON: one object per line, as Logstash, Filebeat, Vector and jq read it. */
export default defineOutput({
  name: 'JSON',
  summary: 'Writes each event as one line of JSON, to a file or to a network peer.',
  accepts: ['packet', 'flow', 'sum', 'notice'],
  example: 'stack=ct1:NFCT,ip2str1:IP2STR,json1:JSON',
  options: {
    file: {
      type: 'string',
      path: 'file',
      default: '/var/log/ulogd.json',
      doc: 'File that lines are appended to; with mode unix, the socket.',
    },
    ...keepingOptions,
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
    mode: {
      type: 'choice',
      choices: ['file', 'tcp', 'udp', 'unix'],
      default: 'file',
      doc: 'Where lines go: a file, a TCP or unix stream connection, or one UDP datagram for each.',
    },
    host: { type: 'string', default: '127.0.0.1', doc: 'Name or address of the peer, with mode tcp or udp.' },
    port: { type: 'string', default: '12345', check: portFault, doc: 'Port of the peer, with mode tcp or udp.' },
    ...deliveryOptions,
  },
  reads: 'every',
  link(link) {
    const { options, upstream, compat, shared, clock, log, id } = link;
    const { mode } = options;
    const inspect = linesEnd((torn) => tornAsJson(torn, options.device));
    const sink =
      mode === 'file'
        ? fileSink(link, 'JSON', options.file, { inspect })
        : shared(() => peerSink({ ...options, mode }, `${id}:JSON`, log));
    const { head, fields } = formOfLines(upstream, () => ({
      head: new Head(options, upstream, clock, compat),
      fields: new Fields(upstream, options.boolean_label, compat),
    }));

    function run(record: Record): boolean {
      const { buffer } = sink;
      const layout = fields.layoutOf(record);
      buffer.ensure(head.room + layout.room(record));
      const at = head.write(buffer.bytes, buffer.view, buffer.length, record);
      const end = layout.write(buffer.bytes, buffer.view, at, record, compat);
      buffer.bytes[end] = 0x7d; // }
      buffer.bytes[end + 1] = 0x0a;
      sink.endLine(end + 2);
      return true;
    }

    return {
      run,
      ...serviceOf(sink),
      gap: (gap) => sink.note(gapAsJson(gap, options)),
    };
  },
});

/** How lines are made of the keys of a stack. */
interface LineForm {
  readonly head: Head;
  readonly fields: Fields;
}
const forms = new WeakMap<readonly UpstreamKey[], LineForm>();

/** A stack that runs in hundreds of namespaces has the same keys in each: it makes its lines in one way. */
function formOfLines(upstream: readonly UpstreamKey[], make: () => LineForm): LineForm {
  const form = forms.get(upstream) ?? make();
  forms.set(upstream, form);
  return form;
}

/** What stands before the keys: version, time and device. All but the fraction of the second is text made once a second. */
class Head {
  readonly room: number;
  readonly #second: number;
  readonly #microsecond: number;
  readonly #timed: boolean;
  readonly #compat: boolean;
  readonly #clock: Clock;
  readonly #time = new LocalTime();
  /** Up to the seconds, and from behind them. */
  readonly #before: string;
  readonly #after: string;
  readonly #text = new LineBuffer(1024);
  #afterAt = 0;

  constructor(options: HeadOptions, upstream: readonly UpstreamKey[], clock: Clock, compat: boolean) {
    const slotOf = (name: string) => upstream.find((key) => key.name === name)?.slot ?? ABSENT;
    this.#second = slotOf('oob.time.sec');
    this.#microsecond = slotOf('oob.time.usec');
    this.#timed = options.timestamp;
    this.#compat = compat;
    this.#clock = clock;
    const version = options.eventv1 ? '"@version": 1, ' : '';
    const device = `"dvc": ${JSON.stringify(options.device)}`;
    const name = options.eventv1 ? '@timestamp' : 'timestamp';
    this.#before = options.timestamp ? `{${version}"${name}": "` : `{${version}${device}`;
    this.#after = options.timestamp ? `", ${device}` : '';
    this.#compose();
    this.room = this.#text.length + VALUE_ROOM;
  }

  write(bytes: Uint8Array, view: DataView, at: number, record: Record): number {
    const { value, valid } = record;
    const second = valid[this.#second] === 1 ? value[this.#second]! : this.#clock.seconds;
    if (this.#timed && this.#time.update(second)) this.#compose();
    const text = this.#text;
    let to = writeBytes(view, at, text.view, 0, this.#afterAt);
    if (!this.#timed) return to;
    if (valid[this.#microsecond] === 1) {
      bytes[to] = DOT;
      to = writeMillionths(view, to + 1, value[this.#microsecond]!);
    }
    return writeBytes(view, to, text.view, this.#afterAt, text.length - this.#afterAt);
  }

  #compose(): void {
    const text = this.#text;
    text.length = 0;
    text.append(this.#before);
    if (this.#timed) text.append(this.#time.iso);
    this.#afterAt = text.length;
    if (this.#timed) text.append(this.#compat ? this.#ulogdZone() : this.#time.zone);
    text.append(this.#after);
  }

  /** ulogd2 leaves the zone out where it is UTC, and loses the minus of less than an hour. */
  #ulogdZone(): string {
    const { zone, offset } = this.#time;
    if (offset === 0) return '';
    return offset > -60 ? `+${zone.slice(1)}` : zone;
  }
}

interface HeadOptions {
  readonly timestamp: boolean;
  readonly eventv1: boolean;
  readonly device: string;
}

interface Field {
  readonly slot: number;
  readonly form: number;
  readonly name: Literal;
}

/** The fields that are there in events of one kind, such as UDP packets that leave by an interface. */
class Layout {
  /** Record.validWords of such events. */
  readonly #valid: Float64Array;
  readonly #names: Int32Array;
  readonly #slots: Int32Array;
  readonly #forms: Uint8Array;
  readonly #texts: Int32Array;
  readonly #fixedRoom: number;

  constructor(record: Record, fields: readonly Field[]) {
    const there = fields.filter(({ slot }) => record.valid[slot] === 1);
    const texts = there.filter(({ form }) => form === TEXT || form === PLAIN_TEXT);
    this.#valid = record.validWords.slice();
    this.#names = Int32Array.from(there, ({ name }) => name.packed);
    this.#slots = Int32Array.from(there, ({ slot }) => slot);
    this.#forms = Uint8Array.from(there, ({ form }) => form);
    this.#texts = Int32Array.from(texts, ({ slot }) => slot);
    this.#fixedRoom = there.reduce((sum, { name }) => sum + name.length + VALUE_ROOM, 2);
  }

  fits({ validWords }: Record): boolean {
    const valid = this.#valid;
    for (let i = 0; i < valid.length; i++) if (valid[i] !== validWords[i]) return false;
    return true;
  }

  /** Most bytes that the record can take. */
  room(record: Record): number {
    let room = this.#fixedRoom;
    const texts = this.#texts;
    for (let i = 0; i < texts.length; i++) room += jsonStringRoom(record.extra[texts[i]!]!);
    return room;
  }

  write(bytes: Uint8Array, view: DataView, at: number, record: Record, strict: boolean): number {
    const names = this.#names;
    const slots = this.#slots;
    const forms = this.#forms;
    const { value, extra } = record;
    let to = at;
    for (let i = 0; i < slots.length; i++) {
      const slot = slots[i]!;
      const start = to;
      to = writeLiteral(view, to, names[i]!);
      switch (forms[i]) {
        case NUMBER:
          to = writeDecimal(view, to, value[slot]! | 0);
          break;
        case WIDE:
          to = writeWideDecimal(bytes, view, to, extra[slot]!, value[slot]!);
          break;
        case SIGNED_WIDE:
          to = writeSignedWide(bytes, view, to, extra[slot]!, value[slot]!);
          break;
        case PLAIN_TEXT:
          bytes[to] = QUOTE;
          to = writeShort(view, to + 1, record.view, value[slot]!, extra[slot]!);
          bytes[to++] = QUOTE;
          break;
        case TEXT:
          to = writeJsonString(bytes, to, record.bytes, value[slot]!, extra[slot]!, strict);
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

/** Layouts that are remembered: more kinds of events than follow each other closely. */
const LAYOUTS = 32;

/**
 * The keys, in the order of the stack, each only when it is valid. Most of the keys of a stack are not there in any one
 * event, and few sets of them occur: finding the set costs less than asking for every key.
 */
class Fields {
  readonly #fields: readonly Field[];
  /** In the order in which they were first met. */
  readonly #layouts: Layout[] = [];
  #replaced = 0;

  constructor(upstream: readonly UpstreamKey[], actionLabel: boolean, compat: boolean) {
    this.#fields = upstream.flatMap((key) => {
      const form = actionLabel && key.name === 'raw.label' ? ACTION : formOf(key, compat);
      if (form === undefined) return [];
      return [{ slot: key.slot, form, name: new Literal(`, ${JSON.stringify(nameOf(key, form))}: `) }];
    });
  }

  layoutOf(record: Record): Layout {
    const layouts = this.#layouts;
    for (let i = layouts.length; i-- > 0; ) if (layouts[i]!.fits(record)) return layouts[i]!;
    const layout = new Layout(record, this.#fields);
    layouts[this.#replaced++ % LAYOUTS] = layout;
    return layout;
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

function writeSignedWide(bytes: Uint8Array, view: DataView, at: number, high: number, low: number): number {
  if (high < 0x80000000) return writeWideDecimal(bytes, view, at, high, low);
  bytes[at] = 0x2d; // -
  const negatedLow = -low >>> 0;
  return writeWideDecimal(bytes, view, at + 1, (~high + (low === 0 ? 1 : 0)) >>> 0, negatedLow);
}
