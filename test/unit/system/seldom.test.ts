import { afterEach, expect, test, vi } from 'vitest';
import { Seldom } from '../../../src/system/seldom.ts';

afterEach(() => void vi.useRealTimers());

test('it is time at once, and then once in each interval', () => {
  vi.useFakeTimers();
  const seldom = new Seldom(1000);
  const after = (milliseconds: number) => {
    vi.advanceTimersByTime(milliseconds);
    return seldom.isTime();
  };
  expect([0, 0, 999, 1, 500, 499, 1, 5000, 0].map(after)).toEqual([
    true,
    false,
    false,
    true,
    false,
    false,
    true,
    true,
    false,
  ]);
});
