import { type Config, loadConfig } from '../config/config.ts';
import { type OptionSpecs, type OptionValues, resolveOptions } from '../config/option.ts';
import { type Problem, sortProblems } from '../config/problem.ts';
import { type Plan, planStacks, type Step } from '../pipeline/plan.ts';
import type { Plugin } from '../pipeline/plugin.ts';
import { loadCatalog, loadPlugin, pluginNames } from './registry.ts';

/** A configuration with its stacks planned. With an error among `problems` it cannot be run. */
export interface Loaded {
  readonly config: Config;
  readonly plans: readonly Plan[];
  readonly problems: readonly Problem[];
}

/** Reads a configuration and plans its stacks, without opening anything. Throws ConfigError if the file cannot be read. */
export async function load(file: string): Promise<Loaded> {
  const config = loadConfig(file, pluginNames);
  const problems: Problem[] = [...config.problems];
  const compat = config.global.compat !== '';
  const options = new Map<string, OptionValues<OptionSpecs>>();
  const stacks: Step[][] = [];
  for (const stack of config.stacks) {
    const steps: Step[] = [];
    for (const { id, plugin: name, line, column } of stack.steps) {
      const plugin = (await loadPlugin(name)) as Plugin; // the parser let through known names only
      const key = `${id}:${name}`;
      let values = options.get(key);
      if (!values) {
        const at = { file, line, column, id };
        const resolved = resolveOptions(config.sections.get(id), plugin.options, { at, compat });
        problems.push(...resolved.problems);
        values = resolved.values;
        options.set(key, values);
      }
      steps.push({ id, plugin, options: values, line, column });
    }
    if (stack.complete && steps.length > 0) stacks.push(steps);
  }
  const plans = planStacks(stacks, file, await loadCatalog(), problems);
  return { config, plans, problems: sortProblems(problems) };
}

export const hasErrors = (problems: readonly Problem[]): boolean =>
  problems.some((problem) => problem.severity === 'error');
