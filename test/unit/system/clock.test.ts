import { afterEach, expect, test, vi } from 'vitest';
import { Clock } from '../../../src/system/clock.ts';

afterEach(() => void vi.useRealTimers());

test.each([
  ['2026-11-21T07:10:11.250Z', 1795245011, 250_000],
  ['2038-01-19T03:14:08.999Z', 2147483648, 999_000],
  ['2106-02-07T06:28:15.001Z', 4294967295, 1000],
])('%s', (time, seconds, microseconds) => {
  vi.setSystemTime(new Date(time));
  const clock = new Clock();
  expect([clock.seconds, clock.microseconds]).toEqual([0, 0]);
  clock.update();
  expect([clock.seconds, clock.microseconds]).toEqual([seconds, microseconds]);
});
