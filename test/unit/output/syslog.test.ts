import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import syslog from '../../../src/output/syslog.ts';
import type { OutputPlugin } from '../../../src/pipeline/plugin.ts';
import { TestOutput } from '../../support/output.ts';

const sent: [path: string, text: string][] = [];
let listens = true;

// Node has no datagram sockets of the unix family to listen on: test/kernel/plugins.test.ts has rsyslogd at the other end.
vi.mock('../../../src/system/native.ts', async (original) => ({
  ...(await original<object>()),
  notify(path: string, text: string) {
    if (listens) sent.push([path, text]);
    return listens;
  },
}));

const SYSLOG = syslog as OutputPlugin;
const PRINT = { print: { type: 'string', doc: 'A line.' } } as const;
const start = (options = {}, compat = false) => {
  const output = new TestOutput(SYSLOG, PRINT, { options, compat });
  output.source.stages[0]?.service.start?.();
  return output;
};

beforeEach(() => {
  sent.length = 0;
  listens = true;
  vi.stubEnv('TZ', 'UTC');
  vi.setSystemTime(new Date('2026-11-04T07:10:11.250Z'));
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllEnvs();
});

test('a line has priority, time, name and process, as syslog(3) writes it', () => {
  start().event({ print: 'IN= OUT=lo \n' });
  expect(sent).toEqual([['/dev/log', `<29>Nov  4 07:10:11 flowlogd[${process.pid}]: IN= OUT=lo \n`]]);
});

test('under compat the name is that of ulogd', () => {
  start({}, true).event({ print: 'x\n' });
  expect(sent[0]?.[1]).toBe(`<29>Nov  4 07:10:11 ulogd[${process.pid}]: x\n`);
});

test.each([
  ['LOG_KERN', 'LOG_EMERG', 24],
  ['LOG_USER', 'LOG_DEBUG', 15],
  ['LOG_DAEMON', 'LOG_ERR', 27],
  ['LOG_LOCAL0', 'LOG_NOTICE', 133],
  ['LOG_LOCAL7', 'LOG_WARNING', 188],
])('%s and %s are %d', (facility, level, priority) => {
  start({ facility, level, socket: '/x' }).event({ print: 'x' });
  expect(sent[0]?.[0]).toBe('/x');
  expect(sent[0]?.[1]).toMatch(new RegExp(`^<${priority}>`));
});

test('a line that nobody takes is counted; that is said once, and again when it is over', () => {
  const output = start();
  listens = false;
  for (let i = 0; i < 3; i++) output.event({ print: 'x' });
  listens = true;
  output.event({ print: 'y' });
  output.event({ print: '' });
  expect([...output.source.program.stopped]).toEqual([4]);
  expect(output.errors.length).toBe(1);
  expect(output.errors[0]).toContain('/dev/log takes no lines');
  expect(sent.length).toBe(1);
});
