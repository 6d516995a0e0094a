import { execFileSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { OutputFile } from '../../../src/system/output-file.ts';
import { writeLines } from '../../support/lines.ts';

/** Bytes that still fit the disk: a real one is filled in test/kernel/output-file.test.ts. */
let room = Number.POSITIVE_INFINITY;

vi.mock('node:fs', async (original) => {
  const fs = await original<typeof import('node:fs')>();
  const writeSync = (fd: number, bytes: Uint8Array, offset: number, length: number) => {
    if (room <= 0) throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
    const written = fs.writeSync(fd, bytes, offset, Math.min(length, room));
    room -= written;
    return written;
  };
  return { ...fs, writeSync };
});

let folder = '';
let path = '';
const reports: string[] = [];
const files: OutputFile[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'flowlogd-output-file-'));
  path = join(folder, 'out');
});
afterEach(() => {
  room = Number.POSITIVE_INFINITY;
  for (const file of files.splice(0)) file.close();
  rmSync(folder, { recursive: true, force: true });
  reports.length = 0;
  vi.useRealTimers();
});

function opened(at = path): OutputFile {
  const file = new OutputFile(at, (message) => void reports.push(message.replaceAll(folder, '')));
  files.push(file);
  file.open();
  return file;
}

const text = (at = path) => readFileSync(at, 'utf8');

describe('writing', () => {
  test('lines reach the file with the next flush, behind what is there', () => {
    writeFileSync(path, 'before\n');
    const file = opened();
    writeLines(file, 'one', 'two');
    expect(text()).toBe('before\n');
    file.flush();
    expect(text()).toBe('before\none\ntwo\n');
    expect(file.written).toBe(8);
  });

  test('a batch that grows large is written in parts', () => {
    const file = opened();
    const line = 'x'.repeat(1023);
    for (let i = 0; i < 1100; i++) writeLines(file, line);
    expect(statSync(path).size).toBe(1 << 20);
    file.flush();
    expect(text()).toBe(`${line}\n`.repeat(1100));
  });

  test('a flush with nothing to write does nothing', () => {
    const file = opened();
    file.flush();
    expect([file.written, file.dropped, reports]).toEqual([0, 0, []]);
  });

  test('a note stands behind the records that were there, and is none of them', () => {
    const file = opened();
    writeLines(file, 'one');
    file.note('{"gap": 1}');
    writeLines(file, 'two');
    file.close();
    expect(text()).toBe('one\n{"gap": 1}\ntwo\n');
    expect([file.records, file.written]).toEqual([2, 19]);
  });

  test('a note waits for room behind the rest of a torn record, and more than 16 do not wait', () => {
    const file = opened();
    room = 2;
    writeLines(file, 'one');
    for (let i = 0; i < 20; i++) file.note(`note ${i}`);
    expect([text(), file.pending]).toEqual(['on', 1]);
    room = 100;
    file.flush();
    room = Number.POSITIVE_INFINITY;
    file.close();
    expect(text()).toBe(`one\n${Array.from({ length: 16 }, (_, i) => `note ${i + 4}\n`).join('')}`);
    expect([file.records, file.dropped]).toEqual([1, 0]);
  });

  test('closing counts a record of which only a part could be written', () => {
    const file = opened();
    room = 2;
    writeLines(file, 'torn');
    file.close();
    expect([text(), file.records, file.pending, file.dropped]).toEqual(['to', 0, 0, 1]);
    file.close();
    expect(file.dropped).toBe(1);
  });

  test('closing writes what is left, and may be done again', () => {
    const file = opened();
    writeLines(file, 'last');
    file.close();
    file.close();
    expect(text()).toBe('last\n');
  });
});

describe('opening', () => {
  test('makes the directory if it alone is missing', () => {
    opened(join(folder, 'new', 'out'));
    expect(statSync(join(folder, 'new')).isDirectory()).toBe(true);
  });

  test('makes no more than one directory', () => {
    expect(() => opened(join(folder, 'a', 'b', 'out'))).toThrow(/^cannot open .*\/a\/b\/out: ENOENT/);
    expect(() => statSync(join(folder, 'a'))).toThrow('ENOENT');
  });

  test('fails with the path and the reason', () => {
    expect(() => opened(folder)).toThrow(`cannot open ${folder}: EISDIR`);
    writeFileSync(path, '');
    expect(() => opened(join(path, 'below'))).toThrow(`cannot open ${path}/below: ENOTDIR`);
    symlinkSync(join(folder, 'nowhere', 'file'), join(folder, 'link'));
    expect(() => opened(join(folder, 'link'))).toThrow(`cannot open ${folder}/link: `);
  });

  test('again is harmless: two stacks share one file', () => {
    const file = opened();
    file.open();
    writeLines(file, 'one');
    file.flush();
    expect(text()).toBe('one\n');
  });
});

describe('a full disk', () => {
  test('/dev/full: lines are dropped and counted, and it is said once', () => {
    const file = opened('/dev/full');
    for (let batch = 0; batch < 3; batch++) {
      writeLines(file, 'one', 'two');
      file.flush();
    }
    expect([file.written, file.dropped, file.buffer.length]).toEqual([0, 6, 0]);
    expect(reports).toEqual([
      'cannot write /dev/full: ENOSPC: no space left on device, write; lines are dropped and counted until it works again',
    ]);
  });

  test('in the middle of a line: the line is completed before anything else is written', () => {
    const file = opened();
    room = 6;
    writeLines(file, 'one', 'two', 'three', 'four');
    file.flush();
    expect(text()).toBe('one\ntw');
    expect(file.dropped).toBe(2);
    writeLines(file, 'five');
    file.flush();
    expect(text()).toBe('one\ntw');
    expect(file.dropped).toBe(3);
    room = Number.POSITIVE_INFINITY;
    writeLines(file, 'six');
    file.flush();
    expect(text()).toBe('one\ntwo\nsix\n');
    expect(file.written).toBe(12);
    expect(reports).toEqual([
      expect.stringMatching(/^cannot write \/out: ENOSPC/),
      '/out is written again; 3 lines were dropped so far',
    ]);
  });

  test('between two lines: nothing is repeated', () => {
    const file = opened();
    room = 4;
    writeLines(file, 'one', 'two');
    file.flush();
    room = 100;
    writeLines(file, 'three');
    file.flush();
    expect(text()).toBe('one\nthree\n');
    expect(file.dropped).toBe(1);
  });

  test('each new failure is said, after it worked in between', () => {
    const file = opened();
    for (let i = 0; i < 2; i++) {
      room = 0;
      writeLines(file, 'lost');
      file.flush();
      room = 100;
      writeLines(file, 'kept');
      file.flush();
    }
    expect(reports.map((line) => line.slice(0, 16))).toEqual([
      'cannot write /ou',
      '/out is written ',
      'cannot write /ou',
      '/out is written ',
    ]);
    expect(reports[3]).toContain('2 lines');
  });

  test('whatever the room, the file holds whole lines in order, and every line is written or counted', () => {
    const lines = fc.array(fc.string({ unit: fc.constantFrom('a', 'b', 'ö'), maxLength: 12 }), { maxLength: 8 });
    const batches = fc.array(fc.record({ lines, room: fc.integer({ min: 0, max: 60 }) }), { maxLength: 12 });
    let run = 0;
    fc.assert(
      fc.property(batches, (steps) => {
        const at = join(folder, `run${run++}`);
        const file = opened(at);
        const all: string[] = [];
        for (const step of steps) {
          room = step.room;
          writeLines(file, ...step.lines.map((line, i) => `${all.length + i}${line}`));
          all.push(...step.lines.map((line, i) => `${all.length + i}${line}`));
          file.flush();
          expect(file.records + file.pending + file.dropped).toBe(all.length);
          for (let i = 0; i < step.room % 3; i++) file.note(`note ${all.length}.${i}`);
          expect(file.records + file.pending + file.dropped).toBe(all.length);
        }
        room = Number.POSITIVE_INFINITY;
        file.close();
        const everything = text(at).split('\n');
        expect(everything.pop(), 'the file ends with a line feed').toBe('');
        for (const line of everything) expect(line).toMatch(/^(note \d+\.\d+|\d+[abö]*)$/);
        const kept = everything.filter((line) => !line.startsWith('note'));
        expect([file.records, file.pending]).toEqual([kept.length, 0]);
        let from = 0;
        for (const line of kept) {
          const found = all.indexOf(line, from);
          expect(found, `${line} is one of the lines, behind the one before`).toBeGreaterThanOrEqual(0);
          from = found + 1;
        }
        expect(kept.length + file.dropped).toBe(all.length);
        expect(file.written).toBe(statSync(at).size);
      }),
      { numRuns: 300 },
    );
  });
});

describe('logrotate', () => {
  test('after a rename and SIGHUP, what is buffered goes to the old file and the rest to a new one', () => {
    const file = opened();
    writeLines(file, 'one');
    renameSync(path, `${path}.1`);
    file.reopen();
    writeLines(file, 'two');
    file.flush();
    expect([text(`${path}.1`), text()]).toEqual(['one\n', 'two\n']);
    expect(reports).toEqual([]);
  });

  test('a line torn by a full disk is not ended in the new file', () => {
    const file = opened();
    room = 2;
    writeLines(file, 'torn', 'lost');
    file.flush();
    renameSync(path, `${path}.1`);
    file.reopen();
    room = 100;
    writeLines(file, 'new');
    file.flush();
    expect([text(`${path}.1`), text()]).toEqual(['to', 'new\n']);
    expect(file.dropped).toBe(2);
  });

  test('a line torn by a full disk is ended when the file is the same', () => {
    const file = opened();
    room = 2;
    writeLines(file, 'torn', 'lost');
    file.flush();
    file.reopen();
    room = 100;
    writeLines(file, 'new');
    file.flush();
    expect(text()).toBe('torn\nnew\n');
    expect(file.dropped).toBe(1);
  });

  test('when the new file cannot be opened the old one is written until it can', () => {
    vi.useFakeTimers({ toFake: ['performance'] });
    vi.advanceTimersByTime(10_000);
    const file = opened();
    renameSync(path, `${path}.1`);
    mkdirSync(path);
    file.reopen();
    writeLines(file, 'one');
    file.flush();
    vi.advanceTimersByTime(1000);
    writeLines(file, 'two');
    file.flush();
    expect(text(`${path}.1`)).toBe('one\ntwo\n');
    expect(reports).toEqual([
      expect.stringMatching(/^cannot open \/out: EISDIR.*; the file that was open before is written until it works$/),
    ]);
    rmSync(path, { recursive: true });
    vi.advanceTimersByTime(1000);
    writeLines(file, 'three');
    file.flush();
    expect([text(`${path}.1`), text()]).toEqual(['one\ntwo\n', 'three\n']);
    expect(reports.slice(1)).toEqual(['/out is open again']);
    expect([file.records, file.dropped]).toEqual([3, 0]);
  });

  test('a file that cannot be opened again is tried once a second, its lines counted meanwhile', () => {
    vi.useFakeTimers({ toFake: ['performance'] });
    vi.advanceTimersByTime(10_000);
    const file = opened();
    rmSync(path);
    mkdirSync(path);
    file.reopen();
    for (let i = 0; i < 3; i++) {
      writeLines(file, 'lost');
      file.flush();
    }
    expect(file.dropped).toBe(3);
    expect(reports).toEqual([expect.stringMatching(/^cannot open \/out: EISDIR/)]);
    rmSync(path, { recursive: true });
    writeLines(file, 'too soon');
    file.flush();
    expect(file.dropped).toBe(4);
    vi.advanceTimersByTime(1000);
    writeLines(file, 'again');
    file.flush();
    expect(text()).toBe('again\n');
    expect(reports[1]).toBe('/out is written again; 4 lines were dropped so far');
  });
});

test('a FIFO waits neither for its reader nor for room: what does not fit is dropped and counted', () => {
  execFileSync('mkfifo', [path]);
  const file = new OutputFile(path, (message) => reports.push(message));
  files.push(file);
  file.open();
  const line = Buffer.from(`${'x'.repeat(99)}\n`);
  for (let i = 0; i < 2000; i++) {
    file.buffer.ensure(line.length);
    file.buffer.bytes.set(line, file.buffer.length);
    file.endLine(file.buffer.length + line.length);
  }
  file.flush();
  expect(file.written).toBeGreaterThan(0);
  expect(file.dropped).toBeGreaterThan(1000); // a pipe holds 64 KiB
  expect(reports).toHaveLength(1);
  expect(reports[0]).toContain('EAGAIN');
});
