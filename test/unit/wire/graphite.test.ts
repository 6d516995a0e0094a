import { expect, test } from 'vitest';
import { Literal } from '../../../src/wire/ascii.ts';
import { GRAPHITE_ROOM, writeGraphiteLine } from '../../../src/wire/graphite.ts';

test('a counter is path, value and time', () => {
  const from = Buffer.concat([Buffer.from('http'), Buffer.alloc(8)]);
  const name = new DataView(from.buffer, from.byteOffset, from.length);
  const bytes = new Uint8Array(200);
  const view = new DataView(bytes.buffer);
  const write = (prefix: string, counter: string, high: number, low: number) => {
    const end = writeGraphiteLine(
      bytes,
      view,
      0,
      new Literal(prefix),
      name,
      0,
      4,
      new Literal(counter),
      high,
      low,
      1795254797,
    );
    expect(end).toBeLessThanOrEqual(prefix.length + 4 + GRAPHITE_ROOM);
    return Buffer.from(bytes.subarray(0, end)).toString();
  };
  expect(write('fw.', '.pkts ', 0, 5)).toBe('fw.http.pkts 5 1795254797\n');
  expect(write('.', '.bytes ', 0xffffffff, 0xffffffff)).toBe('.http.bytes 18446744073709551615 1795254797\n');
});
