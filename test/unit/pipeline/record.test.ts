import { expect, test } from 'vitest';
import { Memory } from '../../../src/pipeline/memory.ts';
import { ABSENT, FIRST_SLOT, Record, UNREAD } from '../../../src/pipeline/record.ts';

const SLOT = FIRST_SLOT;

test('a record begins with no value at all', () => {
  const record = new Record(new Memory(1024), SLOT + 3);
  expect(record.valid.length).toBeGreaterThanOrEqual(SLOT + 3);
  expect(record.valid.every((valid) => valid === 0)).toBe(true);
});

test('numbers, wide numbers and bytes are kept as they are given', () => {
  const record = new Record(new Memory(1024), SLOT + 3);
  record.setNumber(SLOT, 0xffffffff);
  record.setWide(SLOT + 1, 0x80000000, 0xfffffffe);
  record.setBytes(SLOT + 2, 1000, 24);
  expect([...record.value.subarray(SLOT)]).toEqual([0xffffffff, 0xfffffffe, 1000]);
  expect([...record.extra.subarray(SLOT + 1)]).toEqual([0x80000000, 24]);
  expect([...record.valid.subarray(0, SLOT + 3)]).toEqual([0, 0, 1, 1, 1]);
});

test('clearing makes every slot invalid, however many there are', () => {
  for (let slots = FIRST_SLOT; slots < 20; slots++) {
    const record = new Record(new Memory(1024), slots);
    for (let slot = UNREAD; slot < slots; slot++) record.setNumber(slot, 1);
    record.clear();
    expect(record.valid.every((valid) => valid === 0)).toBe(true);
  }
});

test('copying takes value, length and validity along', () => {
  const record = new Record(new Memory(1024), SLOT + 2);
  record.setBytes(SLOT, 64, 6);
  record.copy(SLOT, SLOT + 1);
  expect([record.value[SLOT + 1], record.extra[SLOT + 1], record.valid[SLOT + 1]]).toEqual([64, 6, 1]);
  record.copy(ABSENT, SLOT + 1);
  expect(record.valid[SLOT + 1]).toBe(0);
});

test('values point into the memory that all share', () => {
  const memory = new Memory(1024);
  const [one, other] = [new Record(memory, SLOT), new Record(memory, SLOT)];
  memory.bytes[100] = 7;
  expect(one.bytes[100]).toBe(7);
  expect(other.view.getUint8(100)).toBe(7);
});

test('memory is handed out in whole cache lines, and never twice', () => {
  const memory = new Memory(256);
  expect([memory.reserve(1), memory.reserve(64), memory.reserve(65)]).toEqual([0, 64, 128]);
  expect(() => memory.reserve(1)).toThrow(RangeError);
  expect(() => memory.reserve(1)).toThrow('no room for 1 more bytes');
});

test('a reservation that does not fit takes nothing', () => {
  const memory = new Memory(128);
  expect(() => memory.reserve(129)).toThrow(RangeError);
  expect(memory.reserve(128)).toBe(0);
});

test('what is given back goes to the next that wants as much, one by one or all', () => {
  const memory = new Memory(256);
  const [part, other] = [memory.part(), memory.part()];
  const first = part.reserve(64);
  part.reserve(64);
  const kept = other.reserve(64);
  part.free(first);
  part.free(first); // not twice
  part.free(kept); // it is none of this part's
  expect(memory.reserve(64)).toBe(first);
  expect(memory.reserve(64)).toBe(192);
  part.release();
  expect(memory.reserve(64)).toBe(64);
  expect(() => memory.reserve(64)).toThrow(RangeError);
});

test('a record finds nothing of what lay at its place before', () => {
  const memory = new Memory(1024);
  const part = memory.part();
  const before = new Record(part, SLOT + 3);
  before.setWide(SLOT, 7, 8);
  part.release();
  const record = new Record(memory, SLOT + 3);
  expect(record.address).toBe(before.address);
  expect([record.value[SLOT], record.extra[SLOT], record.valid[SLOT]]).toEqual([0, 0, 0]);
});

test('code finds the halves of a value by the address of its record', () => {
  const memory = new Memory(1024);
  memory.reserve(64);
  const record = new Record(memory, SLOT + 3);
  record.setWide(SLOT + 2, 5, 6);
  expect(memory.view.getUint32(record.address + record.valueAt(SLOT + 2), true)).toBe(6);
  expect(memory.view.getUint32(record.address + record.extraAt(SLOT + 2), true)).toBe(5);
  expect(memory.view.getUint8(record.address + SLOT + 2)).toBe(1);
});
