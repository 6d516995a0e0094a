// Each folder of cases/ is a question (ask), the logs it is put to (*.jsonl), and what must be answered (expected.txt).
// UPDATE_GOLDEN=1 writes what is answered.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { afterAll, describe, expect, test } from 'vitest';
import { readArguments, type WhoHadArguments } from '../../../src/cli/arguments.ts';
import { type Answer, answer } from '../../../src/who-had/answer.ts';
import { answerJson } from '../../../src/who-had/answer-json.ts';
import { answerText } from '../../../src/who-had/answer-text.ts';
import { readQuestion } from '../../../src/who-had/question.ts';
import { search } from '../../../src/who-had/search.ts';

const cases = fileURLToPath(new URL('cases/', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'flowlogd-who-had-'));
afterAll(() => rmSync(folder, { recursive: true }));

async function ask(words: string, files: readonly string[]): Promise<Answer> {
  const parsed = readArguments(['who-had', ...words.split(' '), ...files]) as WhoHadArguments;
  return answer(await search(readQuestion(parsed), parsed.files));
}

const filesOf = (name: string): string[] =>
  readdirSync(join(cases, name))
    .filter((file) => file.endsWith('.jsonl'))
    .map((file) => join(cases, name, file));

/** The question of a case. */
const questionOf = (name: string): string => readFileSync(join(cases, name, 'ask'), 'utf8').trim();

describe('golden', () => {
  test.each(readdirSync(cases))('%s', async (name) => {
    const found = await ask(questionOf(name), filesOf(name));
    const text = `${answerText(found).replaceAll(join(cases, name, '/'), '')}exit code ${found.exitCode}\n`;
    const expected = join(cases, name, 'expected.txt');
    if (process.env.UPDATE_GOLDEN !== undefined) writeFileSync(expected, text);
    expect(text).toBe(readFileSync(expected, 'utf8'));
  });
});

const REUSED = 'a-reused-port-is-told-apart-by-time';
const lines = readFileSync(join(cases, REUSED, 'flows.jsonl'));

function fileOf(name: string, bytes: Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

test('a line that was torn before the port that was asked for makes the answer uncertain; one with another port does not', async () => {
  const question = '10.5.0.100:40999 --at 2026-11-21T10:00:05Z';
  // Keys come in the order of the stack: here the address is first.
  const { 'reply.ip.daddr.str': address, ...rest } = JSON.parse(lines.toString().split('\n')[1] as string);
  const line = JSON.stringify({ 'reply.ip.daddr.str': address, ...rest });
  const other = await ask(question, [fileOf('other-port.jsonl', Buffer.from(`${line}\n`))]);
  expect(other.doubts.join()).not.toContain('broken');
  const torn = line.slice(0, 60);
  const both = await ask(question, [fileOf('torn.jsonl', Buffer.from(`${line}\n${torn}\n${line}\n`))]);
  expect(both.doubts.join()).toContain('1 line with this address is broken');
});

test('compressed files are read by what they hold, not by their name, and where flowlogd has just put them', async () => {
  const plain = await ask(questionOf(REUSED), filesOf(REUSED));
  fileOf('flows.json.20261121T100100.000Z.gz', gzipSync(lines));
  const moved = await ask(questionOf(REUSED), [join(folder, 'flows.json.20261121T100100.000Z')]);
  const misnamed = await ask(questionOf(REUSED), [fileOf('misnamed', gzipSync(lines))]);
  const half = fileOf('flows.json.20261121T100200.000Z.gz.tmp', gzipSync(lines).subarray(0, 100));
  const compressing = await ask(questionOf(REUSED), [...filesOf(REUSED), half, `${half}.gone.gz.tmp`]);
  expect(compressing.doubts).toEqual(plain.doubts);
  expect(compressing.files.map(({ path }) => path)).toEqual(plain.files.map(({ path }) => path));
  expect(moved.evidence).toEqual(plain.evidence);
  expect(misnamed.evidence).toEqual(plain.evidence);
  expect(misnamed.files[0]?.lines).toBe(plain.files[0]?.lines);
});

test('a compressed file that is cut short is read as far as it goes, and the answer is uncertain', async () => {
  const many = Buffer.concat(Array.from({ length: 2000 }, () => lines));
  const whole = gzipSync(many);
  const found = await ask(questionOf(REUSED), [fileOf('cut.gz', whole.subarray(0, whole.length - 1000))]);
  expect(found.exitCode).toBe(3);
  expect(found.holders[0]?.address).toBe('192.168.21.75');
  expect(found.files[0]?.error).toBe('unexpected end of file');
});

test('a file that is not there is named; without any file that can be read the exit code is 2', async () => {
  const there = filesOf(REUSED);
  expect((await ask(questionOf(REUSED), [...there, join(folder, 'none')])).exitCode).toBe(3);
  const found = await ask(questionOf(REUSED), [join(folder, 'none')]);
  expect(found.exitCode).toBe(2);
  expect(answerText(found)).toContain('none: 0 lines, ENOENT');
});

test('lines are whole wherever the chunks of a file end', async () => {
  const noise = Buffer.from(`{"timestamp": "2026-11-21T10:00:00+0000", "x": "${'y'.repeat(70_001)}"}\n`);
  const path = fileOf('large', Buffer.concat([...Array.from({ length: 50 }, () => noise), lines.subarray(0, -1)]));
  const found = await ask(questionOf(REUSED), [path]);
  const plain = await ask(questionOf(REUSED), filesOf(REUSED));
  expect(found.evidence).toEqual(plain.evidence);
  expect(found.files[0]).toMatchObject({ lines: 50 + 8, broken: 0 });
});

test('a file without line ends is one broken line, and does not fill the memory', async () => {
  const found = await ask(questionOf(REUSED), [fileOf('zeros', new Uint8Array(40 << 20)), ...filesOf(REUSED)]);
  expect(found.files.map(({ lines: count, broken }) => ({ count, broken }))).toContainEqual({ count: 1, broken: 1 });
  expect(found.holders[0]?.address).toBe('192.168.21.75');
});

test('for programs the answer is one object', async () => {
  const found = await ask(
    questionOf('port-forward-with-the-keys-of-NAT'),
    filesOf('port-forward-with-the-keys-of-NAT'),
  );
  expect(JSON.parse(JSON.stringify(answerJson(found)))).toMatchObject({
    question: { address: '10.5.0.100', port: 2222, protocol: 6, within: 0, from: '2026-11-21T10:00:05.500Z' },
    found: true,
    certain: true,
    doubts: [],
    coverage: 'covered',
    holders: [
      {
        address: '192.168.21.74',
        identity: { 'project.id': '4711', 'server.name': 'web-1' },
        evidence: [
          {
            kind: 'connection',
            certainty: 'known',
            inside: { address: '192.168.21.74', port: 22 },
            external: { address: '10.5.0.100', port: 2222 },
            peer: { address: '203.0.113.9', port: 33333 },
            class: 'port-forward',
            begin: '2026-11-21T10:00:05.000Z',
            end: '2026-11-21T10:00:09.000Z',
          },
        ],
      },
    ],
    gaps: [],
  });
});

test.each([
  ['2026-11-21T10:03:45Z', '2026-11-21T10:03:45.000Z', 1000],
  ['2026-11-21T11:03:45+01:00', '2026-11-21T10:03:45.000Z', 1000],
  ['2026-11-21 05:03:45 -0500', '2026-11-21T10:03:45.000Z', 1000],
  ['2026-11-21T10:03Z', '2026-11-21T10:03:00.000Z', 60_000],
  ['2026-11-21T15:33:45.25+05:30', '2026-11-21T10:03:45.250Z', 10],
  ['1795255425', '2026-11-21T10:03:45.000Z', 1000],
  ['@1795255425.5', '2026-11-21T10:03:45.500Z', 100],
  ['1795255425123', '2026-11-21T10:03:45.123Z', 0],
])('the time %s is %s, and %d ms long', (at, from, length) => {
  const question = readQuestion({ address: '192.0.2.1', at });
  expect(new Date(question.from).toISOString()).toBe(from);
  expect(Math.round(question.to - question.from)).toBe(length);
});

test.each([
  [{ at: '2026-11-21T10:03:45' }, 'has no time zone; write "2026-11-21T10:03:45Z" for UTC'],
  [{ at: '2026-02-30T10:03:45Z' }, 'there is no such date or time of day'],
  [{ at: '2026-11-21T25:03:45Z' }, 'there is no such date or time of day'],
  [{ at: 'yesterday' }, '"yesterday" is no time'],
  [{ address: '192.0.2.300' }, '"192.0.2.300" is no address'],
  [{ address: '192.0.2.3:' }, '"" is no port'],
  [{ address: '192.0.2.3:70000' }, '"70000" is no port (0-65535)'],
  [{ address: '[2001:db8::1' }, 'is no address'],
  [{ protocol: 'tpc' }, '"tpc" is no IP protocol'],
  [{ within: 'long' }, '"long" is no duration; write 5s, 500ms or 2m'],
])('a question with %j is refused', (wrong, message) => {
  expect(() => readQuestion({ address: '192.0.2.1', at: '1795255425', ...wrong })).toThrow(message);
});

test.each([
  ['2001:DB8::0:7', { address: '2001:db8::7' }],
  ['[2001:db8::7]', { address: '2001:db8::7' }],
  ['[2001:db8::7]:443', { address: '2001:db8::7', port: 443 }],
  ['192.0.2.7:0', { address: '192.0.2.7', port: 0 }],
])('the address %s is read', (address, read) => {
  expect(readQuestion({ address, at: '1795255425' })).toMatchObject(read);
});
