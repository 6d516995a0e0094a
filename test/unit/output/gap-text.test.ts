import { expect, test } from 'vitest';
import { gapAsJson, gapAsLine, gapAsPairs, gapAsText, tornAsJson } from '../../../src/output/gap-text.ts';

const gap = {
  input: 'ct1',
  from: Date.parse('2026-11-21T07:10:11.250Z'),
  to: Date.parse('2026-11-21T07:10:13Z') + 0.007,
  lost: 1234,
  exact: true,
  cause: 'socket overrun',
};
/** As `process.env.TZ` may be anything: what the zone is, the text says itself. */
const instant = (text: string) => Date.parse(text.replace(/(\d\d)$/, ':$1'));

test('a gap in JSON begins as the events do, and its times are whole', () => {
  const object = JSON.parse(gapAsJson(gap, { timestamp: true, eventv1: false, device: 'gw "1"' }));
  expect(Object.keys(object)).toEqual([
    'timestamp',
    'dvc',
    'flowlogd.event',
    'flowlogd.input',
    'flowlogd.gap.from',
    'flowlogd.gap.to',
    'flowlogd.gap.lost',
    'flowlogd.gap.exact',
    'flowlogd.gap.cause',
  ]);
  expect(object).toMatchObject({
    dvc: 'gw "1"',
    'flowlogd.event': 'gap',
    'flowlogd.input': 'ct1',
    'flowlogd.gap.lost': 1234,
    'flowlogd.gap.exact': true,
    'flowlogd.gap.cause': 'socket overrun',
  });
  expect(object.timestamp).toBe(object['flowlogd.gap.to']);
  expect(object['flowlogd.gap.to']).toMatch(/:13\.000007[+-]\d{4}$/);
  expect(instant(object['flowlogd.gap.from'])).toBe(gap.from);
});

test('eventv1 and timestamp=0 shape it as they shape the events', () => {
  const logstash = JSON.parse(gapAsJson(gap, { timestamp: true, eventv1: true, device: 'x' }));
  expect(Object.keys(logstash).slice(0, 3)).toEqual(['@version', '@timestamp', 'dvc']);
  const bare = JSON.parse(gapAsJson(gap, { timestamp: false, eventv1: false, device: 'x' }));
  expect(Object.keys(bare)[0]).toBe('dvc');
});

test('a gap as a line has the same facts', () => {
  expect(gapAsLine(gap, 'gw')).toMatch(
    /^Nov 21 [\d:]{8} gw flowlogd: gap input=ct1 from=2026-11-21T\S+\.250000[+-]\d{4} to=\S+\.000007[+-]\d{4} lost=1234 exact=1 cause="socket overrun"$/,
  );
});

test('a gap as pairs has the names of JSON, and booleans as numbers', () => {
  expect(gapAsPairs(gap).map((pair) => pair.replace(/=.*T.*/, '=T'))).toEqual([
    'flowlogd.event=gap',
    'flowlogd.input=ct1',
    'flowlogd.gap.from=T',
    'flowlogd.gap.to=T',
    'flowlogd.gap.lost=1234',
    'flowlogd.gap.exact=1',
    'flowlogd.gap.cause=socket overrun',
  ]);
});

test('a gap as text says the same without a time of its own', () => {
  expect(gapAsLine(gap, 'gw').endsWith(` gw flowlogd: ${gapAsText(gap)}`)).toBe(true);
});

test('half a line of JSON becomes text within a whole one', () => {
  const line = Buffer.from(tornAsJson(Buffer.from('{"dvc": "Netf'), 'gw')).toString();
  expect(line).toBe('{"dvc": "gw", "flowlogd.event": "torn", "flowlogd.torn": "{\\"dvc\\": \\"Netf"}\n');
});
