import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test, vi } from 'vitest';
import { loadPlugin } from '../../../src/cli/registry.ts';
import { specimens } from '../../../src/input/conntrack/specimens.ts';
import { isWhole } from '../../../src/input/conntrack/whole-entry.ts';
import { InputLedger } from '../../../src/pipeline/ledger.ts';
import { type Environment, linkSource } from '../../../src/pipeline/link.ts';
import { Memory } from '../../../src/pipeline/memory.ts';
import { type Plan, planStacks, type Step } from '../../../src/pipeline/plan.ts';
import type { Log } from '../../../src/pipeline/plugin.ts';
import { rehearse } from '../../../src/pipeline/rehearsal.ts';
import { Shared } from '../../../src/pipeline/shared.ts';
import { Clock } from '../../../src/system/clock.ts';
import { CONNTRACK_DESTROY, CONNTRACK_NEW, ConntrackEntry, decodeConntrack } from '../../../src/wire/conntrack.ts';

const folder = mkdtempSync(join(tmpdir(), 'flowlogd-rehearsal-'));
afterAll(() => rmSync(folder, { recursive: true }));

async function planOf(line: string, options: Step['options']): Promise<Plan> {
  const steps = line.split(',').map(async (word, column): Promise<Step> => {
    const [id = '', name = ''] = word.split(':');
    const plugin = await loadPlugin(name, column === 0);
    if (plugin === undefined) throw new Error(`no plugin ${name}`);
    const defaults = Object.fromEntries(Object.entries(plugin.options).map(([key, spec]) => [key, spec.default]));
    const own = Object.fromEntries(Object.entries(options).filter(([key]) => key in plugin.options));
    return { id, plugin, options: { ...defaults, ...own }, line: 1, column };
  });
  const [plan] = planStacks([await Promise.all(steps)], 'test', [], []);
  return plan as Plan;
}
const log: Log = { debug() {}, info() {}, notice() {}, error() {}, isDebug: () => false };
const environment = (): Environment => ({
  memory: new Memory(8 << 20),
  log,
  clock: new Clock(),
  compat: false,
  shared: new Shared(),
});

test('the specimens are begins and ends over both versions of IP that NFCT takes for whole', () => {
  const entry = new ConntrackEntry();
  const seen = specimens.map((bytes) => {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    expect(decodeConntrack(view, 0, bytes.length, entry, 0xffffffff) && isWhole(entry)).toBe(true);
    return `${entry.family} ${entry.orig.protocol} ${entry.event}`;
  });
  const all = [2, 10].flatMap((family) =>
    [17, 6].flatMap((protocol) => [CONNTRACK_NEW, CONNTRACK_DESTROY].map((event) => `${family} ${protocol} ${event}`)),
  );
  expect(seen).toEqual(all);
});

test.each([
  'ct1:NFCT,ip2str1:IP2STR,json1:JSON',
  'ct1:NFCT,ip2str1:IP2STR,print1:PRINTFLOW,emu1:LOGEMU',
  'ct1:NFCT,mark1:MARK,ip2bin1:IP2BIN,gp1:GPRINT',
  'ct1:NFCT,ip2str1:IP2STR,nacct1:NACCT',
])('the stack %s works with the specimens, and has forgotten them when it starts', async (line) => {
  const file = join(folder, 'flows');
  const source = linkSource(await planOf(line, { file, hash_enable: false }), environment());
  source.service.rehearse?.();
  expect(source.counts.received).toBe(specimens.length);
  expect([...source.program.failed].every((count) => count === 0)).toBe(true);
  rehearse(source);
  expect(source.counts).toEqual(new InputLedger());
  expect(source.program.stopped.every((count) => count === 0)).toBe(true);
  expect(existsSync(file), 'nothing is opened').toBe(false);
  for (const { service } of source.stages) await service.start?.();
  expect(source.stages.at(-1)?.service.account?.()).toMatchObject({ written: 0, queued: 0, bytes: 0 });
  for (const { service } of source.stages) await service.stop?.();
  expect(readFileSync(file, 'utf8')).toBe('');
  rmSync(file);
});

test('nothing is rehearsed where an output sends to a peer, or a filter asks the kernel', async () => {
  const rehearsed = vi.fn();
  for (const line of ['ct1:NFCT,ip2str1:IP2STR,json1:JSON', 'ct1:NFCT,nat1:NAT,ip2str1:IP2STR,json1:JSON']) {
    const mode = line.includes('NAT') ? 'file' : 'tcp';
    const source = linkSource(await planOf(line, { mode, hash_enable: false }), environment());
    source.service.rehearse = rehearsed;
    rehearse(source);
  }
  expect(rehearsed).not.toHaveBeenCalled();
});
