// The plugins and options that the documents say ulogd has, and those that the real ulogd says it has.
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { ULOGD } from '../../src/cli/reference-ulogd.ts';

const FOLDER = '/usr/lib/x86_64-linux-gnu/ulogd';

/** `option=default` of each option, `option!` of one that must be given, as ULOGD has them. */
function optionsOf(plugin: string): string[] {
  const text = execFileSync('ulogd', ['--info', join(FOLDER, plugin)], { encoding: 'utf8' });
  return [...text.matchAll(/Var: (\w+) \(\w+, Default: ([^)]*?)(, Mandatory)?\)/g)]
    .map(([, option, value, mandatory]) => `${option}${mandatory ? '!' : `=${value?.trim()}`}`)
    .sort();
}

const installed = readdirSync(FOLDER).map((plugin) => [/_([A-Z0-9]+)\.so$/.exec(plugin)?.[1] ?? '', plugin] as const);

test.each(installed)('%s', (name, plugin) => {
  expect((ULOGD[name] ?? 'not named').split(' ').filter(Boolean).sort()).toEqual(optionsOf(plugin));
});

test('most plugins are installed', () => {
  expect(installed.length).toBeGreaterThan(20);
});
