import { resolve } from 'node:path';
import type { Section } from '../config/lexer.ts';
import type { Problem } from '../config/problem.ts';
import type { Step } from '../pipeline/plan.ts';

/**
 * Steps that want for themselves what another one has: the second would not start, or, of two threads, both would write to one
 * spool. `compat` warns where ulogd 2.0.8 runs the rest.
 */
export function exclusiveProblems(
  steps: readonly Step[],
  sections: ReadonlyMap<string, Section>,
  file: string,
  compat: boolean,
): Problem[] {
  const owners = new Map<string, Step>();
  return steps.flatMap((step) =>
    Object.entries(step.plugin.options).flatMap(([key, { exclusive, type }]): Problem[] => {
      const value = step.options[key];
      if (exclusive === undefined || value === '') return [];
      const { network_namespace_path: path, network_namespaces: names } = step.options;
      const what = type === 'string' ? resolve(String(value)) : `${step.plugin.name} ${value} in ${path} ${names}`;
      const owner = owners.get(what) ?? step;
      owners.set(what, owner);
      if (owner.id === step.id && owner.plugin === step.plugin) return [];
      const entry = sections.get(step.id)?.entries.find((one) => one.key === key);
      const { line, column } = entry === undefined ? step : { line: entry.line, column: entry.valueColumn };
      const message = `[${step.id}] ${key}: ${value} is that of [${owner.id}] already: ${exclusive}`;
      return [{ file, line, column, message, severity: compat ? 'warning' : 'error' }];
    }),
  );
}
