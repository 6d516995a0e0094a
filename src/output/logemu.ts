import { hostname } from 'node:os';
import { LineHead } from '../pipeline/line-head.ts';
import { compileLine } from '../pipeline/line-program.ts';
import { defineOutput } from '../pipeline/plugin.ts';
import { LocalTime, SYSLOG_LENGTH } from '../system/local-time.ts';
import { LineBuffer } from '../wire/line-buffer.ts';
import { fileOptions } from './file-options.ts';
import { fileSink, serviceOf } from './file-sink.ts';
import { gapAsLine } from './gap-text.ts';
import { makeRoom } from './line-sink.ts';

/** Room for lines, to begin with: there may be hundreds of files that hardly any event goes to. */
const BUFFER = 8 << 10;

/** LOGEMU: the lines that syslogd would have written. */
export default defineOutput({
  name: 'LOGEMU',
  summary: 'Writes each event as a line like those of syslog: time, host, text.',
  accepts: ['packet', 'flow'],
  example: 'stack=log1:NFLOG,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,print1:PRINTPKT,emu1:LOGEMU',
  options: fileOptions('/var/log/ulogd_syslogemu.log'),
  reads: {
    print: { type: 'string' },
    'oob.time.sec': { type: 'u32', optional: true },
  },
  link(link) {
    const { options, read, clock, memory } = link;
    const file = fileSink(link, 'LOGEMU', options.file, {}, () => new LineBuffer(BUFFER, memory.part()));
    const print = read.print;
    const second = read['oob.time.sec'];
    const time = new LocalTime();
    const name = hostname().split('.', 1)[0] as string;
    const head = new LineHead(memory, SYSLOG_LENGTH + Buffer.byteLength(name) + 2);
    const render = compileLine(`LOGEMU ${print}`, link.record, memory, (line) => {
      line.headBefore();
      line.bytes(print);
    });

    return {
      run({ address, value, extra, valid }) {
        const { buffer } = file;
        const length = valid[print] === 1 ? extra[print]! : 0;
        if (length === 0) return false;
        makeRoom(file, head.room + length);
        const changed = time.update(valid[second] === 1 ? value[second]! : clock.seconds);
        if (changed) head.set(`${time.syslog} ${name} `);
        file.endLine(render(address, buffer.address + buffer.length, head.address) - buffer.address);
        return true;
      },
      ...serviceOf(file),
      gap: (gap) => file.note(gapAsLine(gap, name)),
    };
  },
});
