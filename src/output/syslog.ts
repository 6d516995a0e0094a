import { defineOutput } from '../pipeline/plugin.ts';
import { LocalTime } from '../system/local-time.ts';
import { notify } from '../system/native.ts';

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
  },
  reads: {
    print: { type: 'string' },
  },
  link({ options, read, compat, memory, clock, log, id }) {
    const { socket } = options;
    const print = read.print;
    const priority = (FACILITIES[options.facility] || INSTEAD_OF_KERN) * 8 + (LEVELS[options.level] ?? 5);
    const ident = `${compat ? 'ulogd' : 'flowlogd'}[${process.pid}]`;
    const text = Buffer.from(memory.buffer);
    const time = new LocalTime();
    let head = '';
    let failing = false;

    return {
      // A line is a system call of its own, beside which making a string costs nothing.
      run({ value, extra, valid }) {
        if (valid[print] === 0 || extra[print] === 0) return false;
        if (time.update(clock.seconds)) head = `<${priority}>${time.syslog} ${ident}: `;
        const start = value[print]!;
        const sent = notify(socket, head + text.toString('utf8', start, start + extra[print]!));
        if (sent !== !failing) {
          failing = !sent;
          if (failing) log.error(`${id}:SYSLOG: ${socket} takes no lines; they are lost and counted until it does`);
          else log.notice(`${id}:SYSLOG: ${socket} takes lines again`);
        }
        return sent;
      },
    };
  },
});
