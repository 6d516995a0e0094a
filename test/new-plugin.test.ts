// `npm run new-plugin`, and the section of CONTRIBUTING.md that walks through it, in a copy of the tree.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const root = resolve(import.meta.dirname, '..');
const NOT_COPIED = new Set(['node_modules', 'dist', 'build', '.git', 'coverage']);
const PATIENCE = 120_000;
let copy = '';

beforeAll(() => {
  copy = mkdtempSync(join(tmpdir(), 'flowlogd-new-plugin-'));
  cpSync(root, copy, { recursive: true, filter: (path) => !NOT_COPIED.has(basename(path)) });
  for (const built of ['node_modules', 'native/build']) symlinkSync(join(root, built), join(copy, built));
}, PATIENCE);
afterAll(() => rmSync(copy, { recursive: true, force: true }));

// A vitest that finds itself inside another behaves differently.
const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('VITEST')));

function run(command: string): { status: number | null; said: string } {
  const { status, stdout, stderr } = spawnSync('sh', ['-ec', command], { cwd: copy, env, encoding: 'utf8' });
  return { status, said: stdout + stderr };
}

function succeed(command: string): void {
  const { status, said } = run(command);
  expect(status, `${command}\n${said}`).toBe(0);
}

/** The fenced blocks of a part of a page: their language, the file they name, if any, and their text. */
function blocks(
  page: string,
  from: string,
  to: string,
): { language: string; file: string | undefined; text: string }[] {
  const part = page.slice(page.indexOf(`\n${from}\n`), page.indexOf(`\n${to}\n`));
  return [...part.matchAll(/^```(\w+)(?: (\S+))?\n([\s\S]*?)^```/gm)].map(([, language = '', file, text = '']) => ({
    language,
    file,
    text,
  }));
}

describe('a new plugin', () => {
  test(
    'is written, tested and run as CONTRIBUTING.md says',
    () => {
      const page = readFileSync(join(root, 'CONTRIBUTING.md'), 'utf8');
      const steps = blocks(page, '## A plugin, from nothing to tested', '## The hot path');
      expect(steps.map(({ language }) => language)).toEqual(['sh', 'ts', 'ts', 'sh', 'ini', 'sh', 'text']);
      for (const { language, file, text } of steps) {
        if (language === 'sh') succeed(text);
        else if (language === 'text') expect(readFileSync(join(copy, file as string), 'utf8')).toBe(text);
        else writeFileSync(join(copy, file as string), text);
      }
      succeed(
        'npx biome check src/filter/rule.ts src/filter/index.ts test/unit/filter/rule.test.ts && npx tsc -p tsconfig.build.json --noEmit',
      );
    },
    PATIENCE,
  );

  test(
    'begins as a filter or an output that compiles, keeps the contract and handles packets',
    () => {
      succeed('npm run new-plugin filter EXAMPLE && npm run new-plugin output ZEBRA');
      succeed(
        'npx biome check src/filter/example.ts src/filter/index.ts src/output/zebra.ts src/output/index.ts && npx tsc -p tsconfig.build.json --noEmit',
      );
      succeed("npx vitest run --project unit test/contract.test.ts -t '^(EXAMPLE|ZEBRA) '");
      succeed('npx vitest run --project unit test/imports.test.ts');
      succeed("UPDATE_GOLDEN=1 npx vitest run --project unit test/golden -t '^(example|zebra) '");
      for (const file of ['example', 'zebra']) {
        const written = readFileSync(join(copy, `test/golden/${file}/expected.events`), 'utf8');
        expect(written.split('\n'), file).toHaveLength(5);
      }
    },
    PATIENCE,
  );

  test('is refused where there is one of that name, or with no such name, and nothing is written', () => {
    const files = () =>
      readdirSync(join(copy, 'src'), { recursive: true }).concat(readdirSync(join(copy, 'test/golden')));
    const before = files();
    for (const words of ['filter mark', 'filter MARK', 'output NFLOG', 'filter ../x', 'input EXAMPLE2', 'filter', '']) {
      const { status, said } = run(`node scripts/new-plugin.js ${words}`);
      expect(status, `${words}: ${said}`).toBe(1);
    }
    expect(files()).toEqual(before);
  });
});
