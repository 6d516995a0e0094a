// The documents hold what they say: pages are those that the declarations make, links lead somewhere, commands and
// configurations exist.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { load } from '../src/cli/load.ts';
import { readmeWithPlugins, referencePages } from '../src/cli/reference.ts';
import { ULOGD } from '../src/cli/reference-ulogd.ts';
import { loadCatalog } from '../src/cli/registry.ts';
import { formatProblem } from '../src/config/problem.ts';
import { checks } from '../src/doctor/index.ts';

const root = resolve(import.meta.dirname, '..');
const NOT_OURS = new Set(['node_modules', 'dist', 'build', '.git']);

function markdownBelow(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return NOT_OURS.has(entry.name) ? [] : markdownBelow(path);
    return entry.name.endsWith('.md') ? [path] : [];
  });
}

const pages = markdownBelow(root).map((path) => ({ name: relative(root, path), text: readFileSync(path, 'utf8') }));
const unfenced = (text: string): string => text.replace(/^```[\s\S]*?^```/gm, '');

/** The anchor that GitHub gives to a heading. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .trim()
    .replaceAll(' ', '-');

const anchorsIn = (text: string): string[] =>
  [...unfenced(text).matchAll(/^#+ (.*)$/gm)].map((match) => anchorOf(match[1] as string));

function brokenLinks({ name, text }: { name: string; text: string }): string[] {
  // Code in backticks may look like a link and is none.
  const prose = unfenced(text).replace(/`[^`\n]*`/g, '');
  const targets = [...prose.matchAll(/\]\(([^()\s]+)\)/g)].map((match) => match[1] as string);
  return targets.filter((target) => {
    if (/^[a-z]+:/.test(target)) return false;
    const [path = '', anchor] = target.split('#');
    const file = join(root, dirname(name), path);
    if (path !== '' && !existsSync(file)) return true;
    return anchor !== undefined && !anchorsIn(path === '' ? text : readFileSync(file, 'utf8')).includes(anchor);
  });
}

/** What is wrong with a configuration, a line each. */
async function problemsOf(text: string): Promise<string[]> {
  const folder = mkdtempSync(join(tmpdir(), 'flowlogd-docs-'));
  try {
    const file = join(folder, 'ulogd.conf');
    writeFileSync(file, text);
    return (await load(file)).problems.map((problem) => formatProblem({ ...problem, file: 'shown' }));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

test('docs/reference has the pages that the declarations make, word for word (npm run docs)', async () => {
  const generated = await referencePages();
  const folder = join(root, 'docs/reference');
  expect(readdirSync(folder).sort()).toEqual([...generated.keys()].sort());
  for (const [name, text] of generated) expect(readFileSync(join(folder, name), 'utf8'), name).toBe(text);
});

test('the README has every plugin of ulogd2, and says which are here (npm run docs)', async () => {
  const readme = readFileSync(join(root, 'README.md'), 'utf8');
  expect(readme).toBe(await readmeWithPlugins(readme));
  for (const name of Object.keys(ULOGD)) expect(readme).toMatch(new RegExp(`^\\|.*\\b${name}\\b.*\\|$`, 'm'));
});

test('the README says of every plugin what it is there for', async () => {
  const readme = readFileSync(join(root, 'README.md'), 'utf8');
  const overview = readme.slice(readme.indexOf('## What it reads'), readme.indexOf('[The reference]'));
  const missing = (await loadCatalog()).filter(({ name }) => !overview.includes(`[${name}](`)).map(({ name }) => name);
  expect(missing).toEqual([]);
});

test('a plugin of ulogd2 that is here has every option of it', async () => {
  const unknown = (await loadCatalog()).flatMap(({ name, options }) =>
    (ULOGD[name] ?? '')
      .split(' ')
      .map((word) => word.replace(/[!=].*/, ''))
      .filter((option) => option !== '' && !(option in options))
      .map((option) => `${name}: ${option}`),
  );
  expect(unknown).toEqual([]);
});

test('no link leads nowhere', () => {
  expect(pages.flatMap((page) => brokenLinks(page).map((target) => `${page.name}: ${target}`))).toEqual([]);
});

test('every npm script that a document names is there', () => {
  const { scripts } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: object };
  const named = pages.flatMap(({ name, text }) =>
    [...text.matchAll(/npm run ([\w:-]+)/g)].map((match) => ({ name, script: match[1] as string })),
  );
  expect(named.length).toBeGreaterThan(0);
  expect(named.filter(({ script }) => !(script in scripts))).toEqual([]);
});

test('every configuration that a document shows is accepted', async () => {
  const shown = pages.flatMap(({ name, text }) =>
    [...text.matchAll(/^```ini\n(\[global\][\s\S]*?)^```/gm)].map((match) => ({ name, text: match[1] as string })),
  );
  expect(shown.length).toBeGreaterThan(0);
  for (const { name, text } of shown) expect(await problemsOf(text), `${name}:\n${text}`).toEqual([]);
});

test('a link that leads nowhere is found', () => {
  const good =
    '# One, two\n[a](reference/README.md) [b](#one-two) [c](https://example.net/x) `[d](e)`\n```\n[f](g)\n```\n';
  const bad = '[h](#three) [i](no/such.md) [j](reference/README.md#no-such-heading)';
  expect(brokenLinks({ name: 'docs/page.md', text: good })).toEqual([]);
  expect(brokenLinks({ name: 'docs/page.md', text: good + bad })).toEqual([
    '#three',
    'no/such.md',
    'reference/README.md#no-such-heading',
  ]);
});

test('a configuration with a mistake is found', async () => {
  expect(await problemsOf('[global]\nstack=ct1:NFCT,json1:JSN\n')).toEqual([
    'shown:2:22: error: stack: unknown plugin "JSN"; did you mean "JSON"?',
  ]);
});

test('the guide has every check of the doctor', () => {
  const guide = pages.find(({ name }) => name === 'docs/guides/operating.md')?.text ?? '';
  const listed = [...guide.matchAll(/^\| `([a-z-]+)` \|.*\?/gm)].map((match) => match[1]);
  expect(listed).toEqual(checks.map(({ name }) => name));
});
