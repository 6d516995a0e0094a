import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { OverloadLadder } from '../../../src/input/overload-ladder.ts';

const lines: string[] = [];
const log = {
  debug() {},
  info: (line: string) => void lines.push(`info: ${line}`),
  notice: (line: string) => void lines.push(`notice: ${line}`),
  error: (line: string) => void lines.push(`error: ${line}`),
  isDebug: () => false,
};

beforeEach(() => {
  lines.length = 0;
  vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] });
});
afterEach(() => void vi.useRealTimers());

test('reading in larger portions is counted each time, and said once a minute with its end', () => {
  const ladder = new OverloadLadder('in:NFCT', log, { bufferSize: 1000, restoreBuffer() {} });
  for (let burst = 0; burst < 50; burst++) {
    ladder.coalesce(true);
    ladder.coalesce(false);
    vi.advanceTimersByTime(1000);
  }
  expect(ladder.steps.coalesced).toBe(50);
  const said = [
    'info: in:NFCT: many events: reads them in larger portions',
    'info: in:NFCT: reads events as they come again',
  ];
  expect(lines).toEqual(said);
  vi.advanceTimersByTime(10_000);
  ladder.coalesce(true);
  ladder.coalesce(false);
  expect(lines).toEqual([...said, ...said]);
});

test('a buffer that grew before it was full is said, counted, and given back when it is quiet', () => {
  const socket = {
    bufferSize: 1000,
    restoreBuffer() {
      this.bufferSize = 1000;
    },
  };
  const ladder = new OverloadLadder('in:NFCT', log, socket);
  socket.bufferSize = 2000;
  ladder.grown();
  expect(ladder.steps.grown).toBe(1);
  vi.advanceTimersByTime(29_999);
  expect(socket.bufferSize).toBe(2000);
  vi.advanceTimersByTime(1);
  expect(socket.bufferSize).toBe(1000);
  expect(lines).toEqual([
    'notice: in:NFCT: the socket buffer was grown from 1000 to 2000 bytes',
    'notice: in:NFCT: the socket buffer is 1000 bytes again',
  ]);
});
