import { deliveryOptions } from '../delivery/options.ts';
import type { UpstreamKey } from '../pipeline/plugin.ts';
import { defineOutput } from '../pipeline/plugin.ts';
import { ABSENT, type Record } from '../pipeline/record.ts';
import type { Clock } from '../system/clock.ts';
import { LocalTime } from '../system/local-time.ts';
import { linesEnd } from '../system/torn-end.ts';
import { writeBytes, writeMillionths } from '../wire/ascii.ts';
import { LineBuffer } from '../wire/line-buffer.ts';
import { keepingOptions } from './file-options.ts';
import { fileSink, serviceOf } from './file-sink.ts';
import { gapAsJson, tornAsJson } from './gap-text.ts';
import { JsonFields } from './json-fields.ts';
import { makeRoom, peerSink, portFault } from './line-sink.ts';

/** Most bytes that the fraction of a second and the end of a line take. */
const REST_ROOM = 16;
const DOT = 0x2e;
/** Room for lines, to begin with: there may be hundreds of files that hardly any event goes to. */
const BUFFER = 16 << 10;

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
    const { options, upstream, compat, shared, clock, log, id, memory } = link;
    const { mode } = options;
    const inspect = linesEnd((torn) => tornAsJson(torn, options.device));
    const makeBuffer = () => new LineBuffer(BUFFER, memory.part());
    const sink =
      mode === 'file'
        ? fileSink(link, 'JSON', options.file, { inspect }, makeBuffer)
        : shared(() => peerSink({ ...options, mode }, `${id}:JSON`, log, makeBuffer()));
    const { head, fields } = formOfLines(upstream, () => ({
      head: new Head(options, upstream, clock, compat),
      fields: new JsonFields(upstream, options.boolean_label, compat, link.record, memory),
    }));
    const { render } = fields;

    function run(record: Record): boolean {
      const { buffer } = sink;
      makeRoom(sink, head.room + fields.room(record));
      const at = head.write(buffer.bytes, buffer.view, buffer.length, record);
      const end = render(record.address, buffer.address + at) - buffer.address;
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
  readonly fields: JsonFields;
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
    this.room = this.#text.length + REST_ROOM;
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
