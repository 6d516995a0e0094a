import { hostname } from 'node:os';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import logemu from '../../../src/output/logemu.ts';
import type { KeySpecs } from '../../../src/pipeline/key.ts';
import type { OutputPlugin } from '../../../src/pipeline/plugin.ts';
import { TestOutput } from '../../support/output.ts';

const LOGEMU = logemu as OutputPlugin;
const HOST = hostname().split('.', 1)[0];
const PRINT: KeySpecs = { print: { type: 'string', doc: 'A line.' } };
const TIMED: KeySpecs = { ...PRINT, 'oob.time.sec': { type: 'u32', doc: 'A time.' } };

beforeEach(() => {
  vi.stubEnv('TZ', 'UTC');
  vi.setSystemTime(new Date('2026-11-04T07:10:11.250Z'));
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllEnvs();
});

test('a line is time, host and text', async () => {
  const output = new TestOutput(LOGEMU, TIMED);
  output.event({ print: 'IN= OUT= \n', 'oob.time.sec': 1700000000 });
  expect(await output.end()).toBe(`Nov 14 22:13:20 ${HOST} IN= OUT= \n`);
});

test('an event without a time has the present one, its day padded with a blank', async () => {
  const [timed, untimed] = [new TestOutput(LOGEMU, TIMED), new TestOutput(LOGEMU, PRINT)];
  for (const output of [timed, untimed]) {
    output.event({ print: 'x\n' });
    expect(await output.end()).toBe(`Nov  4 07:10:11 ${HOST} x\n`);
  }
});

test('the time is local', async () => {
  vi.stubEnv('TZ', 'America/St_Johns');
  const output = new TestOutput(LOGEMU, TIMED);
  output.event({ print: 'x\n', 'oob.time.sec': 1700000000 });
  expect(await output.end()).toBe(`Nov 14 18:43:20 ${HOST} x\n`);
});

test('an event with nothing to print is stopped here, not written', async () => {
  const output = new TestOutput(LOGEMU, TIMED);
  output.event({});
  output.event({ print: '' });
  output.event({ print: 'x\n' });
  expect(await output.end()).toBe(`Nov  4 07:10:11 ${HOST} x\n`);
  expect([...output.source.program.stopped]).toEqual([2]);
});

test('text of any length is written whole', async () => {
  const output = new TestOutput(LOGEMU, TIMED);
  const texts = [1, 63, 64, 65, 70_000, 300_000, 2].map((size) => `${'x'.repeat(size)}\n`);
  for (const print of texts) output.event({ print });
  expect(await output.end()).toBe(texts.map((text) => `Nov  4 07:10:11 ${HOST} ${text}`).join(''));
});
