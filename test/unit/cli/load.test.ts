import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { load } from '../../../src/cli/load.ts';

const folder = mkdtempSync(join(tmpdir(), 'flowlogd-load-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function warnings(sections: string): Promise<string[]> {
  const file = join(folder, 'ulogd.conf');
  writeFileSync(file, `[global]\nstack=log1:NFLOG,json1:JSON\n${sections}`);
  const { problems } = await load(file);
  return problems.filter(({ line }) => line > 2).map(({ line, message }) => `${line}: ${message}`);
}

test('a section whose name is near that of a missing one is pointed out', async () => {
  expect(await warnings('[lgo1]\ngroup=32\n[json1]\nsync=1\n')).toEqual([
    '3: no stack has a step [lgo1], and there is no section [log1]: did you mean it?',
  ]);
});

test('sections that no stack uses are common, and no mistake', async () => {
  expect(await warnings('[log1]\n[log2]\n[json1]\n[ct1]\n[mysql1]\n')).toEqual([]);
});
