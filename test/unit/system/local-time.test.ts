import { execFileSync } from 'node:child_process';
import { afterEach, expect, test, vi } from 'vitest';
import { LocalTime } from '../../../src/system/local-time.ts';

afterEach(() => void vi.unstubAllEnvs());

function shown(second: number): string[] {
  const time = new LocalTime();
  time.update(second);
  return [time.iso + time.zone, time.syslog];
}

const SECOND = 1700000000;

test.each([
  ['UTC', SECOND, '2023-11-14T22:13:20+0000', 'Nov 14 22:13:20'],
  ['Europe/Paris', SECOND, '2023-11-14T23:13:20+0100', 'Nov 14 23:13:20'],
  ['America/St_Johns', SECOND, '2023-11-14T18:43:20-0330', 'Nov 14 18:43:20'],
  ['Asia/Kathmandu', SECOND, '2023-11-15T03:58:20+0545', 'Nov 15 03:58:20'],
  ['Pacific/Kiritimati', SECOND, '2023-11-15T12:13:20+1400', 'Nov 15 12:13:20'],
  ['UTC', 0, '1970-01-01T00:00:00+0000', 'Jan  1 00:00:00'],
  ['UTC', 0xffffffff, '2106-02-07T06:28:15+0000', 'Feb  7 06:28:15'],
  ['UTC', 1709251199, '2024-02-29T23:59:59+0000', 'Feb 29 23:59:59'],
  ['Europe/Paris', 1711846799, '2024-03-31T01:59:59+0100', 'Mar 31 01:59:59'],
  ['Europe/Paris', 1711846800, '2024-03-31T03:00:00+0200', 'Mar 31 03:00:00'],
])('%s, second %d', (zone, second, iso, syslog) => {
  vi.stubEnv('TZ', zone);
  expect(shown(second)).toEqual([iso, syslog]);
});

test('every month and day is as date(1) has it', () => {
  vi.stubEnv('TZ', 'Europe/Paris');
  const seconds = Array.from({ length: 400 }, (_, i) => SECOND + i * 86399);
  const dates = execFileSync('date', ['--file=-', '+%Y-%m-%dT%H:%M:%S%z|%b %e %H:%M:%S'], {
    input: seconds.map((second) => `@${second}\n`).join(''),
    env: { TZ: 'Europe/Paris', LC_ALL: 'C' },
    encoding: 'utf8',
  });
  expect(seconds.map((second) => shown(second).join('|'))).toEqual(dates.trimEnd().split('\n'));
});

test('one object follows time in both directions', () => {
  vi.stubEnv('TZ', 'Europe/Paris');
  const time = new LocalTime();
  const seen = [1711846800, 1711846799, 1711846799, SECOND].map((second) => {
    time.update(second);
    return time.iso + time.zone;
  });
  expect(seen).toEqual([
    '2024-03-31T03:00:00+0200',
    '2024-03-31T01:59:59+0100',
    '2024-03-31T01:59:59+0100',
    '2023-11-14T23:13:20+0100',
  ]);
});
