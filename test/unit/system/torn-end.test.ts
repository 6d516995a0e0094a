import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type FileFormat, OutputFile } from '../../../src/system/output-file.ts';
import { captureEnd, linesEnd } from '../../../src/system/torn-end.ts';
import { LINKTYPE_ETHERNET, LINKTYPE_RAW, pcapHeader, pcapRecordEnd, writePcapRecord } from '../../../src/wire/pcap.ts';

let folder = '';
let path = '';
const reports: string[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'flowlogd-torn-'));
  path = join(folder, 'out');
});
afterEach(() => {
  rmSync(folder, { recursive: true });
  reports.length = 0;
});

/** What is in the file after it was found with these bytes, opened, and `bytes` written to it. */
function opened(found: string | Uint8Array, bytes: Uint8Array, format: Partial<FileFormat> = {}): Buffer {
  writeFileSync(path, found);
  const file = new OutputFile(path, (message) => void reports.push(message.replaceAll(folder, '')), format);
  file.open();
  file.buffer.ensure(bytes.length);
  file.buffer.bytes.set(bytes, 0);
  file.endLine(bytes.length);
  void file.close();
  return readFileSync(path);
}

const NEW = Buffer.from('new\n');

describe('lines', () => {
  test('a file that ends in half a line gets the line end, and the log says so', () => {
    expect(opened('one\nha', NEW).toString()).toBe('one\nha\nnew\n');
    expect(reports).toEqual(['/out ended in the middle of a record: it is mended']);
  });

  test('a whole file stays as it is', () => {
    expect(opened('one\n', NEW).toString()).toBe('one\nnew\n');
    expect(opened('', NEW).toString()).toBe('new\n');
    expect(reports).toEqual([]);
  });

  test('half a line may be replaced', () => {
    const inspect = linesEnd((torn) => Buffer.from(`(${Buffer.from(torn)})\n`));
    expect(opened('one\nha', NEW, { inspect }).toString()).toBe('one\n(ha)\nnew\n');
    expect(opened('ha', NEW, { inspect }).toString()).toBe('(ha)\nnew\n');
  });
});

describe('captured packets', () => {
  const header = pcapHeader(LINKTYPE_RAW, 65536, 0);
  const format = { records: 'packets', header, inspect: captureEnd(header), recordEnd: pcapRecordEnd };
  const record = (length: number): Buffer => {
    const bytes = Buffer.alloc(16 + length, 0x45);
    writePcapRecord(new DataView(bytes.buffer, bytes.byteOffset), 0, 1, 2, length, length);
    return bytes;
  };
  const whole = Buffer.concat([header, record(40), record(60)]);

  test('wherever the file was cut, the packets before it and the new one are read, and nothing else', () => {
    const added = record(50);
    for (let size = 0; size <= whole.length; size++) {
      const kept =
        size < header.length ? header : size < 80 ? whole.subarray(0, 24) : size < 156 ? whole.subarray(0, 80) : whole;
      expect(opened(whole.subarray(0, size), added, format)).toEqual(Buffer.concat([kept, added]));
    }
    expect(reports.length).toBe(whole.length - 3);
  });

  test('a file longer than what is read at once', () => {
    const many = Buffer.concat([header, ...Array.from({ length: 300 }, (_, i) => record(9000 + i))]);
    expect(opened(many, record(1), format).equals(Buffer.concat([many, record(1)]))).toBe(true);
    const torn = Buffer.concat([many, record(70).subarray(0, 30)]);
    expect(opened(torn, record(1), format).equals(Buffer.concat([many, record(1)]))).toBe(true);
  });

  test.each([
    ['of another kind of packets', Buffer.from(pcapHeader(LINKTYPE_ETHERNET, 65536, 0))],
    ['of something else', Buffer.from('Nov 21 10:03:43 vm a line of syslog\n')],
    ['of something short', Buffer.from('x')],
    ['with a length that no packet has', Buffer.concat([whole, Buffer.alloc(16, 0xff)])],
  ])('a file %s is set aside as it is', (_, found) => {
    expect(opened(found, record(1), format)).toEqual(Buffer.concat([header, record(1)]));
    const aside = readdirSync(folder).filter((name) => name !== 'out');
    expect(aside.map((name) => readFileSync(join(folder, name)))).toEqual([found]);
    expect(reports).toEqual([`/out cannot be appended to, its content is of another kind: it is now /${aside[0]}`]);
  });
});
