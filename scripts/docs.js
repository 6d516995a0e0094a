// Writes docs/reference/ and a table of the README from the declarations of the plugins: `npm run docs`. With --check it only
// says what is out of date.
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ensureBuilt, ROOT } from './setup.js';

ensureBuilt();
const { readmeWithPlugins, referencePages } = await import('../dist/cli/reference.js');
const folder = join(ROOT, 'docs', 'reference');
const pages = await referencePages();
const readme = join(ROOT, 'README.md');
const said = readFileSync(readme, 'utf8');
const saying = await readmeWithPlugins(said);
mkdirSync(folder, { recursive: true });
const present = readdirSync(folder);
const read = (/** @type {string} */ name) =>
  present.includes(name) ? readFileSync(join(folder, name), 'utf8') : undefined;
const stale = [
  ...present.filter((name) => !pages.has(name)),
  ...[...pages].filter(([name, text]) => read(name) !== text).map(([name]) => name),
];

if (process.argv.includes('--check')) {
  for (const name of stale) process.stderr.write(`docs/reference/${name} is out of date: run npm run docs\n`);
  if (saying !== said) process.stderr.write('README.md is out of date: run npm run docs\n');
  process.exitCode = stale.length > 0 || saying !== said ? 1 : 0;
} else {
  for (const name of present.filter((file) => !pages.has(file))) rmSync(join(folder, name));
  for (const [name, text] of pages) writeFileSync(join(folder, name), text);
  if (saying !== said) writeFileSync(readme, saying);
  process.stdout.write(`${pages.size} pages in docs/reference, ${stale.length} changed\n`);
}
