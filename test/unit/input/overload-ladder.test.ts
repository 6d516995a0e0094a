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
const grownSocket = (bufferSize: number) => ({
  bufferSize,
  firstBufferSize: 1000,
  portions: 'larger',
  restoreBuffer() {
    this.bufferSize = 1000;
  },
  restorePortions() {
    this.portions = 'usual';
  },
});

beforeEach(() => {
  lines.length = 0;
  vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] });
});
afterEach(() => void vi.useRealTimers());

test('larger portions are said, counted, and undone when it is quiet, before the buffer is given back', () => {
  const socket = grownSocket(1000);
  const ladder = new OverloadLadder('in:NFCT', log, socket);
  socket.bufferSize = 2000;
  ladder.grown();
  ladder.coalesced();
  vi.advanceTimersByTime(29_999);
  expect([socket.portions, socket.bufferSize]).toEqual(['larger', 2000]);
  vi.advanceTimersByTime(1);
  expect([socket.portions, socket.bufferSize]).toEqual(['usual', 2000]);
  vi.advanceTimersByTime(30_000);
  expect(socket.bufferSize).toBe(1000);
  expect(ladder.steps).toEqual({ grown: 1, coalesced: 1, givenUp: 0 });
  expect(lines).toEqual([
    'notice: in:NFCT: the socket buffer was grown from 1000 to 2000 bytes',
    'notice: in:NFCT: more comes than can be read: reads it in larger portions',
    'notice: in:NFCT: reads the usual portions again',
    'notice: in:NFCT: the socket buffer is 1000 bytes again',
  ]);
});

test('a buffer that had grown when the socket was handed on is given back when it is quiet', () => {
  const socket = grownSocket(2000);
  const ladder = new OverloadLadder('in:NFCT', log, socket);
  vi.advanceTimersByTime(30_000);
  expect(socket.bufferSize).toBe(1000);
  expect(ladder.steps.grown).toBe(0);
});

test('what still reads larger portions when the socket is handed on reads the usual ones', () => {
  const socket = grownSocket(1000);
  new OverloadLadder('in:NFCT', log, socket).stop();
  expect(socket.portions).toBe('usual');
});
