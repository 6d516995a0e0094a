import { defineOutput } from '../pipeline/plugin.ts';
import { Literal } from '../wire/ascii.ts';
import { writeIp, writeIpv4 } from '../wire/ip-text.ts';
import { fileOptions } from './file-options.ts';
import { fileSink, serviceOf } from './file-sink.ts';
import { gapAsPairs } from './gap-text.ts';
import { type KeyValueStyle, KeyValues } from './key-values.ts';

const NEWLINE = 0x0a;
const BOUNDARY = new Literal('===>PACKET BOUNDARY\n');

/** An event ends where the next one begins. */
function recordEnd(bytes: Uint8Array, at: number): number {
  const next = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).indexOf('\n===>PACKET BOUNDARY\n', at);
  return next < 0 ? bytes.length : next + 1;
}

const reversed = new Uint8Array(4);
/** The first four bytes from the last to the first, as ulogd 2.0.8 prints an address on a little-endian machine. */
const writeReversed: KeyValueStyle['address'] = (bytes, at, from, start) => {
  for (let i = 0; i < 4; i++) reversed[i] = from[start + 3 - i]!;
  return writeIpv4(bytes, at, reversed, 0);
};

/** OPRINT: every key of an event on a line of its own. */
export default defineOutput({
  name: 'OPRINT',
  summary: 'Writes each event as lines of key=value below a line that divides events.',
  accepts: ['packet', 'flow'],
  example: 'stack=ct1:NFCT,ip2str1:IP2STR,op1:OPRINT',
  options: fileOptions('/var/log/ulogd_oprint.log'),
  reads: 'every',
  link(link) {
    const { options, upstream, compat } = link;
    const file = fileSink(link, 'OPRINT', options.file, { records: 'events', recordEnd });
    const address = compat ? writeReversed : writeIp;
    const values = new KeyValues(upstream, { separator: NEWLINE, bytesAs: 'default', address, compat });
    return {
      run(record) {
        const { buffer } = file;
        buffer.ensure(BOUNDARY.length + values.room(record));
        const at = BOUNDARY.writeTo(buffer.view, buffer.length);
        file.endLine(values.write(buffer.bytes, buffer.view, at, record));
        return true;
      },
      ...serviceOf(file),
      gap: (gap) => file.note(['===>PACKET BOUNDARY', ...gapAsPairs(gap)].join('\n')),
    };
  },
});
