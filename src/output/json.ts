import { deliveryOptions } from '../delivery/options.ts';
import { defineOutput } from '../pipeline/plugin.ts';
import type { Record } from '../pipeline/record.ts';
import { linesEnd } from '../system/torn-end.ts';
import { LineBuffer } from '../wire/line-buffer.ts';
import { keepingOptions } from './file-options.ts';
import { fileSink, serviceOf } from './file-sink.ts';
import { gapAsJson, tornAsJson } from './gap-text.ts';
import { JsonHead } from './json-head.ts';
import { JsonLine } from './json-line.ts';
import { makeRoom, peerSink, portFault } from './line-sink.ts';

/** Room for lines, to begin with: there may be hundreds of files that hardly any event goes to. */
const BUFFER = 8 << 10;

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
    const head = new JsonHead(options, upstream, clock, compat, memory);
    const form = { actionLabel: options.boolean_label, compat, microsecond: head.microsecond };
    const line = new JsonLine(upstream, form, link.record, memory);
    const { text } = head;
    const { render } = line;

    function run(record: Record): boolean {
      const { buffer } = sink;
      head.update(record);
      makeRoom(sink, text.room + line.room(record));
      sink.endLine(render(record.address, buffer.address + buffer.length, text.address) - buffer.address);
      return true;
    }

    return {
      run,
      ...serviceOf(sink),
      gap: (gap) => sink.note(gapAsJson(gap, options)),
    };
  },
});
