import { expect, test } from 'vitest';
import { Literal } from '../../../src/wire/ascii.ts';
import { GRAPHITE_ROOM, writeGraphiteLine } from '../../../src/wire/graphite.ts';

function write(prefix: string, name: string, counter: string, high: number, low: number, raw = false): string {
  const from = Buffer.concat([Buffer.from(name, 'latin1'), Buffer.alloc(8)]);
  const view = new DataView(from.buffer, from.byteOffset, from.length);
  const line = Buffer.alloc(200);
  const end = writeGraphiteLine(
    line,
    new DataView(line.buffer, line.byteOffset, line.length),
    0,
    new Literal(prefix),
    view,
    0,
    name.length,
    new Literal(counter),
    high,
    low,
    1795254797,
    raw,
  );
  expect(end).toBeLessThanOrEqual(prefix.length + name.length + GRAPHITE_ROOM);
  return line.toString('latin1', 0, end);
}

test('a counter is path, value and time', () => {
  expect(write('fw.', 'http', '.pkts ', 0, 5)).toBe('fw.http.pkts 5 1795254797\n');
  expect(write('.', 'http', '.bytes ', 0xffffffff, 0xffffffff)).toBe('.http.bytes 18446744073709551615 1795254797\n');
});

test('a name can neither add a line nor a field nor a tag', () => {
  const name = 'a b\tc\r\nx.y 1 2\x00\x7f\xa0;t=v/10.0.0.0~';
  expect(write('fw.', name, '.pkts ', 0, 5)).toBe('fw.a_b_c__x.y_1_2____t=v/10.0.0.0~.pkts 5 1795254797\n');
  expect(write('fw.', name, '.pkts ', 0, 5, true)).toBe(`fw.${name}.pkts 5 1795254797\n`);
});
