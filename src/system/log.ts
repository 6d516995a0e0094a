import { closeSync, openSync, writeSync } from 'node:fs';
import { pino } from 'pino';
import { notify } from './native.ts';

/** Levels with ulogd's numbers, which `loglevel` and `-l` name. */
export const LEVELS = { debug: 1, info: 3, notice: 5, error: 7, fatal: 8 } as const;
export type LevelName = keyof typeof LEVELS;

/** Severities of syslog (RFC 5424, 6.2.1) in facility daemon, as ulogd maps them. */
const SYSLOG_PRIORITY: Readonly<Record<number, number>> = { 1: 31, 3: 30, 5: 29, 7: 27, 8: 26 };

/** The daemon's own log. Its methods are pino's; it is never given an event. */
export interface DaemonLog {
  debug(message: string): void;
  info(message: string): void;
  notice(message: string): void;
  error(message: string): void;
  fatal(message: string): void;
  isDebug(): boolean;
  /** Opens the file again under its name. Throws when that fails. */
  reopen(): void;
}

/** Where lines go: stderr, `stdout`, `syslog` or a path. */
interface Destination {
  write(level: number, message: string): void;
  reopen(): void;
}

/**
 * Opens the log; without a name it is stderr. Lines are ulogd's: `Sat Nov 21 07:10:11 2026 <5> message`; `verbose` copies
 * them to stderr.
 * Throws when the file cannot be opened.
 */
export function openLog(logfile: string, level: number, verbose: boolean): DaemonLog {
  const destination = destinationOf(logfile);
  const write = (chunk: string) => {
    const { level: lineLevel, msg } = JSON.parse(chunk) as { level: number; msg: string };
    destination.write(lineLevel, msg);
    if (verbose && logfile !== 'stdout' && logfile !== '') process.stderr.write(`${line(lineLevel, msg)}\n`);
  };
  const threshold = Object.entries(LEVELS).find(([, number]) => number >= level)?.[0] ?? 'fatal';
  const logger = pino(
    {
      base: null,
      timestamp: false,
      level: threshold,
      useOnlyCustomLevels: true,
      customLevels: { ...LEVELS },
    },
    { write },
  );
  return {
    debug: (message) => logger.debug(message),
    info: (message) => logger.info(message),
    notice: (message) => logger.notice(message),
    error: (message) => logger.error(message),
    fatal: (message) => logger.fatal(message),
    isDebug: () => level <= LEVELS.debug,
    reopen: () => destination.reopen(),
  };
}

function destinationOf(logfile: string): Destination {
  if (logfile === '') return standard(2);
  if (logfile === 'stdout') return standard(1);
  return logfile === 'syslog' ? syslog() : file(logfile);
}

function line(level: number, message: string): string {
  const now = new Date();
  const [weekday, month, day, year] = now.toDateString().split(' ') as [string, string, string, string];
  const time = now.toTimeString().slice(0, 8);
  return `${weekday} ${month} ${day.replace(/^0/, ' ')} ${time} ${year} <${level}> ${message}`;
}

function standard(fd: 1 | 2): Destination {
  return {
    write(level, message) {
      try {
        writeSync(fd, `${line(level, message)}\n`);
      } catch {} // nobody reads it any more
    },
    reopen() {},
  };
}

function syslog(): Destination {
  const send = (level: number, message: string) => {
    const text = `<${SYSLOG_PRIORITY[level] ?? 29}>flowlogd[${process.pid}]: ${message}`;
    if (!notify('/dev/log', text)) process.stderr.write(`${line(level, message)}\n`); // no syslogd: better there than nowhere
  };
  return { write: send, reopen() {} };
}

function file(path: string): Destination {
  let fd = openSync(path, 'a', 0o640);
  return {
    write(level, message) {
      try {
        writeSync(fd, `${line(level, message)}\n`);
      } catch {} // a full disk must not stop the daemon; what was lost of the events is counted elsewhere
    },
    reopen() {
      const fresh = openSync(path, 'a', 0o640);
      closeSync(fd);
      fd = fresh;
    },
  };
}
