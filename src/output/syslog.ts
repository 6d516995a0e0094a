import { acknowledgedOptions } from '../delivery/options.ts';
import { UnixDatagramDestination } from '../delivery/unix-datagram.ts';
import { defineOutput } from '../pipeline/plugin.ts';
import { LocalTime } from '../system/local-time.ts';
import { writeBytes } from '../wire/ascii.ts';
import { LineBuffer } from '../wire/line-buffer.ts';
import { serviceOf } from './file-sink.ts';
import { gapAsText } from './gap-text.ts';
import { LineSender } from './line-sender.ts';

const NEWLINE = 0x0a;

/** Numbers of syslog (RFC 5424, 6.2.1) by ulogd's words. */
const FACILITIES: Readonly<Record<string, number>> = {
  LOG_KERN: 0, LOG_USER: 1, LOG_DAEMON: 3, LOG_LOCAL0: 16, LOG_LOCAL1: 17, LOG_LOCAL2: 18, LOG_LOCAL3: 19,
  LOG_LOCAL4: 20, LOG_LOCAL5: 21, LOG_LOCAL6: 22, LOG_LOCAL7: 23,
}; // biome-ignore format: a table
const LEVELS: Readonly<Record<string, number>> = {
  LOG_EMERG: 0, LOG_ALERT: 1, LOG_CRIT: 2, LOG_ERR: 3, LOG_WARNING: 4, LOG_NOTICE: 5, LOG_INFO: 6, LOG_DEBUG: 7,
}; // biome-ignore format: a table
/** What the C library makes of facility 0, and so ulogd2 of its own default: only the kernel may say that it is the kernel. */
const INSTEAD_OF_KERN = 3;

/** SYSLOG: lines to the system's own log. */
export default defineOutput({
  name: 'SYSLOG',
  summary: "Sends each event as a line to the system's log.",
  accepts: ['packet', 'flow'],
  example: 'stack=log1:NFLOG,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,print1:PRINTPKT,sys1:SYSLOG',
  options: {
    facility: {
      type: 'choice',
      choices: Object.keys(FACILITIES),
      default: 'LOG_KERN',
      doc: 'Facility of the lines; the log takes LOG_KERN from the kernel only, and it becomes LOG_DAEMON.',
    },
    level: { type: 'choice', choices: Object.keys(LEVELS), default: 'LOG_NOTICE', doc: 'Severity of the lines.' },
    socket: { type: 'string', default: '/dev/log', doc: 'Socket on which the system takes lines for its log.' },
    ...acknowledgedOptions,
    reconnect: { ...acknowledgedOptions.reconnect, default: 1 },
  },
  reads: {
    print: { type: 'string' },
  },
  link(link) {
    const { options, read, compat, shared, clock, log, id } = link;
    const sink = shared(() => {
      const destination = () => new UnixDatagramDestination(options.socket);
      return new LineSender(destination, { ...options, resend: 0 }, `${id}:SYSLOG`, log);
    });
    const print = read.print;
    const priority = (FACILITIES[options.facility] || INSTEAD_OF_KERN) * 8 + (LEVELS[options.level] ?? 5);
    const ident = `${compat ? 'ulogd' : 'flowlogd'}[${process.pid}]`;
    const time = new LocalTime();
    const head = new LineBuffer(256);

    /** Brings what lines begin with up to date: once a second. */
    function updateHead(): void {
      if (!time.update(clock.seconds)) return;
      head.length = 0;
      head.append(`<${priority}>${time.syslog} ${ident}: `);
    }

    return {
      run(record) {
        const length = record.valid[print] === 1 ? record.extra[print]! : 0;
        if (length === 0) return false;
        updateHead();
        const { buffer } = sink;
        buffer.ensure(head.length + length + 1);
        const { bytes, view } = buffer;
        let at = writeBytes(view, buffer.length, head.view, 0, head.length);
        at = writeBytes(view, at, record.view, record.value[print]!, length);
        if (bytes[at - 1] !== NEWLINE) bytes[at++] = NEWLINE; // where one line ends
        sink.endLine(at);
        return true;
      },
      ...serviceOf(sink),
      gap(gap) {
        updateHead();
        sink.note(`${Buffer.from(head.bytes.subarray(0, head.length))}${gapAsText(gap)}`);
      },
    };
  },
});
