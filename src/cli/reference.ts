import type { IntOption, OptionSpec, OptionSpecs } from '../config/option.ts';
import type { KeySpec, KeySpecs, KeyType } from '../pipeline/key.ts';
import type { FilterPlugin, InputPlugin, Plugin } from '../pipeline/plugin.ts';
import { linkTo, page, table } from './markdown.ts';
import { ulogdPage, ulogdSummary } from './reference-ulogd.ts';
import { loadCatalog } from './registry.ts';
import { SECTIONS } from './sections.ts';

const ALL_BITS = 0xffffffff;

/** How to read the tables of the other pages. */
const LEGEND = `## Values of options

An integer may be decimal, hexadecimal (\`0x20\`) or octal (\`040\`). Where a table says 0 or 1, \`yes\` and \`no\`, \`on\` and
\`off\`, \`true\` and \`false\` are accepted too. Upper and lower case are the same there. [configuration.md](../guides/configuration.md) has the
grammar of the file.

## Types of keys

\`bool\` is 0 or 1. \`u8\` to \`u64\` are numbers of that many bits. \`ip\` is an address, IPv4 or IPv6. \`string\` is text. \`raw\` is
bytes. JSON leaves out \`ip\` and \`raw\`: [IP2STR](ip2str.md) and [HWHDR](hwhdr.md) make text of them. IPFIX numbers are
information elements of IANA; with a slash, the vendor comes first (21373 is Netfilter).`;

/** There is a plugin NEUTRON. */
const SECTION_PAGES = { global: 'global.md', neutron: 'neutron-section.md' } as const;

/** The pages of docs/reference by file name, made from what the plugins declare. */
export async function referencePages(): Promise<Map<string, string>> {
  const catalog = await loadCatalog();
  const pages = new Map<string, string>();
  pages.set('README.md', index(catalog));
  for (const { name, summary, options } of SECTIONS) {
    pages.set(SECTION_PAGES[name], page(`[${name}]`, summary, optionTable(options)));
  }
  pages.set(
    'keys.md',
    page('Keys', 'Every key, the plugins that write it and those that ask for it.', keyIndex(catalog)),
  );
  pages.set('ulogd.md', ulogdPage(catalog, shownDefault));
  for (const name of new Set(catalog.map((plugin) => plugin.name))) {
    // One name may stand for an input and a filter.
    const ofName = catalog.filter((plugin) => plugin.name === name);
    const title = ({ role }: Plugin) => (ofName.length > 1 ? `${name}, the ${role}` : name);
    const texts = ofName.map((plugin) => pluginPage(title(plugin), plugin, catalog));
    pages.set(`${name.toLowerCase()}.md`, texts.join('\n'));
  }
  return pages;
}

const PART = /(<!-- Plugins of ulogd2[^\n]*-->\n)[\s\S]*?(<!-- up to here -->)/;

/** The README with its generated part brought up to date. */
export async function readmeWithPlugins(readme: string): Promise<string> {
  const summary = ulogdSummary(await loadCatalog());
  return readme.replace(PART, (_, begin: string, end: string) => `${begin}\n${summary}\n\n${end}`);
}

function index(catalog: readonly Plugin[]): string {
  const list = (role: Plugin['role']) =>
    catalog
      .filter((plugin) => plugin.role === role)
      .map(({ name, summary }) => `- ${linkTo(name)}: ${summary}`)
      .join('\n');
  return page(
    'Reference',
    'Every plugin, option and key. `flowlogd info PLUGIN` prints the same.',
    '[Options of the daemon](global.md) · [[neutron]](neutron-section.md) · [all keys](keys.md) · [plugins and options of ulogd2](ulogd.md)',
    `## Inputs\n\n${list('input')}`,
    `## Filters\n\n${list('filter')}`,
    `## Outputs\n\n${list('output')}`,
    LEGEND,
  );
}

function pluginPage(title: string, plugin: Plugin, catalog: readonly Plugin[]): string {
  return page(
    title,
    plugin.summary,
    `${roleSentence(plugin)}\n\n    ${plugin.example}`,
    Object.keys(plugin.options).length > 0 ? `## Options\n\n${optionTable(plugin.options)}` : 'It has no options.',
    readsPart(plugin, catalog),
    plugin.role === 'output' || Object.keys(plugin.writes).length === 0
      ? ''
      : `## Keys it writes\n\n${keyTable(plugin.writes)}`,
    plugin.role === 'input' && plugin.constants !== undefined ? constantsPart(plugin.constants) : '',
  );
}

const KINDS = {
  raw: 'undecoded packets',
  packet: 'decoded packets',
  flow: 'connections',
  sum: 'counters',
  notice: 'news',
} as const;
const constantsPart = (keys: KeySpecs): string =>
  `## Keys of its network namespace\n\nWritten where an option names a namespace, and never with \`compat\`. \`file=\` of an output may name them: \`%{netns.name}\`.\n\n${keyTable(keys)}`;

function roleSentence(plugin: Plugin): string {
  if (plugin.role === 'input') return `An input: it begins a stack of ${KINDS[plugin.gives]}.`;
  const accepted = new Intl.ListFormat('en-GB', { type: 'disjunction' }).format(
    plugin.accepts.map((kind) => KINDS[kind]),
  );
  if (plugin.role === 'output') return `An output: it ends a stack of ${accepted}.`;
  return `A filter: it stands inside a stack of ${accepted}${plugin.gives ? `, and makes ${KINDS[plugin.gives]} of them` : ''}.`;
}

function optionTable(options: OptionSpecs): string {
  return table(
    ['option', 'type', 'default', 'meaning'],
    Object.entries(options).map(([name, spec]) => [
      `\`${name}\``,
      typeText(spec),
      spec.required ? 'must be given' : shownDefault(spec),
      spec.doc,
    ]),
  );
}

function typeText(spec: OptionSpec): string {
  if (spec.type === 'int') return integerText(spec);
  if (spec.type !== 'choice')
    return {
      bool: '0 or 1',
      string: 'text',
      secret: 'a secret: text, `file:/path` or `env:NAME`',
      list: 'words, comma between',
      lines: 'text, as often as needed',
    }[spec.type];
  const words = spec.choices.map((choice) => `\`${choice || '""'}\``);
  return words.length === 1 ? `${words[0]}` : `one of ${words.join(', ')}`;
}

/** Limits are named where they are not those of any 32-bit number. */
function integerText({ min = 0, max = ALL_BITS, unit }: IntOption): string {
  const limits = max < ALL_BITS ? ` from ${min} to ${max}` : min !== 0 ? ` from ${min}` : '';
  return `integer${limits}${unit ? `, ${unit}` : ''}`;
}

function shownDefault(spec: OptionSpec): string {
  if (spec.type === 'list' || spec.type === 'lines' || spec.type === 'secret' || spec.default === '') return 'none';
  if (spec.default === ALL_BITS) return '`0xffffffff`';
  return `\`${spec.type === 'bool' ? Number(spec.default) : spec.default}\``;
}

function readsPart(plugin: Plugin, catalog: readonly Plugin[]): string {
  if (plugin.role === 'input') return '';
  if (plugin.reads === 'every') return '## Keys it reads\n\nEvery key that the plugins before it write.';
  const rows = Object.entries(plugin.reads).map(([key, { type, optional }]) => [
    `\`${key}\``,
    type,
    optional ? 'no' : 'yes',
    writersOf(key, catalog).map(linkTo).join(', '),
  ]);
  return rows.length === 0 ? '' : `## Keys it reads\n\n${table(['key', 'type', 'needed', 'written by'], rows)}`;
}

function keyTable(keys: Readonly<Record<string, KeySpec>>): string {
  return table(
    ['key', 'type', 'name in JSON', 'IPFIX', 'meaning'],
    Object.entries(keys).map(([key, spec]) => [
      `\`${key}\``,
      spec.type,
      spec.cim ? `\`${spec.cim}\`` : '',
      spec.ipfix ? [spec.ipfix.vendor, spec.ipfix.field].filter(Boolean).join('/') : '',
      spec.doc,
    ]),
  );
}

function keyIndex(catalog: readonly Plugin[]): string {
  const types = new Map<string, KeyType>();
  for (const plugin of catalog) {
    if (plugin.role === 'output') continue;
    for (const [key, { type }] of Object.entries(keysOf(plugin))) types.set(key, type);
  }
  const rows = [...types]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, type]) => [
      `\`${key}\``,
      type,
      writersOf(key, catalog).map(linkTo).join(', '),
      readersOf(key, catalog).map(linkTo).join(', '),
    ]);
  const every = catalog.filter((plugin) => plugin.role === 'output' && plugin.reads === 'every');
  const note = `${every.map(({ name }) => linkTo(name)).join(', ')}: reads every key of its stack.`;
  return `${table(['key', 'type', 'written by', 'read by'], rows)}\n\n${note}`;
}

const writersOf = (key: string, catalog: readonly Plugin[]): string[] =>
  namesOf(catalog.filter((plugin) => plugin.role !== 'output' && key in keysOf(plugin)));

const namesOf = (plugins: readonly Plugin[]): string[] => [...new Set(plugins.map(({ name }) => name))];

const keysOf = (plugin: InputPlugin | FilterPlugin): KeySpecs =>
  plugin.role === 'input' ? { ...plugin.writes, ...plugin.constants } : plugin.writes;

const readersOf = (key: string, catalog: readonly Plugin[]): string[] =>
  namesOf(catalog.filter((plugin) => plugin.role !== 'input' && plugin.reads !== 'every' && key in plugin.reads));
