import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { FakeKernel } from '../support/fake-netlink.ts';
import { TestDaemon } from '../support/test-daemon.ts';

vi.mock('../../src/system/native.ts', async (original) => ({
  ...(await original<object>()),
  openNativeSocket: (await import('../support/fake-netlink.ts')).openFakeSocket,
  connectDatagram: (await import('../support/fake-log.ts')).openLogFile,
  sendLines: (await import('../support/fake-log.ts')).writeLogFile,
}));
vi.mock('node:os', async (original) => ({ ...(await original<object>()), hostname: () => 'router.example.net' }));

/** A datagram in hexadecimal digits, with what it is. */
interface Recorded {
  readonly name: string;
  readonly hex: string;
}

/** One thing that happens; README.md explains each. */
type Step =
  | { readonly nflog: Recorded }
  | { readonly conntrack: Recorded }
  | { readonly table: readonly Recorded[] }
  | { readonly link: { readonly index: number; readonly name: string } }
  | { readonly now: string }
  | { readonly counters: readonly Recorded[] }
  | { readonly frame: Recorded }
  | { readonly received: number; readonly malformed?: number }
  | { readonly wait: number }
  | { readonly signal: 'SIGHUP' | 'SIGUSR2' }
  | { readonly overrun: true };

interface Input {
  readonly about: string;
  readonly now: string;
  readonly timeZone?: string;
  readonly links?: Readonly<Record<string, string>>;
  readonly table?: readonly Recorded[];
  readonly files?: Readonly<Record<string, Recorded>>;
  readonly steps: readonly Step[];
}

const here = fileURLToPath(new URL('.', import.meta.url));
const updating = process.env.UPDATE_GOLDEN !== undefined;
const cases = readdirSync(here, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []));
const bytesOf = ({ hex }: Recorded): Uint8Array => Uint8Array.from(Buffer.from(hex, 'hex'));

let daemon: TestDaemon | undefined;
/** What the configuration names as /in/. */
let given = '';

afterEach(() => {
  daemon?.remove();
  daemon = undefined;
  rmSync(given, { recursive: true, force: true });
  vi.useRealTimers();
  vi.unstubAllEnvs();
});

describe.each(cases)('%s', (name) => {
  test.each([
    ['default', ''],
    ['as ulogd 2.0.8', 'compat.'],
  ])('%s: every byte as expected', async (mode, part) => {
    const folder = join(here, name);
    const written = await replay(folder, mode !== 'default');
    const prefix = `expected.${part}`;
    const isExpected = (file: string) =>
      file.startsWith(prefix) && (part !== '' || !file.startsWith('expected.compat.'));
    const before = readdirSync(folder).filter(isExpected);
    if (updating) {
      for (const file of before) rmSync(join(folder, file));
      for (const [file, bytes] of written) writeFileSync(join(folder, prefix + file), bytes);
    }
    const expected = readdirSync(folder).filter(isExpected).sort();
    expect(
      [...written.keys()].map((file) => prefix + file).sort(),
      'files written (UPDATE_GOLDEN=1 makes them)',
    ).toEqual(expected);
    for (const [file, bytes] of written) {
      const want = readFileSync(join(folder, prefix + file));
      // Latin-1: one character is one byte, whatever was written.
      expect(bytes.toString('latin1'), prefix + file).toBe(want.toString('latin1'));
    }
  });
});

/** Runs a case and returns what was written, by file, and what the daemon said as `daemon.log`. */
async function replay(folder: string, compat: boolean): Promise<Map<string, Buffer>> {
  const input = JSON.parse(readFileSync(join(folder, 'input.json'), 'utf8')) as Input;
  vi.stubEnv('TZ', input.timeZone ?? 'UTC');
  vi.useFakeTimers({
    now: new Date(input.now),
    toFake: ['Date', 'performance', 'setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'],
  });
  const kernel = new FakeKernel();
  for (const [index, name] of Object.entries(input.links ?? {})) kernel.links.set(Number(index), name);
  kernel.table = (input.table ?? []).map(bytesOf);
  const idle = () => kernel.idle(() => vi.advanceTimersByTime(1));

  given = mkdtempSync(join(tmpdir(), 'flowlogd-golden-'));
  for (const [name, file] of Object.entries(input.files ?? {})) writeFileSync(join(given, name), bytesOf(file));
  const configuration = readFileSync(join(folder, 'flowlogd.conf'), 'utf8').replaceAll('/in/', `${given}/`);
  daemon = await TestDaemon.start(configuration, { compat });
  await idle();
  for (const step of input.steps) {
    await take(step, kernel, daemon);
    await idle();
  }
  const summary = await daemon.stop();
  const said = [...daemon.log, ...summary].map((line) => `${line.replaceAll(given, '/in')}\n`).join('');
  return new Map([...daemon.files(), ['daemon.log', Buffer.from(said)]]);
}

async function take(step: Step, kernel: FakeKernel, running: TestDaemon): Promise<void> {
  if ('nflog' in step) {
    if (kernel.log(bytesOf(step.nflog)) === 0) throw new Error(`nobody listens to NFLOG: ${step.nflog.name}`);
  } else if ('conntrack' in step) kernel.event(bytesOf(step.conntrack));
  else if ('table' in step) kernel.table = step.table.map(bytesOf);
  else if ('link' in step) kernel.news(step.link.index, step.link.name);
  else if ('counters' in step) kernel.counters = step.counters.map(bytesOf);
  else if ('frame' in step) connect(join(given, 'socket')).end(bytesOf(step.frame));
  else if ('received' in step) {
    const sum = (count: 'received' | 'malformed') =>
      running.sources.reduce((all, { counts }) => all + counts[count], 0);
    // The test's own limit ends it.
    while (sum('received') < step.received || sum('malformed') < (step.malformed ?? 0)) await nextTurn();
  } else if ('now' in step) vi.setSystemTime(new Date(step.now));
  else if ('wait' in step) vi.advanceTimersByTime(step.wait * 1000);
  else if ('overrun' in step) kernel.fail(constants.errno.ENOBUFS);
  else if (step.signal === 'SIGHUP') running.reopen();
  else running.signal();
}
