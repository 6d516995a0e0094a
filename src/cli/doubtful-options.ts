import { type Stats, statSync } from 'node:fs';
import { isAbsolute, resolve } from 'node:path';
import type { Problem } from '../config/problem.ts';
import type { Step } from '../pipeline/plan.ts';
import { type OptionPlaces, optionProblem } from './option-place.ts';

/** How the file of an output is kept: two outputs that write one file have to agree. */
const KEEPING = ['rotate_size', 'rotate_age', 'keep', 'compress'];

/**
 * Options that can be read, but hardly mean what they say: together with others of the step, beside those of another step,
 * or as things are on this machine. The daemon starts all the same: other stacks have nothing to do with it.
 */
export function doubtfulOptions(steps: readonly Step[], places: OptionPlaces): Problem[] {
  const seen = new Set<string>();
  const writers = new Map<string, Step>();
  return steps.flatMap((step) => {
    const identity = `${step.id}:${step.plugin.name}:${step.plugin.role}`;
    if (seen.has(identity)) return [];
    seen.add(identity);
    const doubts = [
      ...(step.plugin.doubts?.(step.options) ?? []),
      ...pathDoubts(step),
      ...keepingDoubts(step, writers),
    ];
    return doubts.map(({ option, message }) =>
      optionProblem(step, option, message, { ...places, severity: 'warning' }),
    );
  });
}

/** One of them: what is wrong with which option. */
interface Doubt {
  readonly option: string;
  readonly message: string;
}

function pathDoubts({ plugin, options }: Step): Doubt[] {
  const namespace = options.network_namespace_path;
  const relative = typeof namespace === 'string' && namespace !== '' && !isAbsolute(namespace);
  const doubts = Object.entries(plugin.options).flatMap(([option, spec]): Doubt[] => {
    const path = options[option];
    if (spec.type !== 'string' || spec.path === undefined || typeof path !== 'string' || path === '') return [];
    const found = statsOf(path);
    if (spec.path === 'file' && found?.isDirectory()) return [{ option, message: `${path} is a folder, not a file` }];
    if (spec.path === 'folder' && found?.isFile()) return [{ option, message: `${path} is a file, not a folder` }];
    return [];
  });
  if (!relative) return doubts;
  const message = `${namespace} counts from the folder that the daemon is started in, and with -d from /: better /run/netns/NAME`;
  return [...doubts, { option: 'network_namespace_path', message }];
}

/** Undefined where nothing is, or nothing that this user may see. */
function statsOf(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch {
    return undefined;
  }
}

function keepingDoubts(step: Step, writers: Map<string, Step>): Doubt[] {
  const { plugin, options } = step;
  const { file, mode } = options;
  const isFile = plugin.role === 'output' && typeof file === 'string' && (mode === undefined || mode === 'file');
  if (!isFile || !KEEPING.every((key) => key in options)) return [];
  const path = resolve(file);
  const other = writers.get(path) ?? step;
  writers.set(path, other);
  const differs = KEEPING.filter((key) => options[key] !== other.options[key]);
  if (differs.length === 0) return [];
  const message = `${file} is written by [${other.id}], too, with another ${differs.join(', ')}: each puts it away as its own section says`;
  return [{ option: 'file', message }];
}
