import { openSync } from 'node:fs';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import syslog from '../../../src/output/syslog.ts';
import type { OutputPlugin } from '../../../src/pipeline/plugin.ts';
import { TestOutput } from '../../support/output.ts';

const sent: string[] = [];
const paths: string[] = [];
let refusal: NodeJS.ErrnoException | undefined;

// Node has no datagram sockets of the unix family to listen on: test/kernel/plugins.test.ts has rsyslogd at the other end.
vi.mock('../../../src/system/native.ts', async (original) => ({
  ...(await original<object>()),
  connectDatagram(path: string) {
    if (refusal) throw refusal;
    paths.push(path);
    return openSync('/dev/null', 'r');
  },
  async sendLines(_: number, bytes: Uint8Array, from: number) {
    sent.push(Buffer.from(bytes.subarray(from)).toString());
    return [bytes.length, 0];
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
  sent.length = paths.length = 0;
  refusal = undefined;
  vi.stubEnv('TZ', 'UTC');
  vi.useFakeTimers({ toFake: ['Date'] });
  vi.setSystemTime(new Date('2026-11-04T07:10:11.250Z'));
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllEnvs();
});

/** Stops an output, and returns what it sent. */
async function sentBy(output: TestOutput): Promise<string> {
  output.flush();
  await output.source.stages[0]?.service.stop?.();
  return sent.join('');
}

test('a line has priority, time, name and process, as syslog(3) writes it', async () => {
  const output = start();
  output.event({ print: 'IN= OUT=lo \n' });
  expect(await sentBy(output)).toBe(`<29>Nov  4 07:10:11 flowlogd[${process.pid}]: IN= OUT=lo \n`);
  expect(paths).toEqual(['/dev/log']);
});

test('under compat the name is that of ulogd', async () => {
  const output = start({}, true);
  output.event({ print: 'x\n' });
  expect(await sentBy(output)).toBe(`<29>Nov  4 07:10:11 ulogd[${process.pid}]: x\n`);
});

test.each([
  ['LOG_KERN', 'LOG_EMERG', 24],
  ['LOG_USER', 'LOG_DEBUG', 15],
  ['LOG_DAEMON', 'LOG_ERR', 27],
  ['LOG_LOCAL0', 'LOG_NOTICE', 133],
  ['LOG_LOCAL7', 'LOG_WARNING', 188],
])('%s and %s are %d', async (facility, level, priority) => {
  const output = start({ facility, level, socket: '/x' });
  output.event({ print: 'x' });
  expect(await sentBy(output)).toMatch(new RegExp(`^<${priority}>.*x\n$`));
  expect(paths).toEqual(['/x']);
});

test('a gap is a line of its own', async () => {
  const output = start();
  output.event({ print: 'x\n' });
  output.source.stages[0]?.service.gap?.({
    input: 'ct1',
    from: 0,
    to: 1,
    lost: 7,
    exact: true,
    cause: 'socket overrun',
  });
  expect((await sentBy(output)).split('\n')[1]).toMatch(
    /^<29>Nov {2}4 07:10:11 flowlogd\[\d+\]: gap input=ct1 from=\S+ to=\S+ lost=7 exact=1 cause="socket overrun"$/,
  );
});

test('lines that nobody takes are counted; that is said once', async () => {
  refusal = Object.assign(new Error('connect: ENOENT, No such file or directory'), { code: 'ENOENT' });
  const output = start({ stop_timeout: 0 });
  for (let i = 0; i < 3; i++) output.event({ print: 'x\n' });
  output.event({ print: '' });
  expect(await sentBy(output)).toBe('');
  expect(output.source.stages[0]?.service.account?.()).toMatchObject({
    written: 0,
    queued: 0,
    dropped: { stopped: 3 },
  });
  expect([...output.source.program.stopped]).toEqual([1]);
});
