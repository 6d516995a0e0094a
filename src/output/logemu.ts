import { hostname } from 'node:os';
import { defineOutput } from '../pipeline/plugin.ts';
import { LocalTime, SYSLOG, SYSLOG_LENGTH } from '../system/local-time.ts';
import { OutputFile } from '../system/output-file.ts';
import { Literal, writeBytes } from '../wire/ascii.ts';
import { gapAsLine } from './gap-text.ts';

/** LOGEMU: the lines that syslogd would have written. */
export default defineOutput({
  name: 'LOGEMU',
  summary: 'Writes each event as a line like those of syslog: time, host, text.',
  accepts: ['packet', 'flow'],
  example: 'stack=log1:NFLOG,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,print1:PRINTPKT,emu1:LOGEMU',
  options: {
    file: {
      type: 'string',
      path: 'file',
      default: '/var/log/ulogd_syslogemu.log',
      doc: 'File that lines are appended to.',
    },
    sync: { type: 'bool', default: false, doc: 'Write each batch before the next is read; flowlogd always does.' },
  },
  reads: {
    print: { type: 'string' },
    'oob.time.sec': { type: 'u32', optional: true },
  },
  link({ options, read, shared, clock, log, id }) {
    const file = shared(() => new OutputFile(options.file, (message) => log.error(`${id}:LOGEMU: ${message}`)));
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
      start: () => file.open(),
      flush: () => file.flush(),
      reopen: () => file.reopen(),
      stop: () => file.close(),
      account: () => file.account(),
      gap: (gap) => file.note(gapAsLine(gap, name)),
    };
  },
});
