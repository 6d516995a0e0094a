import { describe, expect, test } from 'vitest';
import gprint from '../../../src/output/gprint.ts';
import oprint from '../../../src/output/oprint.ts';
import type { KeySpecs } from '../../../src/pipeline/key.ts';
import type { OutputPlugin } from '../../../src/pipeline/plugin.ts';
import { TestOutput } from '../../support/output.ts';

const GPRINT = gprint as OutputPlugin;
const OPRINT = oprint as OutputPlugin;
const KEYS: KeySpecs = {
  'raw.pktlen': { type: 'u32', doc: 'A number.' },
  'oob.prefix': { type: 'string', doc: 'A text.' },
  'orig.raw.pktlen': { type: 'u64', doc: 'A wide number.' },
  'raw.pkt': { type: 'raw', doc: 'Bytes.' },
  'ip.saddr': { type: 'ip', doc: 'An address.' },
  print: { type: 'string', doc: 'A line.' },
};
const V6 = Buffer.from('20010db8000000000000000000000001', 'hex');

async function written(plugin: OutputPlugin, event: Parameters<TestOutput['event']>[0], compat = false) {
  const output = new TestOutput(plugin, KEYS, { compat });
  output.event(event);
  return output.end();
}

describe('GPRINT', () => {
  test('is key=value with commas between, without what is not there or no text', async () => {
    const event = { 'raw.pktlen': 4294967295, 'orig.raw.pktlen': 2n ** 64n - 1n, 'raw.pkt': 'x', 'oob.prefix': '' };
    expect(await written(GPRINT, event)).toBe(
      'raw.pktlen=4294967295,oob.prefix=,orig.raw.pktlen=18446744073709551615\n',
    );
  });

  test('an address is whole; ulogd 2.0.8 shows the first four bytes', async () => {
    expect(await written(GPRINT, { 'ip.saddr': V6 })).toBe('ip.saddr=2001:db8::1\n');
    expect(await written(GPRINT, { 'ip.saddr': V6 }, true)).toBe('ip.saddr=32.1.13.184\n');
  });

  test('a text cannot begin a line of its own', async () => {
    expect(await written(GPRINT, { 'oob.prefix': 'a\nraw.pktlen=1\x1b[2J' })).toBe(
      'oob.prefix=a\\x0araw.pktlen=1\\x1b[2J\n',
    );
  });

  test('a printed line keeps its newline', async () => {
    expect(await written(GPRINT, { 'raw.pktlen': 1, print: 'IN= OUT= \n' })).toBe('raw.pktlen=1,print=IN= OUT= \n\n');
  });

  test('an event without any key is stopped', async () => {
    const output = new TestOutput(GPRINT, KEYS);
    output.event({ 'raw.pkt': 'x' });
    expect(await output.end()).toBe('');
    expect([...output.source.program.stopped]).toEqual([1]);
  });

  test('text of any length is written whole', async () => {
    const text = 'x'.repeat(300_000);
    expect(await written(GPRINT, { 'oob.prefix': text })).toBe(`oob.prefix=${text}\n`);
  });
});

describe('OPRINT', () => {
  test('is a line for each key, below a boundary', async () => {
    expect(await written(OPRINT, { 'raw.pktlen': 1, 'oob.prefix': 'p', 'raw.pkt': 'x' })).toBe(
      '===>PACKET BOUNDARY\nraw.pktlen=1\noob.prefix=p\nraw.pkt=default\n',
    );
  });

  test('an address is whole; ulogd 2.0.8 shows the first four bytes in reverse', async () => {
    const event = { 'ip.saddr': Buffer.from([10, 0, 0, 1]) };
    expect(await written(OPRINT, event)).toContain('ip.saddr=10.0.0.1\n');
    expect(await written(OPRINT, event, true)).toContain('ip.saddr=1.0.0.10\n');
    expect(await written(OPRINT, { 'ip.saddr': V6 }, true)).toContain('ip.saddr=184.13.1.32\n');
  });
});

test.each([
  ['GPRINT', GPRINT],
  ['OPRINT', OPRINT],
])('%s counts events, not lines, when the disk is full', async (_, plugin) => {
  const output = new TestOutput(plugin, KEYS, { options: { file: '/dev/full' } });
  for (let i = 0; i < 5; i++) output.event({ 'raw.pktlen': i, 'oob.prefix': 'p', print: 'IN= \n' });
  output.flush();
  const account = output.source.stages[0]?.service.account?.();
  expect(account).toMatchObject({ written: 0, queued: 0, dropped: { 'file not writable': 5 } });
  await output.source.stages[0]?.service.stop?.();
});
