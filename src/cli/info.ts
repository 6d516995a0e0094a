import { suggestion } from '../config/nearest.ts';
import type { OptionSpec, OptionSpecs } from '../config/option.ts';
import { pluginOfPath } from '../config/plugin-name.ts';
import type { KeySpecs, KeyType, ReadSpecs } from '../pipeline/key.ts';
import type { Plugin } from '../pipeline/plugin.ts';
import { loadCatalog, loadPlugins, pluginNames } from './registry.ts';
import { type ConfigSection, SECTIONS } from './sections.ts';

/** ulogd's words for types, as `ulogd --info` prints them. */
const TYPE_WORDS: Readonly<Record<KeyType, string>> = {
  bool: 'boolean',
  u8: 'unsigned int 8',
  u16: 'unsigned int 16',
  u32: 'unsigned int 32',
  u64: 'unsigned int 64',
  ip: 'IP addr',
  string: 'string',
  rawstr: 'raw string',
  raw: 'raw data',
};

/**
 * `flowlogd info [NAME]`: the plugins and the sections that are no plugin's, or the options and keys of one of them; 1 if
 * there is none of that name.
 */
export async function info(name?: string): Promise<number> {
  if (name === undefined) {
    process.stdout.write(overview(await loadCatalog()));
    return 0;
  }
  const section = SECTIONS.find((one) => one.name === name.replace(/^\[(.*)\]$/, '$1'));
  if (section !== undefined) {
    process.stdout.write(describeSection(section));
    return 0;
  }
  const plugins = await loadPlugins(pluginOfPath(name) ?? name);
  if (plugins.length === 0) {
    process.stderr.write(
      `flowlogd: there is no plugin "${name}"${suggestion(name, [...pluginNames, ...SECTIONS.map((one) => one.name)])}\n`,
    );
    return 1;
  }
  process.stdout.write(plugins.map(describe).join('\n'));
  return 0;
}

function overview(catalog: readonly Plugin[]): string {
  const width = Math.max(...catalog.map(({ name }) => name.length)) + 2;
  const lines = (all: readonly { readonly name: string; readonly summary: string }[]) =>
    all.map(({ name, summary }) => `  ${name.padEnd(width)}${summary}\n`).join('');
  const part = (role: Plugin['role'], title: string) =>
    `${title}:\n${lines(catalog.filter((plugin) => plugin.role === role))}`;
  const sections = `Sections of the configuration:\n${lines(SECTIONS)}`;
  return `${part('input', 'Inputs')}${part('filter', 'Filters')}${part('output', 'Outputs')}${sections}`;
}

function describeSection({ name, summary, options }: ConfigSection): string {
  return [`Section: [${name}]`, `         ${summary}`, 'Config options:', ...optionLines(options), ''].join('\n');
}

const optionLines = (options: OptionSpecs): string[] =>
  Object.entries(options).map(([name, spec]) => `\t${optionLine(name, spec)}`);

function describe(plugin: Plugin): string {
  const reads = plugin.role === 'input' ? undefined : plugin.reads;
  const writes = plugin.role === 'output' ? undefined : plugin.writes;
  return [
    `Name: ${plugin.name}`,
    `      ${plugin.summary}`,
    `Example: ${plugin.example}`,
    'Config options:',
    ...optionLines(plugin.options),
    'Input keys:',
    ...inputLines(reads),
    'Output keys:',
    ...outputLines(writes),
    '',
  ].join('\n');
}

function optionLine(name: string, spec: OptionSpec): string {
  const type = spec.type === 'int' ? 'Integer' : spec.type === 'bool' ? 'Boolean' : 'String';
  const required = spec.required ? ', Mandatory' : '';
  return `Var: ${name} (${type}, Default: ${shownDefault(spec)}${limits(spec)}${required})\t${spec.doc}`;
}

function shownDefault(spec: OptionSpec): string {
  if (spec.type === 'secret') return '';
  return String(spec.type === 'bool' ? Number(spec.default) : spec.default);
}

function limits(spec: OptionSpec): string {
  if (spec.type === 'int' && spec.unit) return `, in ${spec.unit}`;
  if (spec.type === 'choice') return `, one of ${spec.choices.join(' ')}`;
  return spec.type === 'secret' ? ', or env:NAME or file:PATH' : '';
}

function inputLines(reads: ReadSpecs | 'every' | undefined): string[] {
  if (reads === undefined) return ['\tNo input keys'];
  if (reads === 'every') return ['\tEvery key of the stack'];
  return Object.entries(reads).map(
    ([key, { type, optional }]) => `\tKey: ${key} (${TYPE_WORDS[type]}${optional ? ', optional' : ''})`,
  );
}

function outputLines(writes: KeySpecs | undefined): string[] {
  if (writes === undefined) return ['\tNo output keys'];
  return Object.entries(writes).map(([key, { type, doc }]) => `\tKey: ${key} (${TYPE_WORDS[type]})\t${doc}`);
}
