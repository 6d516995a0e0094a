import type { Problem } from '../config/problem.ts';
import { namespaceKeys, PLACEHOLDER } from '../pipeline/namespace.ts';
import type { Step } from '../pipeline/plan.ts';

/** Whether an option of this input names network namespaces. */
export const namesNamespaces = ({
  network_namespaces: names,
  network_namespace_path: path,
}: Step['options']): boolean =>
  (typeof names === 'string' && names.trim() !== '') || (typeof path === 'string' && path !== '');

/** The pattern of an input that follows namespaces as they come and go; undefined for any other. */
export function followedNames({ options: { network_namespaces: names } }: Step): string | undefined {
  return typeof names === 'string' && names.trim() !== '' ? names : undefined;
}

/** What a stack says about namespaces that cannot be. */
export function namespaceProblems(steps: readonly Step[], file: string): Problem[] {
  const [input] = steps;
  if (input === undefined) return [];
  const report = ({ line, column }: Step, message: string): Problem => ({
    file,
    line,
    column,
    message,
    severity: 'error',
  });
  const { network_namespace_path: path } = input.options;
  const both = followedNames(input) !== undefined && typeof path === 'string' && path !== '';
  const problems = both
    ? [report(input, `[${input.id}] network_namespaces and network_namespace_path exclude each other`)]
    : [];
  return [...problems, ...steps.flatMap((step) => placeholderProblems(step, input).map((text) => report(step, text)))];
}

function placeholderProblems(step: Step, input: Step): string[] {
  const { file } = step.options;
  if (step.plugin.role !== 'output' || typeof file !== 'string') return [];
  const keys = [...file.matchAll(PLACEHOLDER)].map(([, key]) => key as string);
  if (keys.length === 0) return [];
  const known = Object.keys(namespaceKeys);
  const stranger = keys.find((key) => !known.includes(key));
  if (stranger !== undefined)
    return [`[${step.id}] file: %{${stranger}} is none of ${known.map((key) => `%{${key}}`).join(', ')}`];
  if (namesNamespaces(input.options)) return [];
  return [`[${step.id}] file: %{${keys[0]}} needs an input with network_namespaces, and ${input.id} has none`];
}
