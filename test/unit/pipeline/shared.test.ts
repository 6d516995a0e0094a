import { expect, test } from 'vitest';
import { Memory } from '../../../src/pipeline/memory.ts';
import { Shared } from '../../../src/pipeline/shared.ts';

test('what is shared is made once, and is to be closed by the last that leaves', () => {
  const shared = new Shared();
  let made = 0;
  const use = () => shared.use('file', () => ({ number: ++made }));
  expect(use()).toBe(use());
  expect(shared.leave('file')).toBe(false);
  expect(shared.leave('file')).toBe(true);
  expect(use().number).toBe(2);
});

test('memory that a part gives back serves the next of the same size, and what is shared has one place', () => {
  const memory = new Memory(1024);
  const first = memory.part();
  const places = [first.reserve(100), first.reserve(10)];
  const together = first.slots('received', 1, 64).offset;
  first.release();
  const second = memory.part();
  expect([second.reserve(100), second.reserve(10)]).toEqual(places);
  expect(second.slots('received', 1, 64).offset).toBe(together);
  expect(second.slots('received', 1, 128).offset, 'of another size').not.toBe(together);
  expect(second.bytes).toBe(memory.bytes);
});

test('a thousand parts that come and go need the room of one', () => {
  const memory = new Memory(256);
  for (let i = 0; i < 1000; i++) {
    const part = memory.part();
    part.reserve(100);
    part.release();
  }
  expect(memory.part().reserve(100)).toBe(0);
});
