// Begins a plugin: npm run new-plugin filter NAME (or output NAME). Writes a declaration that works, its line in
// index.ts and a golden case; CONTRIBUTING.md walks on from there. What is there already is never touched.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '..');

/**
 * @typedef {{ name: string, id: string }} Words the plugin's name, and an id for stack lines
 * @typedef {{ file: (words: Words) => string, stack: (words: Words) => string, outputId: (words: Words) => string }} Template
 */

/** @type {Record<string, Template>} */
const TEMPLATES = {
  filter: {
    stack: ({ name, id }) => `stack=log1:NFLOG,base1:BASE,${id}:${name},ip2str1:IP2STR,json1:JSON`,
    outputId: () => 'json1',
    file: ({ name, id }) => `import { defineFilter } from '../pipeline/plugin.ts';

/** ${name}: TODO, in half a sentence. */
export default defineFilter({
  name: '${name}',
  summary: 'TODO: what it is for, in one sentence.',
  accepts: ['raw', 'packet'],
  example: 'stack=log1:NFLOG,base1:BASE,${id}:${name},ip2str1:IP2STR,json1:JSON',
  options: {
    least: { type: 'int', default: 0, unit: 'bytes', doc: 'TODO: what it sets, in one sentence.' },
  },
  reads: {
    'raw.pktlen': { type: 'u32' },
  },
  writes: {},
  link({ options: { least }, read }) {
    const length = read['raw.pktlen'];
    return {
      // Runs for every event: CONTRIBUTING.md has the rules. False ends the event's way through the stack.
      run({ value, valid }) {
        return valid[length] === 0 || value[length]! >= least;
      },
    };
  },
});
`,
  },
  output: {
    stack: ({ name, id }) => `stack=log1:NFLOG,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,print1:PRINTPKT,${id}:${name}`,
    outputId: ({ id }) => id,
    file: ({ name, id }) => `import { defineOutput } from '../pipeline/plugin.ts';
import { OutputFile } from '../system/output-file.ts';
import { writeBytes } from '../wire/ascii.ts';

/** ${name}: TODO, in half a sentence. */
export default defineOutput({
  name: '${name}',
  summary: 'TODO: what it is for, in one sentence.',
  accepts: ['packet', 'flow'],
  example: 'stack=log1:NFLOG,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,print1:PRINTPKT,${id}:${name}',
  options: {
    file: { type: 'string', default: '/var/log/ulogd_${name.toLowerCase()}.log', doc: 'File that lines are appended to.' },
  },
  reads: {
    print: { type: 'string' },
  },
  link({ options, read, shared, log, id }) {
    const file = shared(() => new OutputFile(options.file, (message) => log.error(\`\${id}:${name}: \${message}\`)));
    const print = read.print;
    return {
      // Runs for every event: CONTRIBUTING.md has the rules. It renders into the buffer; flush writes once for many.
      run({ view, value, extra, valid }) {
        const length = valid[print] === 1 ? extra[print]! : 0;
        if (length === 0) return false;
        const { buffer } = file;
        buffer.ensure(length);
        file.endLine(writeBytes(buffer.view, buffer.length, view, value[print]!, length));
        return true;
      },
      start: () => file.open(),
      flush: () => file.flush(),
      reopen: () => file.reopen(),
      stop: () => file.close(),
    };
  },
});
`,
  },
};

const ENTRY = /^ {2}(\w+): \(\(\) => import\('\.\/.*$/;

/** Adds a plugin to the table in an index.ts, in the order of names. @param {string} text @param {string} name */
function withEntry(text, name) {
  const lines = text.split('\n');
  const later = lines.findIndex((line) => (ENTRY.exec(line)?.[1] ?? '') > name);
  const at = later >= 0 ? later : lines.findLastIndex((line) => ENTRY.test(line)) + 1;
  return lines.toSpliced(at, 0, `  ${name}: (() => import('./${name.toLowerCase()}.ts')) as Load,`).join('\n');
}

/** Packets that the real kernel logged, for the golden case. */
function recordedPackets() {
  /** @type {{ name: string, hex: string }[]} */
  const recorded = JSON.parse(readFileSync(join(ROOT, 'test/unit/wire/vectors/nflog.json'), 'utf8'));
  const wanted = ['marked by a rule', 'cut short, without a prefix', 'over IPv6', 'sent by a user'];
  return recorded.filter(({ name }) => wanted.includes(name));
}

/** @param {string} path @param {string} text */
function write(path, text) {
  writeFileSync(join(ROOT, path), text);
  console.log(path);
}

/** @param {string | undefined} role @param {string | undefined} name @param {string[]} more */
function main(role = '', name = '', ...more) {
  const template = Object.hasOwn(TEMPLATES, role) ? TEMPLATES[role] : undefined;
  if (!template || more.length > 0) throw new Error('usage: npm run new-plugin filter|output NAME');
  if (!/^[A-Z][A-Z0-9]*$/.test(name))
    throw new Error(`a name is capital letters and digits, such as MARK: not "${name}"`);
  const file = name.toLowerCase();
  const words = { name, id: `${file}1` };
  const golden = `test/golden/${file}`;
  const taken = ['input', 'filter', 'output'].map((other) => `src/${other}/${file}.ts`).concat(golden);
  for (const path of taken) if (existsSync(join(ROOT, path))) throw new Error(`${path} is there already`);

  const index = `src/${role}/index.ts`;
  write(`src/${role}/${file}.ts`, template.file(words));
  write(index, withEntry(readFileSync(join(ROOT, index), 'utf8'), name));
  mkdirSync(join(ROOT, golden));
  const output = `[${template.outputId(words)}]\nfile="/out/events"`;
  write(`${golden}/flowlogd.conf`, `[global]\n${template.stack(words)}\n[log1]\ngroup=10\n${output}\n`);
  const steps = recordedPackets().map((packet) => `    {"nflog": ${JSON.stringify(packet)}}`);
  write(
    `${golden}/input.json`,
    `{\n  "about": "TODO: what this case is for.",\n  "now": "2026-11-21T07:10:11Z",\n  "links": {"1": "lo", "2": "eth0"},\n  "steps": [\n${steps.join(',\n')}\n  ]\n}\n`,
  );
  console.log(`
next:  npx vitest run --project unit test/contract.test.ts -t '^${name} '           what every plugin must keep
       UPDATE_GOLDEN=1 npx vitest run --project unit test/golden -t '^${file} '     writes what the case expects: read it
       npm run docs                                                          its page in docs/reference`);
}

try {
  const [role, name, ...more] = process.argv.slice(2);
  main(role, name, ...more);
} catch (error) {
  console.error(/** @type {Error} */ (error).message);
  process.exitCode = 1;
}
