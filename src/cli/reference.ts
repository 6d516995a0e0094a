import { GLOBAL_OPTIONS } from '../config/global.ts';
import type { OptionSpec, OptionSpecs } from '../config/option.ts';
import type { KeySpec } from '../pipeline/key.ts';
import type { Plugin } from '../pipeline/plugin.ts';
import { loadCatalog } from './registry.ts';

const GENERATED = '<!-- Written by `npm run docs` from the declarations in src: edit those. -->\n';

/** The pages of docs/reference by file name, made from what the plugins declare. */
export async function referencePages(): Promise<Map<string, string>> {
  const catalog = await loadCatalog();
  const pages = new Map<string, string>();
  pages.set('README.md', index(catalog));
  pages.set('global.md', page('[global]', 'Options of the whole daemon.', optionTable(GLOBAL_OPTIONS)));
  pages.set('keys.md', page('Keys', 'Every key, and the plugins that write it.', keyIndex(catalog)));
  for (const plugin of catalog) pages.set(`${plugin.name.toLowerCase()}.md`, pluginPage(plugin));
  return pages;
}

const page = (title: string, summary: string, ...parts: readonly string[]): string =>
  [`# ${title}`, GENERATED + summary, ...parts.filter(Boolean)].join('\n\n').trimEnd().concat('\n');

function index(catalog: readonly Plugin[]): string {
  const list = (role: Plugin['role']) =>
    catalog
      .filter((plugin) => plugin.role === role)
      .map(({ name, summary }) => `- [${name}](${name.toLowerCase()}.md): ${summary}`)
      .join('\n');
  return page(
    'Reference',
    'Every plugin, option and key. `flowlogd info PLUGIN` prints the same.',
    '[Options of the daemon](global.md) · [all keys](keys.md)',
    `## Inputs\n\n${list('input')}`,
    `## Filters\n\n${list('filter')}`,
    `## Outputs\n\n${list('output')}`,
  );
}

function pluginPage(plugin: Plugin): string {
  return page(
    plugin.name,
    plugin.summary,
    `${roleSentence(plugin)}\n\n    ${plugin.example}`,
    Object.keys(plugin.options).length > 0 ? `## Options\n\n${optionTable(plugin.options)}` : 'It has no options.',
    readsPart(plugin),
    plugin.role === 'output'
      ? ''
      : Object.keys(plugin.writes).length > 0
        ? `## Keys it writes\n\n${keyTable(plugin.writes)}`
        : '',
  );
}

function roleSentence(plugin: Plugin): string {
  if (plugin.role === 'input') return `An input: it begins a stack and gives ${kind(plugin.gives)}.`;
  const accepts = plugin.accepts.map(kind).join(' or ');
  return plugin.role === 'filter'
    ? `A filter: it stands inside a stack of ${accepts}.`
    : `An output: it ends a stack of ${accepts}.`;
}

const KINDS = { raw: 'undecoded packets', packet: 'packets', flow: 'connections', sum: 'counters' } as const;
const kind = (name: keyof typeof KINDS): string => KINDS[name];

function optionTable(options: OptionSpecs): string {
  const rows = Object.entries(options).map(([name, spec]) => {
    const fallback = spec.required ? 'must be given' : shownDefault(spec);
    return `| \`${name}\` | ${typeText(spec)} | ${fallback} | ${cell(spec.doc)} |`;
  });
  return ['| option | type | default | meaning |', '| --- | --- | --- | --- |', ...rows].join('\n');
}

function typeText(spec: OptionSpec): string {
  if (spec.type === 'int') {
    const range = `${spec.min ?? 0} to ${spec.max ?? 4294967295}`;
    return spec.unit ? `integer, ${spec.unit}, ${range}` : `integer, ${range}`;
  }
  if (spec.type === 'choice') return `one of ${spec.choices.map((choice) => `\`${choice || '""'}\``).join(', ')}`;
  return { bool: '0 or 1', string: 'text', list: 'words, comma between', lines: 'text, as often as needed' }[spec.type];
}

function shownDefault(spec: OptionSpec): string {
  if (spec.type === 'bool') return spec.default ? '1' : '0';
  if (spec.type === 'list' || spec.type === 'lines' || spec.default === '') return 'none';
  return `\`${spec.default}\``;
}

function readsPart(plugin: Plugin): string {
  if (plugin.role === 'input') return '';
  if (plugin.reads === 'every') return '## Keys it reads\n\nEvery key that the plugins before it write.';
  const rows = Object.entries(plugin.reads).map(
    ([key, { type, optional }]) => `| \`${key}\` | ${type} | ${optional ? '' : 'yes'} |`,
  );
  return rows.length === 0
    ? ''
    : `## Keys it reads\n\n| key | type | needed |\n| --- | --- | --- |\n${rows.join('\n')}`;
}

function keyTable(keys: Readonly<Record<string, KeySpec>>): string {
  const rows = Object.entries(keys).map(
    ([key, spec]) =>
      `| \`${key}\` | ${spec.type} | ${spec.cim ? `\`${spec.cim}\`` : ''} | ${ipfix(spec)} | ${cell(spec.doc)} |`,
  );
  return ['| key | type | in JSON | IPFIX | meaning |', '| --- | --- | --- | --- | --- |', ...rows].join('\n');
}

const ipfix = ({ ipfix: element }: KeySpec): string =>
  element ? (element.vendor ? `${element.vendor}/${element.field}` : String(element.field)) : '';

function keyIndex(catalog: readonly Plugin[]): string {
  const writers = new Map<string, string[]>();
  for (const plugin of catalog) {
    if (plugin.role === 'output') continue;
    for (const key of Object.keys(plugin.writes)) writers.set(key, [...(writers.get(key) ?? []), plugin.name]);
  }
  const links = (names: readonly string[]) => names.map((name) => `[${name}](${name.toLowerCase()}.md)`).join(', ');
  const rows = [...writers]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, names]) => `| \`${key}\` | ${links(names)} |`);
  return ['| key | written by |', '| --- | --- |', ...rows].join('\n');
}

const cell = (text: string): string => text.replaceAll('|', '\\|');
