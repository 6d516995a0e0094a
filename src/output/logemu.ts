import { hostname } from 'node:os';
import { defineOutput } from '../pipeline/plugin.ts';
import { LocalTime, SYSLOG, SYSLOG_LENGTH } from '../system/local-time.ts';
import { Literal, writeBytes } from '../wire/ascii.ts';
import { fileOptions } from './file-options.ts';
import { fileSink, serviceOf } from './file-sink.ts';
import { gapAsLine } from './gap-text.ts';

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
    const { options, read, clock } = link;
    const file = fileSink(link, 'LOGEMU', options.file);
    const print = read.print;
    const second = read['oob.time.sec'];
    const time = new LocalTime();
    const name = hostname().split('.', 1)[0] as string;
    const host = new Literal(` ${name} `);
    const room = SYSLOG_LENGTH + host.length;

    return {
      run(record) {
        const { buffer } = file;
        const length = record.valid[print] === 1 ? record.extra[print]! : 0;
        if (length === 0) return false;
        buffer.ensure(room + length);
        time.update(record.valid[second] === 1 ? record.value[second]! : clock.seconds);
        let at = writeBytes(buffer.view, buffer.length, time.view, SYSLOG, SYSLOG_LENGTH);
        at = host.writeTo(buffer.view, at);
        file.endLine(writeBytes(buffer.view, at, record.view, record.value[print]!, length));
        return true;
      },
      ...serviceOf(file),
      gap: (gap) => file.note(gapAsLine(gap, name)),
    };
  },
});
