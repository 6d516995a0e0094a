import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { LEVELS, openLog } from '../../../src/system/log.ts';

const sent: [path: string, text: string][] = [];
let deaf = false;

vi.mock('../../../src/system/native.ts', async (original) => ({
  ...(await original<object>()),
  notify(path: string, text: string) {
    if (deaf) return false; // as the real one, when nobody listens
    sent.push([path, text]);
    return true;
  },
}));

/** What goes to standard output (1) and standard error (2) by their numbers. */
const printed: [fd: number, text: string][] = [];

vi.mock('node:fs', async (original) => {
  const fs = await original<typeof import('node:fs')>();
  const writeSync = (fd: number, text: string) => (fd <= 2 ? printed.push([fd, text]) : fs.writeSync(fd, text));
  return { ...fs, writeSync };
});

let folder = '';
let file = '';

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'flowlogd-log-'));
  file = join(folder, 'flowlogd.log');
  vi.stubEnv('TZ', 'UTC');
  vi.setSystemTime(new Date('2026-11-21T07:10:11.250Z'));
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true });
  sent.length = 0;
  printed.length = 0;
  deaf = false;
});

const read = () => readFileSync(file, 'utf8');

function logAll(level: number): string[] {
  const log = openLog(file, level, false);
  for (const name of ['debug', 'info', 'notice', 'error', 'fatal'] as const) log[name](`a ${name}`);
  return read().split('\n').filter(Boolean);
}

test('lines are those of ulogd', () => {
  openLog(file, LEVELS.notice, false).notice('flowlogd runs');
  expect(read()).toBe('Sat Nov 21 07:10:11 2026 <5> flowlogd runs\n');
});

test('the day is padded with a blank, the time is local', () => {
  vi.stubEnv('TZ', 'Europe/Paris');
  vi.setSystemTime(new Date('2026-11-04T07:10:11Z'));
  openLog(file, LEVELS.notice, false).error('x');
  expect(read()).toBe('Wed Nov  4 08:10:11 2026 <7> x\n');
});

test.each([
  [1, ['<1> a debug', '<3> a info', '<5> a notice', '<7> a error', '<8> a fatal']],
  [3, ['<3> a info', '<5> a notice', '<7> a error', '<8> a fatal']],
  [4, ['<5> a notice', '<7> a error', '<8> a fatal']],
  [5, ['<5> a notice', '<7> a error', '<8> a fatal']],
  [7, ['<7> a error', '<8> a fatal']],
  [8, ['<8> a fatal']],
])('at loglevel %d the lines below it are left out', (level, expected) => {
  expect(logAll(level).map((line) => line.slice(25))).toEqual(expected);
});

test('only loglevel 1 is debug', () => {
  expect([1, 2, 3].map((level) => openLog(file, level, false).isDebug())).toEqual([true, false, false]);
});

test('a message keeps its quotes, percent signs and letters, whatever pino makes of them', () => {
  const message = 'x "y" \\ %s %d ö 😀';
  openLog(file, LEVELS.notice, false).notice(message);
  expect(read()).toBe(`Sat Nov 21 07:10:11 2026 <5> ${message}\n`);
});

test('a file is appended to, and readable by its owner and group alone', () => {
  const umask = process.umask(0o022);
  openLog(file, LEVELS.notice, false).notice('one');
  openLog(file, LEVELS.notice, false).notice('two');
  process.umask(umask);
  expect(read().split('\n')).toHaveLength(3);
  expect(statSync(file).mode & 0o777).toBe(0o640);
});

test('a file that cannot be opened is an error at once', () => {
  expect(() => openLog(join(folder, 'no', 'such'), LEVELS.notice, false)).toThrow('ENOENT');
});

test('a full disk does not stop the daemon', () => {
  expect(() => openLog('/dev/full', LEVELS.notice, false).notice('lost')).not.toThrow();
});

describe('reopening', () => {
  test('goes on in a new file after a rename', () => {
    const log = openLog(file, LEVELS.notice, false);
    log.notice('one');
    renameSync(file, `${file}.1`);
    log.notice('still the old one');
    log.reopen();
    log.notice('new');
    expect(read()).toBe('Sat Nov 21 07:10:11 2026 <5> new\n');
    expect(readFileSync(`${file}.1`, 'utf8').split('\n')).toHaveLength(3);
  });

  test('that fails throws, and the old file stays in use', () => {
    const log = openLog(file, LEVELS.notice, false);
    const moved = `${folder}-moved`;
    renameSync(folder, moved);
    try {
      expect(() => log.reopen()).toThrow('ENOENT');
      log.notice('kept');
      expect(readFileSync(join(moved, 'flowlogd.log'), 'utf8')).toContain('kept');
    } finally {
      renameSync(moved, folder);
    }
  });
});

describe('verbose', () => {
  test('copies lines to stderr', () => {
    const stderr = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
    openLog(file, LEVELS.notice, true).notice('both');
    expect(stderr.mock.calls.map(([text]) => text)).toEqual(['Sat Nov 21 07:10:11 2026 <5> both\n']);
    expect(read()).toBe('Sat Nov 21 07:10:11 2026 <5> both\n');
  });

  test.each([
    ['stdout', 1],
    ['', 2],
  ])('does not say twice what goes to a terminal as it is: logfile="%s"', (logfile, fd) => {
    const stderr = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
    openLog(logfile, LEVELS.notice, true).notice('once');
    expect(printed).toEqual([[fd, 'Sat Nov 21 07:10:11 2026 <5> once\n']]);
    expect(stderr).not.toHaveBeenCalled();
  });
});

describe('syslog', () => {
  test.each([
    ['debug', 31],
    ['info', 30],
    ['notice', 29],
    ['error', 27],
    ['fatal', 26],
  ] as const)('%s is sent with priority %d of facility daemon', (name, priority) => {
    openLog('syslog', 1, false)[name]('a message');
    expect(sent).toEqual([['/dev/log', `<${priority}>flowlogd[${process.pid}]: a message`]]);
  });

  test('that is not there leaves the lines to stderr', () => {
    deaf = true;
    const stderr = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
    openLog('syslog', 5, false).notice('heard all the same');
    expect(stderr.mock.calls.map(([text]) => text)).toEqual(['Sat Nov 21 07:10:11 2026 <5> heard all the same\n']);
    expect(existsSync(file)).toBe(false);
  });
});
