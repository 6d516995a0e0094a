import { resolve } from 'node:path';
import type { Problem } from '../config/problem.ts';
import type { Step } from '../pipeline/plan.ts';
import { type OptionPlaces, optionProblem } from './option-place.ts';

/**
 * Steps that want for themselves what another one has: the second would not start, or, of two threads, both would write to one
 * spool. `compat` warns where ulogd 2.0.8 runs the rest.
 */
export function exclusiveProblems(steps: readonly Step[], places: OptionPlaces, compat: boolean): Problem[] {
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
      const message = `${value} is that of [${owner.id}] already: ${exclusive}`;
      return [optionProblem(step, key, message, { ...places, severity: compat ? 'warning' : 'error' })];
    }),
  );
}
