import { type Config, loadConfig, parseConfig } from '../config/config.ts';
import { nearest } from '../config/nearest.ts';
import { type OptionSpecs, type OptionValues, resolveOptions } from '../config/option.ts';
import { type Problem, sortProblems } from '../config/problem.ts';
import { readNames } from '../neutron/neutron-map.ts';
import { type Plan, planStacks, type Step } from '../pipeline/plan.ts';
import type { Plugin } from '../pipeline/plugin.ts';
import { doubtfulOptions } from './doubtful-options.ts';
import { exclusiveProblems } from './exclusive-options.ts';
import { namesNamespaces, namespaceProblems } from './namespace-steps.ts';
import { loadCatalog, loadPlugin, pluginNames } from './registry.ts';

/** A configuration with its stacks planned. With an error among `problems` it cannot be run. */
export interface Loaded {
  readonly config: Config;
  readonly plans: readonly Plan[];
  readonly problems: readonly Problem[];
}

/**
 * Reads a configuration and plans its stacks, without opening anything. Throws ConfigError if the file cannot be read; with
 * `text`, what stood in it when it was read before, it is not.
 */
export async function load(file: string, text?: string): Promise<Loaded> {
  const config = text === undefined ? loadConfig(file, pluginNames) : parseConfig(text, file, pluginNames);
  const problems: Problem[] = [...config.problems];
  const compat = config.global.compat !== '';
  const options = new Map<string, OptionValues<OptionSpecs>>();
  const stacks: Step[][] = [];
  for (const stack of config.stacks) {
    const steps: Step[] = [];
    for (const { id, plugin: name, line, column } of stack.steps) {
      // The parser let through known names only.
      const plugin = (await loadPlugin(name, steps.length === 0)) as Plugin;
      const key = `${id}:${name}:${plugin.role}`;
      let values = options.get(key);
      if (!values) {
        const at = { file, line, column, id };
        const resolved = resolveOptions(config.sections.get(id), plugin.options, { at, compat });
        problems.push(...resolved.problems);
        values = resolved.values;
        options.set(key, values);
      }
      const constants = plugin.role === 'input' && !compat && namesNamespaces(values) ? plugin.constants : undefined;
      steps.push({ id, plugin, options: values, line, column, ...(constants === undefined ? {} : { constants }) });
    }
    if (stack.complete && steps.length > 0) stacks.push(steps);
    problems.push(...namespaceProblems(steps, file));
  }
  const found: Problem[] = [];
  let plans = planStacks(stacks, file, [], found);
  if (found.length > 0) {
    // To say which plugin would give a missing key takes all of them, which a configuration without fault need not wait for.
    found.length = 0;
    plans = planStacks(stacks, file, await loadCatalog(), found);
  }
  const places = { sections: config.sections, file };
  problems.push(
    ...found,
    ...exclusiveProblems(stacks.flat(), places, compat),
    ...doubtfulOptions(stacks.flat(), places),
  );
  problems.push(...strayNames(config), ...mapFault(config));
  return { config, plans, problems: sortProblems(problems) };
}

/** A map that cannot be read is no reason not to start: its names are missing until it can. */
function mapFault({ neutron, sections }: Config): Problem[] {
  const entry = sections.get('neutron')?.entries.find(({ key }) => key === 'map');
  if (neutron.map === '' || entry === undefined) return [];
  try {
    readNames(neutron.map);
    return [];
  } catch (error) {
    const { file, line, valueColumn } = entry;
    const message = `[neutron] map: ${(error as Error).message}`;
    return [{ file, line, column: valueColumn, message, severity: 'warning' }];
  }
}

/** Sections that no stack uses are common; one whose name is near that of a missing one is probably a slip. */
function strayNames({ file, stacks, sections }: Config): Problem[] {
  const ids = new Set(stacks.flatMap(({ steps }) => steps.map(({ id }) => id)));
  const missing = [...ids].filter((id) => !sections.has(id));
  return [...sections.values()].flatMap(({ name, line, column }) => {
    const meant = ids.has(name) ? undefined : nearest(name, missing);
    if (meant === undefined) return [];
    const message = `no stack has a step [${name}], and there is no section [${meant}]: did you mean it?`;
    return [{ file, line, column, message, severity: 'warning' as const }];
  });
}

export const hasErrors = (problems: readonly Problem[]): boolean =>
  problems.some((problem) => problem.severity === 'error');
