import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { OutputFile } from '../../src/system/output-file.ts';

const DISK = 256 << 10;

let folder = '';
const reports: string[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'flowlogd-disk-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK}`, 'flowlogd-test', folder]);
});
afterEach(() => {
  execFileSync('umount', [folder]);
  rmdirSync(folder);
  reports.length = 0;
});

test('a disk that runs full in the middle of a line: lines are dropped whole, and none is torn in the end', () => {
  const ballast = join(folder, 'ballast');
  writeFileSync(ballast, new Uint8Array(DISK >> 1));
  const path = join(folder, 'out');
  const file = new OutputFile(path, (message) => void reports.push(message));
  file.open();
  let count = 0;
  const write = (lines: number) => {
    for (let i = 0; i < lines; i++) {
      const line = Buffer.from(`${String(count++).padStart(99, '0')}\n`);
      file.buffer.ensure(line.length);
      file.buffer.bytes.set(line, file.buffer.length);
      file.endLine(file.buffer.length + line.length);
    }
    file.flush();
  };

  write(1000);
  expect(readFileSync(path).length).toBe(100_000);
  expect(file.dropped).toBe(0);
  write(1000);
  const full = readFileSync(path);
  expect(full.length, 'whole pages were written').toBe(DISK >> 1);
  expect(full.length % 100, 'a line is torn').not.toBe(0);
  write(10);
  rmSync(ballast);
  write(10);
  file.close();

  const lines = readFileSync(path, 'utf8').split('\n');
  expect(lines.pop()).toBe('');
  expect(lines.every((line) => line.length === 99)).toBe(true);
  expect(lines.slice(-10).map(Number)).toEqual(Array.from({ length: 10 }, (_, i) => 2010 + i));
  expect(lines.length + file.dropped).toBe(count);
  expect(reports).toEqual([
    expect.stringContaining(`cannot write ${path}: ENOSPC`),
    `${path} is written again; ${file.dropped} lines were dropped so far`,
  ]);
});
