import { deliveryOptions } from '../delivery/options.ts';
import { StreamDestination } from '../delivery/stream.ts';
import { defineOutput } from '../pipeline/plugin.ts';
import { Literal } from '../wire/ascii.ts';
import { GRAPHITE_ROOM, writeGraphiteLine } from '../wire/graphite.ts';
import { serviceOf } from './file-sink.ts';
import { LineSender } from './line-sender.ts';

const PACKETS = new Literal('.pkts ');
const BYTES = new Literal('.bytes ');

/** GRAPHITE: counters to Graphite's carbon, in its plaintext protocol. */
export default defineOutput({
  name: 'GRAPHITE',
  summary: 'Sends counters to Graphite: two lines for each, packets and bytes.',
  accepts: ['sum'],
  example: 'stack=acct1:NFACCT,graphite1:GRAPHITE',
  options: {
    host: { type: 'string', default: '', required: true, doc: 'Name or address of the carbon daemon.' },
    port: { type: 'int', default: 2003, min: 1, max: 65535, doc: 'Its TCP port for lines of text.' },
    prefix: { type: 'string', default: '', doc: 'What the paths of all counters begin with, without the last dot.' },
    ...deliveryOptions,
  },
  reads: {
    'sum.name': { type: 'string' },
    'sum.pkts': { type: 'u64' },
    'sum.bytes': { type: 'u64' },
    'oob.time.sec': { type: 'u32', optional: true },
  },
  link({ options, read, compat, shared, clock, log, id }) {
    const sink = shared(() => {
      const destination = () => new StreamDestination({ host: options.host, port: options.port });
      return new LineSender(destination, options, `${id}:GRAPHITE`, log);
    });
    const { 'sum.name': name, 'sum.pkts': packets, 'sum.bytes': octets, 'oob.time.sec': time } = read;
    // ulogd2 writes the dot also behind no prefix, and carbon reads `.name` as `name`.
    const prefix = new Literal(compat || options.prefix !== '' ? `${options.prefix}.` : '');

    return {
      run({ view, value, extra, valid }) {
        const length = valid[name] === 1 ? extra[name]! : 0;
        if (length === 0) return false;
        const start = value[name]!;
        const { buffer } = sink;
        buffer.ensure(2 * (prefix.length + length + GRAPHITE_ROOM));
        const { bytes, view: to } = buffer;
        // Under compat NFACCT gives 0 for a time, as ulogd's does, which then takes its own.
        const given = valid[time] === 1 ? value[time]! : 0;
        const seconds = (given !== 0 ? given : clock.seconds) | 0;
        let at = buffer.length;
        // biome-ignore format: two lines alike
        at = writeGraphiteLine(bytes, to, at, prefix, view, start, length, PACKETS, extra[packets]!, value[packets]!, seconds, compat);
        // biome-ignore format: two lines alike
        at = writeGraphiteLine(bytes, to, at, prefix, view, start, length, BYTES, extra[octets]!, value[octets]!, seconds, compat);
        sink.endLine(at);
        return true;
      },
      ...serviceOf(sink),
    };
  },
});
