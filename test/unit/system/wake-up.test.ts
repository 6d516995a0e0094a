import { describe, expect, test } from 'vitest';
import { nextDelay, WakeUp } from '../../../src/system/wake-up.ts';

const MIB = 1 << 20;

describe('the decision', () => {
  test('a lone datagram leaves the waking to the socket', () => {
    expect(nextDelay(0, 1, 400, 10, MIB)).toBe(0);
    expect(nextDelay(0, 0, 0, 5000, MIB)).toBe(0);
  });

  test('a high rate begins with a short sleep, which doubles up to 20 ms', () => {
    expect(nextDelay(0, 100, 40_000, 10, 8 * MIB)).toBe(5);
    expect(nextDelay(5, 50, 20_000, 5, 8 * MIB)).toBe(10);
    expect(nextDelay(16, 160, 40_000, 16, 8 * MIB)).toBe(20);
    expect(nextDelay(20, 200, 50_000, 20, 8 * MIB)).toBe(20);
  });

  test('more than 64 KiB in 20 ms are worth up to 40 ms, and less no longer', () => {
    expect(nextDelay(20, 200, 70_000, 20, 8 * MIB)).toBe(40);
    expect(nextDelay(40, 400, 140_000, 40, 8 * MIB)).toBe(40);
    expect(nextDelay(40, 400, 120_000, 40, 8 * MIB)).toBe(20);
  });

  test('it takes less to go on sleeping than to begin', () => {
    expect(nextDelay(0, 3, 1200, 20, MIB)).toBe(0);
    expect(nextDelay(20, 3, 1200, 20, MIB)).toBe(20);
    expect(nextDelay(20, 1, 400, 20, MIB)).toBe(0);
  });

  test('what comes during a sleep fits a quarter of the buffer, counted as the kernel counts', () => {
    // 200 datagrams of 256 bytes a millisecond are charged 204 800 bytes.
    expect(nextDelay(10, 2000, 512_000, 10, 4 * 204_800 * 6)).toBe(6);
    expect(nextDelay(10, 2000, 512_000, 10, 4 * 204_800)).toBe(1);
    expect(nextDelay(10, 2000, 512_000, 10, 204_800)).toBe(0);
  });

  test('a clock that stands still divides nothing by zero', () => {
    expect(nextDelay(0, 1000, 400_000, 0, 64 * MIB)).toBe(1);
  });
});

describe('the measurement', () => {
  test('two events at once are no flood', () => {
    const wakeUp = new WakeUp(0);
    expect(wakeUp.after(1, 400, 5000, MIB)).toBe(0);
    expect(wakeUp.after(1, 400, 5000.05, MIB)).toBe(0);
  });

  test('a flood seen one datagram at a time is recognised within 20 ms', () => {
    const wakeUp = new WakeUp(0);
    for (let now = 0.1; now < 19.95; now += 0.1) expect(wakeUp.after(1, 400, now, MIB)).toBe(0);
    expect(wakeUp.after(1, 400, 20.05, MIB)).toBe(5);
  });

  test('the sleeps end with the flood, but not with a single sleep that finds nothing', () => {
    const wakeUp = new WakeUp(0);
    expect(wakeUp.after(1000, 400_000, 20, 8 * MIB)).toBe(5);
    expect(wakeUp.after(200, 80_000, 25, 8 * MIB)).toBe(10);
    expect(wakeUp.after(0, 0, 35, 8 * MIB)).toBe(10);
    expect(wakeUp.after(0, 0, 45, 8 * MIB)).toBe(0);
  });

  test('a flood that swells while sleeping shortens the next sleep at once', () => {
    const wakeUp = new WakeUp(0);
    for (const [now, delay] of [
      [20, 5],
      [25, 10],
      [35, 20],
    ] as const) {
      expect(wakeUp.after(20, 8000, now, MIB)).toBe(delay);
    }
    expect(wakeUp.after(3000, 1_200_000, 55, MIB)).toBe(1);
  });
});
