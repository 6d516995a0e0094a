import { expect, test } from 'vitest';
import { Memory } from '../../../src/pipeline/memory.ts';
import { SLACK } from '../../../src/wire/ascii.ts';
import { LineBuffer } from '../../../src/wire/line-buffer.ts';

test('a buffer in a room keeps what it holds while it grows, and gives back what it leaves', () => {
  const memory = new Memory(4096);
  memory.reserve(64);
  const buffer = new LineBuffer(256, memory.part());
  expect(buffer.address).toBe(64);
  buffer.append('held');
  expect(buffer.has(256 - 4 - SLACK)).toBe(true);
  expect(buffer.has(256 - 3 - SLACK)).toBe(false);
  buffer.ensure(400);
  expect(buffer.address).toBe(320);
  expect(Buffer.from(memory.bytes.subarray(320, 324)).toString()).toBe('held');
  expect(memory.reserve(256)).toBe(64);
  expect(() => buffer.ensure(4096)).toThrow(RangeError);
  expect(Buffer.from(buffer.bytes.subarray(0, buffer.length)).toString()).toBe('held');
});

test('a buffer that was released holds nothing, and can be filled again', () => {
  const memory = new Memory(1024);
  const buffer = new LineBuffer(512, memory.part());
  buffer.append('gone');
  buffer.release();
  buffer.release();
  expect([buffer.length, memory.reserve(512)]).toEqual([0, 0]);
  buffer.append('new');
  expect(Buffer.from(memory.bytes.subarray(buffer.address, buffer.address + 3)).toString()).toBe('new');
});

test('without a room it has memory of its own', () => {
  const buffer = new LineBuffer(16);
  buffer.append('more than sixteen bytes');
  expect(Buffer.from(buffer.bytes.subarray(0, buffer.length)).toString()).toBe('more than sixteen bytes');
  buffer.drop(5);
  expect(Buffer.from(buffer.bytes.subarray(0, buffer.length)).toString()).toBe('than sixteen bytes');
});
