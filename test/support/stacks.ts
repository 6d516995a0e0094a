// Plugins made for a test, and stacks of them: a plan, and the closures that it links to.

import type { OptionSpecs, OptionValues } from '../../src/config/option.ts';
import type { Problem } from '../../src/config/problem.ts';
import type { KeySpecs, KeyType, ReadSpecs } from '../../src/pipeline/key.ts';
import { linkSource, type Source } from '../../src/pipeline/link.ts';
import { Memory } from '../../src/pipeline/memory.ts';
import { type Plan, planStacks, type Step } from '../../src/pipeline/plan.ts';
import type { Deliver, FilterPlugin, InputPlugin, Kind, Log, OutputPlugin, Plugin } from '../../src/pipeline/plugin.ts';
import type { Record as Values } from '../../src/pipeline/record.ts';
import { Shared } from '../../src/pipeline/shared.ts';
import { Clock } from '../../src/system/clock.ts';

/** Keys in brief: `a` is a u32, `a:string` says another type, `a?` is one that may be missing. */
type Keys = readonly string[];

function parseKey(key: string): { name: string; type: KeyType; optional: boolean } {
  const [name = '', type = 'u32'] = key.replace('?', '').split(':');
  return { name, type: type as KeyType, optional: key.includes('?') };
}

const writesOf = (keys: Keys): KeySpecs =>
  Object.fromEntries(keys.map(parseKey).map(({ name, type }) => [name, { type, doc: 'A key.' }]));

const readsOf = (keys: Keys): ReadSpecs =>
  Object.fromEntries(
    keys.map(parseKey).map(({ name, type, optional }) => [name, optional ? { type, optional } : { type }]),
  );

const isBrief = (writes: Keys | KeySpecs): writes is Keys => Array.isArray(writes);

const about = { summary: 'For a test.', example: '', options: {} } as const;

/** What a test's filter or output does with an event; `read` and `write` are slots by key. */
export type Act = (
  record: Values,
  slots: { readonly read: Readonly<Record<string, number>>; readonly write: Readonly<Record<string, number>> },
) => boolean;

/** An input whose events are sent by `events`: the last linked one's of that name. */
export function input(
  name: string,
  writes: Keys | KeySpecs,
  gives: Kind = 'packet',
): InputPlugin & { linked: Linked[] } {
  const linked: Linked[] = [];
  return {
    ...about,
    role: 'input',
    name,
    gives,
    writes: isBrief(writes) ? writesOf(writes) : writes,
    linked,
    link({ record, write, wanted, clock }, deliver) {
      linked.push({ deliver, record, write, wanted, clock });
      return {};
    },
  };
}

/** What an input was linked with. */
export interface Linked {
  readonly deliver: Deliver;
  readonly record: Values;
  readonly write: Readonly<Record<string, number>>;
  readonly wanted: (key: string) => boolean;
  readonly clock: Clock;
}

export function filter(
  name: string,
  { reads = [], writes = [], accepts = ['raw', 'packet', 'flow'], gives, act = () => true }: StageFields,
): FilterPlugin {
  return {
    ...about,
    role: 'filter',
    name,
    accepts,
    ...(gives ? { gives } : {}),
    reads: readsOf(reads),
    writes: writesOf(writes),
    link: ({ read, write }) => ({ run: (record) => act(record, { read, write }) }),
  };
}

export function output(
  name: string,
  {
    reads = [],
    accepts = ['raw', 'packet', 'flow'],
    act = () => true,
  }: Omit<StageFields, 'reads'> & { reads?: Keys | 'every' } = {},
): OutputPlugin {
  return {
    ...about,
    role: 'output',
    name,
    accepts,
    reads: reads === 'every' ? 'every' : readsOf(reads),
    link: ({ read }) => ({ run: (record) => act(record, { read, write: {} }) }),
  };
}

interface StageFields {
  readonly reads?: Keys;
  readonly writes?: Keys;
  readonly accepts?: readonly Kind[];
  readonly gives?: Kind;
  readonly act?: Act;
}

/** Values of options by the id of a step; the others have their defaults. */
type Options = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

/** Plans stack lines; a step's line is that of its stack, its column that of its word. */
export function plan(
  lines: readonly string[],
  catalog: readonly Plugin[],
  options: Options = {},
): { plans: Plan[]; problems: Problem[] } {
  const problems: Problem[] = [];
  const stacks = lines.map((line, index) => {
    let column = 1;
    return line.split(',').map((word): Step => {
      const [id = '', name = ''] = word.split(':');
      const plugin = catalog.find((one) => one.name === name);
      if (plugin === undefined) throw new Error(`the test has no plugin ${name}`);
      const defaults = Object.entries(plugin.options).map(([key, option]) => [key, option.default] as const);
      const values = { ...Object.fromEntries(defaults), ...options[id] } as OptionValues<OptionSpecs>;
      const step = { id, plugin, options: values, line: index + 1, column };
      column += word.length + 1;
      return step;
    });
  });
  return { plans: planStacks(stacks, 'test.conf', catalog, problems), problems };
}

interface Linking {
  /** What is logged as an error is added here. */
  readonly errors?: string[];
  readonly options?: Options;
  readonly compat?: boolean;
  readonly gapRecords?: boolean;
  readonly memory?: Memory;
}

/** Plans and links stack lines, which must be without a problem. */
export function link(
  lines: readonly string[],
  catalog: readonly Plugin[],
  { errors = [], options = {}, compat = false, gapRecords = true, memory = new Memory(8 << 20) }: Linking = {},
): Source[] {
  const { plans, problems } = plan(lines, catalog, options);
  if (problems.length > 0) throw new Error(JSON.stringify(problems));
  const error = (line: string) => void errors.push(line);
  const log: Log = { debug() {}, info() {}, notice() {}, error, isDebug: () => false };
  const environment = {
    memory,
    log,
    clock: new Clock(),
    compat,
    gapRecords,
    shared: new Shared(),
  };
  return plans.map((one) => linkSource(one, environment));
}
