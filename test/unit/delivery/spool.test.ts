import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, renameSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { RECORD_HEADER, SEGMENT_HEADER } from '../../../src/delivery/segment.ts';
import { Spool, type Spooled } from '../../../src/delivery/spool.ts';
import { batch, folder, segmentsIn, textOf } from './folder.ts';

const open: Spool[] = [];
const reports: string[] = [];

function opened(directory: string, maxBytes = 1 << 20): Spool {
  const spool = new Spool(directory, maxBytes, (message) => void reports.push(message));
  open.push(spool);
  return spool;
}

function closed(spool: Spool): void {
  spool.close();
  open.splice(open.indexOf(spool), 1);
}

afterEach(() => {
  for (const spool of open.splice(0)) spool.close();
  reports.length = 0;
});

function readAll(spool: Spool): Spooled[] {
  const all: Spooled[] = [];
  for (let one = spool.read(); one; one = spool.read()) all.push(one);
  return all;
}

const texts = (records: readonly Spooled[]) => records.map(textOf);

/** A spool's directory with these records in one segment. */
function written(records: readonly string[], events = 1): string {
  const directory = folder();
  const spool = opened(directory);
  for (const text of records) expect(spool.append(batch(text, events))).toBe(true);
  closed(spool);
  return directory;
}

describe('a spool', () => {
  test('gives back what was appended, in order, with events and time', () => {
    const spool = opened(folder());
    spool.append(batch('one', 3));
    spool.append(batch('', 0));
    spool.append(batch('two', 4));
    expect(spool.unread).toBe(7);
    const [one, empty, two] = readAll(spool);
    expect([one, empty, two].map((each) => [textOf(each!), each!.events, each!.time])).toEqual([
      ['one', 3, 1_700_000_000_000],
      ['', 0, 1_700_000_000_000],
      ['two', 4, 1_700_000_000_000],
    ]);
    expect(spool.unread).toBe(0);
    spool.append(batch('three'));
    expect(texts(readAll(spool))).toEqual(['three']);
  });

  test('goes on after a restart where it was committed', () => {
    const directory = folder();
    const spool = opened(directory);
    for (const text of ['a', 'b', 'c', 'd']) spool.append(batch(text));
    const [, b] = readAll(spool);
    spool.commit(b!.position);
    closed(spool);
    const again = opened(directory);
    expect(again.unread).toBe(2);
    again.append(batch('e'));
    expect(texts(readAll(again))).toEqual(['c', 'd', 'e']);
  });

  test('leaves no segment behind when all is delivered', async () => {
    const directory = folder();
    const spool = opened(directory);
    spool.append(batch('a'));
    spool.commit(spool.read()!.position);
    expect(spool.bytes).toBe(0);
    await expect.poll(() => segmentsIn(directory)).toEqual([]);
    spool.append(batch('b'));
    expect(texts(readAll(spool))).toEqual(['b']);
    closed(spool);
    expect(texts(readAll(opened(directory)))).toEqual(['b']);
  });

  test('drops its oldest segments when it is full, and counts what nobody had read', async () => {
    const directory = folder();
    const spool = opened(directory, 256 << 10);
    const text = 'x'.repeat(10_000);
    for (let i = 0; i < 100; i++) expect(spool.append(batch(`${i} ${text}`, 2))).toBe(true);
    expect(spool.bytes).toBeLessThanOrEqual(256 << 10);
    const onDisk = () =>
      segmentsIn(directory).reduce((sum, path) => sum + (statSync(path, { throwIfNoEntry: false })?.size ?? 0), 0);
    await expect.poll(onDisk).toBe(spool.bytes);
    const left = readAll(spool);
    expect(spool.droppedFull).toBe(2 * (100 - left.length));
    expect(left.map((one) => Number.parseInt(textOf(one), 10))).toEqual(
      Array.from({ length: left.length }, (_, i) => 100 - left.length + i),
    );
    expect([spool.droppedCorrupt, spool.damaged]).toEqual([0, 0]);
  });

  test('does not count as dropped what was read before it needed the room', () => {
    const spool = opened(folder(), 256 << 10);
    const text = 'x'.repeat(10_000);
    let read = 0;
    for (let i = 0; i < 100; i++) {
      spool.append(batch(text));
      if (spool.read()) read++;
    }
    expect([read, spool.droppedFull, spool.unread]).toEqual([100, 0, 0]);
  });

  test('refuses what would not fit at all', () => {
    const spool = opened(folder(), 64 << 10);
    expect(spool.append(batch('x'.repeat(64 << 10)))).toBe(false);
    expect(spool.append(batch('fits'))).toBe(true);
  });

  test('belongs to one output', () => {
    const directory = folder();
    const spool = opened(directory);
    expect(() => opened(directory)).toThrow(`the spool ${directory} is in use by another output`);
    closed(spool);
    opened(directory);
  });

  test('has files for its owner and group alone', () => {
    const directory = join(folder(), 'new');
    const spool = opened(directory);
    spool.append(batch('a'));
    expect(statSync(directory).mode & 0o777).toBe(0o750);
    for (const path of [...segmentsIn(directory), join(directory, 'position'), join(directory, 'lock')]) {
      expect(statSync(path).mode & 0o777, path).toBe(0o640);
    }
  });

  test('says why it cannot be opened', () => {
    const directory = folder();
    writeFileSync(join(directory, 'file'), '');
    expect(() => opened(join(directory, 'file'))).toThrow(`cannot open the spool ${directory}/file: ENOTDIR`);
    expect(() => opened(join(directory, 'a', 'b'))).toThrow(`cannot make the spool ${directory}/a/b: ENOENT`);
  });
});

describe('a directory that somebody removes', () => {
  /** Lets the second pass in which a spool does not look. */
  const passASecond = () => vi.advanceTimersByTime(1000);
  const LOST = (directory: string, events: number) =>
    `the spool ${directory} was removed: it is made anew, and ${events} events in it are lost`;
  beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }));
  afterEach(() => void vi.useRealTimers());

  test.each([
    ['deleted', (directory: string) => rmSync(directory, { recursive: true })],
    ['emptied', (directory: string) => spawnSync('sh', ['-c', `rm ${directory}/*`])],
  ])('%s: it is made anew, and what was in it is counted and said once', (_, remove) => {
    const directory = join(folder(), 'spool');
    const spool = opened(directory);
    for (const text of ['a', 'b', 'c']) spool.append(batch(text, 5));
    const first = spool.read()!;
    remove(directory);
    passASecond();
    for (const text of ['d', 'e']) expect(spool.append(batch(text))).toBe(true);
    expect([spool.droppedCorrupt, spool.unread, reports]).toEqual([10, 2, [LOST(directory, 10)]]);
    spool.commit(first.position); // it is sent by now
    expect(texts(readAll(spool))).toEqual(['d', 'e']);
    expect([spool.droppedCorrupt, reports.length]).toEqual([10, 1]);
    closed(spool);
    const again = opened(directory);
    expect([again.unread, texts(readAll(again)), again.droppedCorrupt]).toEqual([2, ['d', 'e'], 0]);
  });

  test.each(['itself', 'its parent'])(
    'that is moved, %s: it goes on there until all is read, then where it was',
    (what) => {
      const parent = join(folder(), 'parent');
      const directory = join(parent, 'spool');
      mkdirSync(directory, { recursive: true });
      const spool = opened(directory, 1 << 20);
      const big = 'x'.repeat(40 << 10);
      const all = Array.from({ length: 8 }, (_, i) => `${i}${big}`);
      for (const text of all.slice(0, 4)) spool.append(batch(text, 5));
      expect(segmentsIn(directory).length, 'several segments are still to be opened').toBeGreaterThan(1);
      const [from, to] = what === 'itself' ? [directory, join(folder(), 'moved')] : [parent, join(folder(), 'moved')];
      const now = what === 'itself' ? to : join(to, 'spool');
      renameSync(from, to);
      for (const text of all.slice(4)) {
        passASecond();
        expect(spool.append(batch(text, 5))).toBe(true);
      }
      expect(reports).toEqual([
        `the spool ${directory} was moved: it goes on in ${now}, and is made anew when that is read`,
      ]);
      expect([spool.unread, texts(readAll(spool)), spool.droppedCorrupt, spool.damaged]).toEqual([40, all, 0, 0]);
      mkdirSync(parent, { recursive: true });
      passASecond();
      expect(spool.append(batch('a', 5))).toBe(true);
      expect(segmentsIn(directory)).toHaveLength(1);
      expect(reports.slice(1)).toEqual([`the spool ${directory} was removed: it is made anew`]);
      expect([texts(readAll(spool)), spool.droppedCorrupt]).toEqual([['a'], 0]);
    },
  );

  test('that is moved with its parent goes on there as long as there is no place for another', () => {
    const parent = join(folder(), 'parent');
    mkdirSync(parent);
    const spool = opened(join(parent, 'spool'));
    renameSync(parent, join(folder(), 'moved'));
    for (const text of ['a', 'b']) {
      passASecond();
      expect(spool.append(batch(text))).toBe(true);
    }
    for (const record of readAll(spool)) spool.commit(record.position);
    expect([reports.length, spool.droppedCorrupt, spool.unread]).toEqual([1, 0, 0]);
  });

  test('a segment that is deleted while it is written costs what was in it, and what came within a second', () => {
    const directory = folder();
    const spool = opened(directory);
    spool.append(batch('a', 5));
    for (const path of segmentsIn(directory)) rmSync(path);
    spool.append(batch('b', 5));
    passASecond();
    spool.append(batch('c', 5));
    expect(texts(readAll(spool))).toEqual(['c']);
    expect(spool.droppedCorrupt).toBe(10);
  });

  test('a lock that is deleted is made anew, and nothing is lost', () => {
    const directory = folder();
    const spool = opened(directory);
    spool.append(batch('a'));
    rmSync(join(directory, 'lock'));
    passASecond();
    spool.append(batch('b'));
    expect(statSync(join(directory, 'lock')).isFile()).toBe(true);
    spool.commit(spool.read()!.position);
    expect(texts(readAll(spool))).toEqual(['b']);
    expect([spool.droppedCorrupt, reports]).toEqual([0, []]);
    closed(spool);
    expect(texts(readAll(opened(directory)))).toEqual(['b']);
  });

  test('one that cannot be made is tried for as long as it takes', () => {
    const parent = join(folder(), 'parent');
    mkdirSync(parent);
    const directory = join(parent, 'spool');
    const spool = opened(directory);
    spool.append(batch('a'));
    rmSync(parent, { recursive: true });
    passASecond();
    for (let i = 0; i < 3; i++, passASecond()) expect(spool.append(batch('no room'))).toBe(false);
    expect(reports).toEqual([expect.stringContaining(`cannot make the spool ${directory}: ENOENT`)]);
    mkdirSync(parent);
    expect(spool.append(batch('b'))).toBe(true);
    expect(reports.slice(1)).toEqual([LOST(directory, 1), `the spool ${directory} is written again`]);
    expect(texts(readAll(spool))).toEqual(['b']);
  });
});

describe('damage', () => {
  const RECORDS = ['first record', 'the second', 'a third one'];

  test('cut at any byte, the last segment still gives every record that is whole', { timeout: 60_000 }, () => {
    const directory = written(RECORDS);
    const [path] = segmentsIn(directory) as [string];
    const whole = readFileSync(path);
    const ends = RECORDS.map((_, i) =>
      RECORDS.slice(0, i + 1).reduce((at, text) => at + RECORD_HEADER + text.length, SEGMENT_HEADER),
    );
    for (let length = whole.length; length >= 0; length--) {
      writeFileSync(path, whole.subarray(0, length));
      const spool = opened(directory);
      const expected = RECORDS.filter((_, i) => (ends[i] as number) <= length);
      expect(texts(readAll(spool)), `cut at ${length}`).toEqual(expected);
      expect(spool.append(batch('new')), `cut at ${length}`).toBe(true);
      expect(texts(readAll(spool)), `cut at ${length}`).toEqual(['new']);
      closed(spool);
      for (const other of segmentsIn(directory)) if (other !== path) rmSync(other);
      rmSync(join(directory, 'position'));
    }
  });

  test('a bit flipped in any byte costs one record at most, and what it costs is counted', { timeout: 60_000 }, () => {
    const directory = written([...RECORDS, 'last'], 5);
    const [path] = segmentsIn(directory) as [string];
    const whole = readFileSync(path);
    const all = [...RECORDS, 'last'];
    const lastAt = whole.length - RECORD_HEADER - 'last'.length;
    for (let bit = 0; bit < whole.length * 8; bit += 3) {
      const spoilt = Buffer.from(whole);
      spoilt[bit >> 3]! ^= 1 << (bit & 7);
      writeFileSync(path, spoilt);
      const spool = opened(directory);
      const got = texts(readAll(spool));
      const lost = all.filter((text) => !got.includes(text));
      expect(got).toEqual(all.filter((text) => got.includes(text)));
      expect(lost.length, `bit ${bit}`).toBe(bit >> 3 < SEGMENT_HEADER ? 0 : 1);
      expect(spool.damaged, `bit ${bit}`).toBe(1);
      // The number of the events behind the last record is nowhere else than in it.
      const known = bit >> 3 < lastAt ? 5 * lost.length : 0;
      expect(spool.droppedCorrupt, `bit ${bit}`).toBe(known);
      closed(spool);
      rmSync(join(directory, 'position'));
    }
  });

  test('a position that is damaged costs duplicates, not events', () => {
    const directory = written(RECORDS);
    const spool = opened(directory);
    spool.commit(spool.read()!.position);
    closed(spool);
    const position = readFileSync(join(directory, 'position'));
    for (let at = 0; at < position.length; at++) position[at]! ^= 0xff;
    writeFileSync(join(directory, 'position'), position);
    expect(texts(readAll(opened(directory)))).toEqual(RECORDS);
  });

  test('a torn note of the position leaves the one before', () => {
    const directory = written(RECORDS);
    const spool = opened(directory);
    spool.commit(spool.read()!.position);
    const before = readFileSync(join(directory, 'position'));
    spool.commit(spool.read()!.position);
    closed(spool);
    const torn = readFileSync(join(directory, 'position'));
    const changed = torn.findIndex((byte, at) => byte !== before[at]);
    torn[changed]! ^= 0xff;
    writeFileSync(join(directory, 'position'), torn);
    expect(texts(readAll(opened(directory)))).toEqual(RECORDS.slice(1));
  });

  test('segments removed by hand do not hide what comes after', () => {
    const directory = written(RECORDS);
    const spool = opened(directory);
    spool.commit(spool.read()!.position);
    closed(spool);
    for (const path of segmentsIn(directory)) rmSync(path);
    const again = opened(directory);
    again.append(batch('new'));
    expect(texts(readAll(again))).toEqual(['new']);
  });

  test('a whole segment that vanished is counted', () => {
    const directory = folder();
    const text = 'x'.repeat(30_000);
    const spool = opened(directory);
    for (let i = 0; i < 9; i++) spool.append(batch(`${i}${text}`));
    closed(spool);
    const [, second] = segmentsIn(directory);
    rmSync(second as string);
    const again = opened(directory);
    const left = readAll(again);
    expect(left.length).toBeLessThan(9);
    expect(again.droppedCorrupt).toBe(9 - left.length);
    const lost = `${9 - left.length} events are lost: the spool ${directory} was damaged`;
    expect(reports).toEqual([lost]);
  });

  test('a record of one segment is no record of another', () => {
    const directory = written(RECORDS);
    const [path] = segmentsIn(directory) as [string];
    renameSync(path, join(directory, '000000000077.spool'));
    const spool = opened(directory);
    expect(readAll(spool)).toEqual([]);
    expect(spool.damaged).toBeGreaterThan(0);
  });

  test('a segment of another version is left alone', async () => {
    const directory = written(RECORDS);
    const script = `
      import { crc32 } from 'node:zlib'; import { readFileSync, writeFileSync } from 'node:fs';
      const path = process.argv[1]; const bytes = readFileSync(path);
      bytes.writeUInt32LE(2, 16);
      bytes.writeUInt32LE(crc32(bytes.subarray(0, 36), crc32('flowlogd spool segment 1')), 36);
      writeFileSync(path, bytes);`;
    const [path] = segmentsIn(directory) as [string];
    expect(spawnSync(process.execPath, ['--input-type=module', '-e', script, path]).status).toBe(0);
    const spool = opened(directory);
    expect(readAll(spool)).toEqual([]);
    expect(reports).toEqual([`${path} is of another version of flowlogd: it is left alone`]);
    spool.append(batch('new'));
    spool.commit(spool.read()!.position);
    await expect.poll(() => segmentsIn(directory)).toEqual([path]);
  });

  test('rubbish in the place of segments never keeps it from starting', { timeout: 60_000 }, () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 400 }), { maxLength: 4 }), (files) => {
        const directory = folder();
        for (const [i, bytes] of files.entries()) writeFileSync(join(directory, `00000000000${i + 1}.spool`), bytes);
        const spool = opened(directory);
        expect(readAll(spool)).toEqual([]);
        expect(spool.append(batch('new'))).toBe(true);
        expect(texts(readAll(spool))).toEqual(['new']);
        closed(spool);
      }),
      { numRuns: 50 },
    );
  });
});

test('whatever is appended, read, committed and restarted: nothing uncommitted is lost, and all is in order', {
  timeout: 60_000,
}, () => {
  const action = fc.oneof(
    { weight: 6, arbitrary: fc.record({ append: fc.integer({ min: 0, max: 30_000 }), events: fc.nat(5) }) },
    { weight: 4, arbitrary: fc.constant('read' as const) },
    { weight: 2, arbitrary: fc.constant('commit' as const) },
    { weight: 1, arbitrary: fc.constant('restart' as const) },
  );
  fc.assert(
    fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
      const directory = folder();
      let spool = opened(directory, 64 << 20);
      const oracle: { text: string; events: number }[] = [];
      let read = 0;
      let committed = 0;
      let last: Spooled | undefined;
      for (const one of actions) {
        if (one === 'read') {
          const record = spool.read();
          expect(record && textOf(record)).toBe(oracle[read]?.text);
          if (record) {
            last = record;
            read++;
          }
        } else if (one === 'commit') {
          if (last) spool.commit(last.position);
          committed = read;
        } else if (one === 'restart') {
          closed(spool);
          spool = opened(directory, 64 << 20);
          read = committed;
          last = undefined;
        } else {
          const text = `${oracle.length} `.padEnd(one.append, 'y');
          oracle.push({ text, events: one.events });
          expect(spool.append(batch(text, one.events))).toBe(true);
        }
        expect(spool.unread).toBe(oracle.slice(read).reduce((sum, { events }) => sum + events, 0));
        expect([spool.droppedCorrupt, spool.droppedFull, spool.damaged]).toEqual([0, 0, 0]);
      }
      closed(spool);
      const rest = opened(directory, 64 << 20);
      expect(texts(readAll(rest))).toEqual(oracle.slice(committed).map(({ text }) => text));
      closed(rest);
    }),
    { numRuns: 100 },
  );
});

test('a truncated segment in the middle does not hide the ones behind it', () => {
  const directory = folder();
  const spool = opened(directory);
  for (let i = 0; i < 9; i++) spool.append(batch(`${i} ${'x'.repeat(30_000)}`));
  closed(spool);
  const [first] = segmentsIn(directory) as [string];
  truncateSync(first, SEGMENT_HEADER + 10);
  const again = opened(directory);
  const left = readAll(again);
  expect(textOf(left[left.length - 1]!)).toMatch(/^8 /);
  expect(again.droppedCorrupt + left.length).toBe(9);
});
