import { defineOutput } from '../pipeline/plugin.ts';
import type { Clock } from '../system/clock.ts';
import { LocalTime } from '../system/local-time.ts';
import { writeBytes } from '../wire/ascii.ts';
import { writeIp } from '../wire/ip-text.ts';
import { LineBuffer } from '../wire/line-buffer.ts';
import { fileOptions } from './file-options.ts';
import { fileSink, serviceOf } from './file-sink.ts';
import { gapAsPairs } from './gap-text.ts';
import { KeyValues, writeFirstFour } from './key-values.ts';

const COMMA = 0x2c;
const NEWLINE = 0x0a;
/** `timestamp=YYYY/MM/DD-HH:MM:SS,` and what writeBytes writes too many. */
const TIMESTAMP_ROOM = 40;

/** The line of PRINTPKT brings a newline of its own, so that an event may go on behind one. */
function recordEnd(bytes: Uint8Array, at: number): number {
  let end = bytes.indexOf(NEWLINE, at) + 1 || bytes.length;
  while (end < bytes.length && (bytes[end] === NEWLINE || bytes[end] === COMMA)) {
    end = bytes.indexOf(NEWLINE, end) + 1 || bytes.length;
  }
  return end;
}

/** GPRINT: every key of an event on one line. */
export default defineOutput({
  name: 'GPRINT',
  summary: 'Writes each event as one line of key=value, with commas between.',
  accepts: ['raw', 'packet', 'flow', 'sum', 'notice'],
  example: 'stack=ct1:NFCT,ip2str1:IP2STR,gp1:GPRINT',
  options: {
    ...fileOptions('/var/log/ulogd_gprint.log'),
    timestamp: { type: 'bool', default: false, doc: 'Begin with the time of writing.' },
  },
  reads: 'every',
  link(link) {
    const { options, upstream, compat, clock } = link;
    const file = fileSink(link, 'GPRINT', options.file, { recordEnd });
    const address = compat ? writeFirstFour : writeIp;
    const values = new KeyValues(upstream, { separator: COMMA, address, compat });
    const stamp = options.timestamp ? new Stamp(clock) : undefined;

    return {
      run(record) {
        const { buffer } = file;
        buffer.ensure(TIMESTAMP_ROOM + values.room(record));
        const start = buffer.length;
        const at = stamp === undefined ? start : stamp.write(buffer.view, start);
        const end = values.write(buffer.bytes, buffer.view, at, record);
        if (end === start) return false; // nothing is known of it
        buffer.bytes[end - 1] = NEWLINE; // in place of the last comma
        file.endLine(end);
        return true;
      },
      ...serviceOf(file),
      gap: (gap) => file.note(gapAsPairs(gap).join(',')),
    };
  },
});

/** The time of the batch, as text that is made anew once a second. */
class Stamp {
  readonly #clock: Clock;
  readonly #time = new LocalTime();
  readonly #text = new LineBuffer(128);

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  write(view: DataView, at: number): number {
    const text = this.#text;
    if (this.#time.update(this.#clock.seconds)) {
      text.length = 0;
      text.append(`timestamp=${this.#time.iso.replaceAll('-', '/').replace('T', '-')},`);
    }
    return writeBytes(view, at, text.view, 0, text.length);
  }
}
