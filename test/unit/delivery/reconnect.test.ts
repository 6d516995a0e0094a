import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { Reconnect } from '../../../src/delivery/reconnect.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const never = () => {
  throw new Error('too early');
};

test('delays double up to the limit', () => {
  const reconnect = new Reconnect(1500, () => 0);
  expect(Array.from({ length: 7 }, () => reconnect.after(never))).toEqual([100, 200, 400, 800, 1500, 1500, 1500]);
  reconnect.stop();
});

test('chance cuts each by up to a half', () => {
  const reconnect = new Reconnect(1000, () => 0.999999);
  const delays = Array.from({ length: 4 }, () => Math.round(reconnect.after(never)));
  expect(delays).toEqual([50, 100, 200, 400]);
  reconnect.stop();
});

test('the attempt comes after its delay, once, and is counted', () => {
  const reconnect = new Reconnect(1000, () => 0);
  const attempt = vi.fn();
  reconnect.after(attempt);
  vi.advanceTimersByTime(99);
  expect(attempt).not.toHaveBeenCalled();
  vi.advanceTimersByTime(5000);
  expect(attempt).toHaveBeenCalledOnce();
  expect(reconnect.retries).toBe(1);
});

test('a connection that held makes the next delay short again, one that fell at once does not', () => {
  const reconnect = new Reconnect(60_000, () => 0);
  for (let i = 0; i < 5; i++) reconnect.after(never); // the next one is 3200
  reconnect.connected();
  vi.advanceTimersByTime(10);
  expect(reconnect.after(never)).toBe(3200);
  reconnect.stop();
  reconnect.connected();
  vi.advanceTimersByTime(6400);
  expect(reconnect.after(never)).toBe(100);
  reconnect.stop();
});

test.each([-3_600_000, 3_600_000])('a clock that steps by %d ms harms nothing', (step) => {
  const reconnect = new Reconnect(1000, () => 0);
  const attempt = vi.fn();
  reconnect.after(attempt);
  vi.setSystemTime(Date.now() + step);
  vi.advanceTimersByTime(99);
  expect(attempt).not.toHaveBeenCalled();
  vi.advanceTimersByTime(1);
  expect(attempt).toHaveBeenCalledOnce();
});

test('stopped, it tries no more', () => {
  const reconnect = new Reconnect(1000, () => 0);
  reconnect.after(never);
  reconnect.stop();
  vi.advanceTimersByTime(10_000);
  expect(reconnect.retries).toBe(0);
});
