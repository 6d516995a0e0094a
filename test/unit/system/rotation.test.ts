import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { until } from '../../../scripts/lab.js';
import { type FileKeeping, ONE_FILE } from '../../../src/system/file-keeping.ts';
import { type FileFormat, OutputFile } from '../../../src/system/output-file.ts';
import { writeLines } from '../../support/lines.ts';

let folder = '';
let path = '';
const reports: string[] = [];
const files: OutputFile[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'flowlogd-rotation-'));
  path = join(folder, 'out');
});
afterEach(async () => {
  vi.useRealTimers();
  for (const file of files.splice(0)) await file.close();
  rmSync(folder, { recursive: true });
  reports.length = 0;
});

function opened(keeping: Partial<FileKeeping>, format: Partial<FileFormat> = {}): OutputFile {
  const report = (message: string) => void reports.push(message.replaceAll(folder, ''));
  const file = new OutputFile(path, report, format, { ...ONE_FILE, ...keeping });
  files.push(file);
  file.open();
  return file;
}

function write(file: OutputFile, ...lines: readonly string[]): void {
  writeLines(file, ...lines);
  file.flush();
}

const STAMPED = /^out\.\d{8}T\d{6}\.\d{3}Z/;
const names = () => readdirSync(folder).sort();
const old = () => names().filter((name) => STAMPED.test(name));
const content = (name: string) => {
  const bytes = readFileSync(join(folder, name));
  return (name.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString();
};
/** All that was ever written, in the order of the names. */
const everything = () => [...old(), 'out'].map(content).join('');

describe('a file that would grow beyond its size', () => {
  test('is put away before, under names that sort, with nothing lost or torn', () => {
    const file = opened({ rotateSize: 100 });
    const lines = Array.from({ length: 50 }, (_, i) => `line ${String(i).padStart(3, '0')}`);
    for (const line of lines) write(file, line);
    expect(old()).toHaveLength(4);
    for (const name of names()) {
      expect(statSync(join(folder, name)).size).toBeLessThanOrEqual(100);
      expect(content(name).endsWith('\n')).toBe(true);
    }
    expect(everything()).toBe(lines.map((line) => `${line}\n`).join(''));
    expect([file.records, file.dropped, reports]).toEqual([50, 0, []]);
  });

  test('takes a batch that is larger all the same, in a file of its own', () => {
    const file = opened({ rotateSize: 10 });
    write(file, 'x'.repeat(50));
    write(file, 'y');
    expect([...old(), 'out'].map(content)).toEqual([`${'x'.repeat(50)}\n`, 'y\n']);
  });

  test('is followed by one of the same mode', () => {
    const file = opened({ rotateSize: 10 });
    write(file, 'one');
    chmodSync(path, 0o604);
    write(file, 'two is longer');
    expect(statSync(path).mode & 0o777).toBe(0o604);
  });

  test('has its header and its footer each time', () => {
    const file = opened({ rotateSize: 12 }, { header: Buffer.from('<a>\n'), footer: Buffer.from('</a>\n') });
    for (const line of ['one', 'two', 'three']) write(file, line);
    void file.close();
    expect([...old(), 'out'].map(content)).toEqual(['<a>\none\ntwo\n</a>\n', '<a>\nthree\n</a>\n']);
  });
});

describe('a file that is too old', () => {
  test('is put away when there is something to write, and not before', () => {
    vi.useFakeTimers({ toFake: ['performance', 'Date'] });
    const file = opened({ rotateAge: 60_000 });
    write(file, 'one');
    vi.advanceTimersByTime(59_000);
    write(file, 'two');
    vi.advanceTimersByTime(2_000);
    expect(old()).toEqual([]);
    write(file, 'three');
    expect([...old(), 'out'].map(content)).toEqual(['one\ntwo\n', 'three\n']);
    vi.advanceTimersByTime(30_000);
    write(file, 'four');
    expect(old()).toHaveLength(1);
  });

  test('counts its age from its birth, not from the start of the daemon', () => {
    writeFileSync(path, 'before\n');
    vi.useFakeTimers({ toFake: ['performance', 'Date'] });
    vi.setSystemTime(Date.now() + 120_000);
    const file = opened({ rotateAge: 60_000 });
    write(file, 'new');
    expect([...old(), 'out'].map(content)).toEqual(['before\n', 'new\n']);
  });
});

describe('files that were put away', () => {
  test('are compressed, whole, and with the mode they had', async () => {
    const file = opened({ rotateSize: 100, compress: true });
    chmodSync(path, 0o600);
    const lines = Array.from({ length: 40 }, (_, i) => `line ${String(i).padStart(3, '0')}`);
    for (const line of lines) write(file, line);
    await until('all is compressed', () => old().length === 3 && old().every((name) => name.endsWith('.gz')));
    expect(everything()).toBe(lines.map((line) => `${line}\n`).join(''));
    for (const name of old()) expect(statSync(join(folder, name)).mode & 0o777).toBe(0o600);
  });

  test('are no more than are kept, the newest', async () => {
    const file = opened({ rotateSize: 5, keep: 2 });
    for (const line of ['one', 'two', 'three', 'four', 'five']) write(file, line);
    await until('two are left', () => old().length === 2);
    expect([...old(), 'out'].map(content)).toEqual(['three\n', 'four\n', 'five\n']);
  });

  test('are left alone when they belong to somebody else', async () => {
    const others = ['out.1', 'out.old', 'output.20260101T000000.000Z', 'out.20260101T000000.000Z.bak'];
    for (const name of others) writeFileSync(join(folder, name), 'not ours\n');
    const file = opened({ rotateSize: 5, keep: 1, compress: true });
    for (const line of ['one', 'two', 'three', 'four']) write(file, line);
    await until('one is left', () => old().filter((name) => name.endsWith('.gz')).length === 1);
    expect(others.every((name) => content(name) === 'not ours\n')).toBe(true);
  });

  test('are brought in order at the next start when a crash came in between', async () => {
    const stamps = ['20260101T000000.000Z', '20260102T000000.000Z', '20260103T000000.000Z'].map(
      (time) => `out.${time}`,
    );
    const [both, half, plain] = stamps as [string, string, string];
    writeFileSync(join(folder, both), 'one\n');
    writeFileSync(join(folder, `${both}.gz`), gzipSync('one\n'));
    writeFileSync(join(folder, half), 'two\n');
    writeFileSync(join(folder, `${half}.gz.tmp`), gzipSync('two\n').subarray(0, 12));
    writeFileSync(join(folder, plain), 'three\n');
    const file = opened({ compress: true });
    const wanted = [...stamps.map((name) => `${name}.gz`), 'out'].sort();
    await until('all is compressed', () => names().join() === wanted.join());
    write(file, 'four');
    expect(everything()).toBe('one\ntwo\nthree\nfour\n');
    expect(reports).toEqual([]);
  });

  test('are compressed later when the daemon ends meanwhile', async () => {
    writeFileSync(join(folder, 'out.20260101T000000.000Z'), Buffer.alloc(8 << 20, 'x'));
    const file = opened({ compress: true });
    await file.close();
    const left = names().filter((name) => name !== 'out');
    expect([['out.20260101T000000.000Z'], ['out.20260101T000000.000Z.gz']]).toContainEqual(left);
  });
});

test('SIGHUP after logrotate and rotation by size go together', () => {
  const file = opened({ rotateSize: 10 });
  write(file, 'one');
  utimesSync(path, 0, 0);
  file.reopen();
  write(file, 'two');
  write(file, 'three');
  expect([...old(), 'out'].map(content)).toEqual(['one\ntwo\n', 'three\n']);
});

test('a file that was deleted is made again with the next batch', () => {
  const file = opened({});
  write(file, 'one');
  rmSync(path);
  write(file, 'two');
  expect(content('out')).toBe('two\n');
  expect(reports).toEqual(['/out had been deleted: a new one is written']);
});
