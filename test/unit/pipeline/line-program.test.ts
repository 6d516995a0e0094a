import { expect, test } from 'vitest';
import { LineHead } from '../../../src/pipeline/line-head.ts';
import { compileLine, type LineProgram } from '../../../src/pipeline/line-program.ts';
import { Memory } from '../../../src/pipeline/memory.ts';
import { FIRST_SLOT, Record } from '../../../src/pipeline/record.ts';

const memory = new Memory(64 << 10);
const record = new Record(memory, FIRST_SLOT + 4);
const [A, B, C, D] = [FIRST_SLOT, FIRST_SLOT + 1, FIRST_SLOT + 2, FIRST_SLOT + 3] as const;
const TO = 32 << 10;
const TEXT = 48 << 10;

function line(key: string, write: (line: LineProgram) => void, head = 0): string {
  const render = compileLine(key, record, memory, write);
  return Buffer.from(memory.bytes.subarray(TO, render(record.address, TO, head))).toString();
}

test('each part is written behind the one before, and only where its slot is valid', () => {
  record.clear();
  record.setNumber(A, 0xffffffff);
  record.setWide(B, 1, 2);
  const write = (to: LineProgram) => {
    to.literal('a=');
    to.number(A);
    to.literal(' b=');
    to.wide(B);
    to.ifValid(
      C,
      () => to.literal(' c'),
      () => to.literal(' no c'),
    );
    to.literal(' ');
    to.numberOrZero(C);
  };
  expect(line('parts', write)).toBe('a=4294967295 b=4294967298 no c 0');
  record.setNumber(C, 7);
  expect(line('parts', write)).toBe('a=4294967295 b=4294967298 c 7');
});

test('a number chooses among cases; a slot that is not valid counts as 0', () => {
  const write = (to: LineProgram) =>
    to.match(
      A,
      [
        [0, () => to.literal('none')],
        [0x80000000, () => to.literal('highest')],
      ],
      () => to.literal('other'),
    );
  const chosen = [undefined, 0, 0x80000000, 1].map((value) => {
    record.clear();
    if (value !== undefined) record.setNumber(A, value);
    return line('cases', write);
  });
  expect(chosen).toEqual(['none', 'none', 'highest', 'other']);
  expect(line('no case', (to) => to.match(A, [[5, () => to.literal('five')]]))).toBe('');
});

test('text and hardware addresses end where they must', () => {
  record.clear();
  memory.bytes.set(Buffer.from('0123456789abcdef'), TEXT);
  record.setBytes(D, TEXT, 10);
  const write = (to: LineProgram) => {
    to.printable(D, 4);
    to.literal(' ');
    to.printable(D, 100);
    to.literal(' ');
    to.hardwareAddress(D, 2);
    to.literal(' ');
    to.bytes(D);
  };
  expect(line('texts', write)).toBe('0123 0123456789 30:31 0123456789');
});

test('a text that is refused takes its name with it', () => {
  record.clear();
  memory.bytes.set(Buffer.from('a"b'), TEXT);
  record.setBytes(D, TEXT, 3);
  const write = (to: LineProgram) => {
    to.literal('{');
    to.jsonString('"name": ', D);
    to.literal('}');
  };
  expect(line('refused', write)).toBe('{}');
  record.setBytes(D, TEXT, 1);
  expect(line('refused', write)).toBe('{"name": "a"}');
});

test('a head has two texts, of which one may be empty, and no more room than it was given', () => {
  const head = new LineHead(memory, 8);
  const write = (to: LineProgram) => {
    to.headBefore();
    to.literal('|');
    to.headAfter();
  };
  head.set('begin', 'end');
  expect(line('head', write, head.address)).toBe('begin|end');
  head.set('é');
  expect(line('head', write, head.address)).toBe('é|');
  expect(() => head.set('12345', '6789')).toThrow('a head of 9 bytes in a room of 8');
  expect(line('head', write, head.address)).toBe('é|');
});

test('text at the very end of the memory is read in words, too', () => {
  const full = new Memory(64 << 10);
  const last = new Record(full, FIRST_SLOT + 1);
  full.bytes.set(Buffer.from('end'), (64 << 10) - 3);
  last.setBytes(A, (64 << 10) - 3, 3);
  const render = compileLine('at the end', last, full, (to) => {
    to.bytes(A);
    to.printable(A, 100);
    to.jsonString('', A);
  });
  expect(Buffer.from(full.bytes.subarray(TO, render(last.address, TO, 0))).toString()).toBe('endend"end"');
});
