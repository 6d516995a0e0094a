import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import json from '../../../src/output/json.ts';
import type { KeySpecs, KeyType } from '../../../src/pipeline/key.ts';
import { Memory } from '../../../src/pipeline/memory.ts';
import type { OutputPlugin } from '../../../src/pipeline/plugin.ts';
import { type Given, TestOutput } from '../../support/output.ts';

const JSON_OUTPUT = json as OutputPlugin;
const NOW = new Date('2026-11-21T07:10:11.250Z');
const SECOND = 1700000000; // 2023-11-14T22:13:20Z

beforeEach(() => {
  vi.stubEnv('TZ', 'UTC');
  vi.setSystemTime(NOW);
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllEnvs();
});

const keys = (types: Readonly<Record<string, KeyType>>): KeySpecs =>
  Object.fromEntries(Object.entries(types).map(([name, type]) => [name, { type, doc: 'A key.' }]));

/** The line that JSON makes of one event. */
async function line(
  specs: KeySpecs,
  given: Given,
  settings: { options?: Readonly<Record<string, unknown>>; compat?: boolean } = {},
): Promise<string> {
  const output = new TestOutput(JSON_OUTPUT, specs, settings);
  output.event(given);
  return output.end();
}

const BARE = { options: { timestamp: false } };
const TIME = keys({ 'oob.time.sec': 'u32', 'oob.time.usec': 'u32' });

describe('the time', () => {
  test('is that of the event, with its microseconds', async () => {
    const given = { 'oob.time.sec': SECOND, 'oob.time.usec': 123 };
    expect(await line(TIME, given)).toBe(
      '{"timestamp": "2023-11-14T22:13:20.000123+0000", "dvc": "Netfilter", "oob.time.sec": 1700000000, "oob.time.usec": 123}\n',
    );
  });

  test('has no fraction where the event has none, and is now where it has no time', async () => {
    expect(await line(TIME, { 'oob.time.sec': SECOND })).toContain('"timestamp": "2023-11-14T22:13:20+0000"');
    expect(await line(TIME, {})).toBe('{"timestamp": "2026-11-21T07:10:11+0000", "dvc": "Netfilter"}\n');
    expect(await line(keys({ a: 'u8' }), { a: 1 })).toContain('"timestamp": "2026-11-21T07:10:11+0000"');
  });

  test.each([
    ['Europe/Paris', '2023-11-14T23:13:20.000001+0100'],
    ['America/St_Johns', '2023-11-14T18:43:20.000001-0330'],
    ['Asia/Kathmandu', '2023-11-15T03:58:20.000001+0545'],
    ['Pacific/Marquesas', '2023-11-14T12:43:20.000001-0930'],
  ])('is local: %s', async (zone, expected) => {
    vi.stubEnv('TZ', zone);
    const given = { 'oob.time.sec': SECOND, 'oob.time.usec': 1 };
    for (const compat of [false, true]) expect(await line(TIME, given, { compat })).toContain(`"${expected}"`);
  });

  test('lacks its zone at UTC as ulogd 2.0.8 writes it, in summer London has one', async () => {
    const given = { 'oob.time.sec': SECOND };
    expect(await line(TIME, given, { compat: true })).toContain('"timestamp": "2023-11-14T22:13:20",');
    vi.stubEnv('TZ', 'Europe/London');
    expect(await line(TIME, given, { compat: true })).toContain('"timestamp": "2023-11-14T22:13:20",');
    const summer = { 'oob.time.sec': SECOND - 150 * 86400 };
    expect(await line(TIME, summer, { compat: true })).toContain('"timestamp": "2023-06-17T23:13:20+0100",');
  });

  test('follows the change to summer time from one event to the next', async () => {
    vi.stubEnv('TZ', 'Europe/Paris');
    const output = new TestOutput(JSON_OUTPUT, TIME);
    output.event({ 'oob.time.sec': 1711846799 });
    output.event({ 'oob.time.sec': 1711846800 });
    const lines = (await output.end()).split('\n');
    expect(lines[0]).toContain('"2024-03-31T01:59:59+0100"');
    expect(lines[1]).toContain('"2024-03-31T03:00:00+0200"');
  });
});

describe('options', () => {
  test('timestamp=0 leaves the time out', async () => {
    expect(await line(TIME, { 'oob.time.sec': 1 }, BARE)).toBe('{"dvc": "Netfilter", "oob.time.sec": 1}\n');
  });

  test('eventv1=1 begins as Logstash does', async () => {
    const options = { eventv1: true };
    expect(await line(TIME, { 'oob.time.sec': SECOND }, { options })).toMatch(
      /^\{"@version": 1, "@timestamp": "2023-11-14T22:13:20\+0000", "dvc": "Netfilter", /,
    );
    expect(await line(TIME, {}, { options: { ...options, timestamp: false } })).toBe(
      '{"@version": 1, "dvc": "Netfilter"}\n',
    );
  });

  test('device is written as a string whatever it holds', async () => {
    const device = 'gate "7"\\ ö\u0001';
    const text = await line(TIME, {}, { options: { timestamp: false, device } });
    expect(JSON.parse(text)).toEqual({ dvc: device });
  });

  test('boolean_label=1 writes what the label means, at its place', async () => {
    const specs = keys({ a: 'u8', 'raw.label': 'u8', b: 'u8' });
    const options = { timestamp: false, boolean_label: true };
    const given = { a: 1, b: 2 };
    expect(await line(specs, { ...given, 'raw.label': 0 }, { options })).toBe(
      '{"dvc": "Netfilter", "a": 1, "action": "blocked", "b": 2}\n',
    );
    expect(await line(specs, { ...given, 'raw.label': 255 }, { options })).toContain('"action": "allowed"');
    expect(await line(specs, given, { options })).not.toContain('action');
    expect(await line(specs, { ...given, 'raw.label': 7 }, BARE)).toContain('"raw.label": 7');
  });
});

describe('values', () => {
  test('numbers of every width, and only keys that are valid, in the order of the stack', async () => {
    const specs = keys({ z: 'u8', b: 'bool', w: 'u16', x: 'u32', unset: 'u32', n: 'u64', a: 'u8' });
    const given = { a: 255, n: 2n ** 53n + 1n, x: 0xffffffff, w: 65535, b: 1, z: 0 };
    expect(await line(specs, given, BARE)).toBe(
      '{"dvc": "Netfilter", "z": 0, "b": 1, "w": 65535, "x": 4294967295, "n": 9007199254740993, "a": 255}\n',
    );
  });

  test('64-bit numbers are unsigned, as ulogd 2.0.8 writes them signed', async () => {
    const specs = keys({ n: 'u64' });
    const number = (value: bigint): fc.Arbitrary<bigint> => fc.constant(value);
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
          number(2n ** 63n),
          number(2n ** 63n - 1n),
          number(2n ** 64n - 1n),
          number(2n ** 64n - 2n ** 32n),
        ),
        async (n) => {
          expect(await line(specs, { n }, BARE)).toBe(`{"dvc": "Netfilter", "n": ${n}}\n`);
          const compat = { ...BARE, compat: true };
          expect(await line(specs, { n }, compat)).toBe(`{"dvc": "Netfilter", "n": ${BigInt.asIntN(64, n)}}\n`);
        },
      ),
      { numRuns: 60 },
    );
  });

  test('addresses and raw bytes are left out', async () => {
    const specs = keys({ address: 'ip', raw: 'raw', rawstr: 'rawstr', n: 'u8' });
    const text = await line(specs, { address: 'abcd', raw: 'x', rawstr: 'y', n: 1 }, BARE);
    expect(text).toBe('{"dvc": "Netfilter", "n": 1}\n');
  });

  test('names of the Common Information Model replace those of keys', async () => {
    const specs: KeySpecs = { 'tcp.sport': { type: 'u16', doc: 'A port.', cim: 'src_port' } };
    expect(await line(specs, { 'tcp.sport': 80 }, BARE)).toBe('{"dvc": "Netfilter", "src_port": 80}\n');
  });

  test('text that is declared plain is written as it is', async () => {
    const specs: KeySpecs = { text: { type: 'string', doc: 'Text.', plain: true } };
    expect(await line(specs, { text: '192.0.2.1' }, BARE)).toBe('{"dvc": "Netfilter", "text": "192.0.2.1"}\n');
    expect(await line(specs, { text: '' }, BARE)).toBe('{"dvc": "Netfilter", "text": ""}\n');
  });
});

describe('text', () => {
  const specs = keys({ before: 'u8', text: 'string', after: 'u8' });
  const around = { before: 1, after: 2 };

  test('is escaped where JSON asks for it, and where a terminal or a reader of lines would obey', async () => {
    const text = 'a"b\\c/d\b\f\n\r\t\0\u001b\u007f é \u2028 😀';
    expect(await line(specs, { ...around, text }, BARE)).toBe(
      '{"dvc": "Netfilter", "before": 1, "text": "a\\"b\\\\c/d\\b\\f\\n\\r\\t\\u0000\\u001B\\u007F é \\u2028 😀", "after": 2}\n',
    );
  });

  test('whatever it is, comes back from any JSON reader, on one line', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 200 }), fc.boolean(), async (text, compat) => {
        const written = await line(specs, { ...around, text }, { ...BARE, compat });
        expect(written.indexOf('\n')).toBe(written.length - 1);
        expect(JSON.parse(written)).toEqual({ dvc: 'Netfilter', before: 1, text, after: 2 });
      }),
      { numRuns: 150 },
    );
  });

  test.each([
    ['a lone byte', 'a\xffb', 'a\ufffdb'],
    ['a sequence cut short', 'a\xe2\x82', 'a\ufffd\ufffd'],
    ['an overlong form', '\xc0\xaf', '\ufffd\ufffd'],
    ['a surrogate', '\xed\xa0\x80', '\ufffd\ufffd\ufffd'],
    ['beyond U+10FFFF', '\xf4\x90\x80\x80', '\ufffd\ufffd\ufffd\ufffd'],
    ['Latin-1', 'caf\xe9', 'caf\ufffd'],
  ])('that is no UTF-8 (%s) is mended; as in ulogd 2.0.8 its key is left out', async (_, bytes, expected) => {
    const given = { ...around, text: Buffer.from(bytes, 'latin1') };
    const mended = await line(specs, given, BARE);
    expect(JSON.parse(mended)).toEqual({ dvc: 'Netfilter', before: 1, text: expected, after: 2 });
    expect(await line(specs, given, { ...BARE, compat: true })).toBe('{"dvc": "Netfilter", "before": 1, "after": 2}\n');
  });

  test('of any bytes leaves one valid object on one line', async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 100 }), fc.boolean(), async (bytes, compat) => {
        const written = await line(specs, { ...around, text: Buffer.from(bytes) }, { ...BARE, compat });
        const object = JSON.parse(written) as Record<string, unknown>;
        expect(written.indexOf('\n')).toBe(written.length - 1);
        expect({ ...object, text: undefined }).toEqual({ dvc: 'Netfilter', before: 1, after: 2, text: undefined });
      }),
      { numRuns: 150 },
    );
  });
});

test('a buffer that must grow in the middle of a batch loses nothing', async () => {
  const output = new TestOutput(JSON_OUTPUT, keys({ n: 'u32', text: 'string' }), BARE);
  const sizes = [0, 1, 1000, 70_000, 3, 60_000, 200_000, 5];
  // Control characters take six bytes each: the most there is.
  for (const [n, size] of sizes.entries()) output.event({ n, text: '\u0001'.repeat(size) });
  output.flush();
  const lines = output.text().trimEnd().split('\n');
  expect(lines.map((text) => JSON.parse(text) as unknown)).toEqual(
    sizes.map((size, n) => ({ dvc: 'Netfilter', n, text: '\u0001'.repeat(size) })),
  );
  await output.end();
  expect(output.errors).toEqual([]);
});

test('lines are written when the batch ends, not before', async () => {
  const output = new TestOutput(JSON_OUTPUT, keys({ n: 'u32' }), BARE);
  output.event({ n: 1 });
  output.event({ n: 2 });
  expect(output.text()).toBe('');
  output.flush();
  expect(output.text()).toBe('{"dvc": "Netfilter", "n": 1}\n{"dvc": "Netfilter", "n": 2}\n');
  await output.end();
});

test('where memory is short what came before is written first, and an event that has no room is an error of its own', async () => {
  const memory = new Memory(8 << 20);
  memory.reserve((8 << 20) - (64 << 10)); // the texts of the test lie in it
  const output = new TestOutput(JSON_OUTPUT, keys({ n: 'u32', text: 'string' }), { ...BARE, memory });
  const sizes = [10, 5000, 5000, 5000, 100_000, 20];
  for (const [n, size] of sizes.entries()) output.event({ n, text: '\u0001'.repeat(size) });
  const lines = (await output.end()).trimEnd().split('\n');
  expect(lines.map((text) => (JSON.parse(text) as { n: number }).n)).toEqual([0, 1, 2, 3, 5]);
  expect(output.errors.join()).toContain('no room for');
});
