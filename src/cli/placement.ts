import type { Node, Plan } from '../pipeline/plan.ts';

/**
 * Spreads inputs over at most `workers` threads: for each thread, its plans by their index. Inputs that share an output stay
 * together, because what they share, such as an open file and the line in it that is not complete yet, lives in one thread.
 */
export function placePlans(plans: readonly Plan[], workers: number): number[][] {
  const threads: number[][] = [];
  for (const group of groupsOf(plans)) {
    if (threads.length < workers) threads.push(group);
    else threads.reduce((least, thread) => (thread.length < least.length ? thread : least)).push(...group);
  }
  return threads.map((thread) => thread.toSorted((a, b) => a - b));
}

/** Plans that share outputs, directly or by a third, in the order of their first. */
function groupsOf(plans: readonly Plan[]): number[][] {
  const groupOf = new Map<string, number[]>();
  for (const [index, plan] of plans.entries()) {
    const marks = plan.nodes.flatMap(marksOf);
    const joined = new Set(marks.flatMap((mark) => groupOf.get(mark) ?? []));
    const group = [...joined, index];
    const all = [
      ...marks,
      ...[...groupOf].filter(([, members]) => members.some((one) => joined.has(one))).map(([mark]) => mark),
    ];
    for (const mark of all) groupOf.set(mark, group);
    if (all.length === 0) groupOf.set(`no output ${index}`, group);
  }
  return [...new Set(groupOf.values())].toSorted((a, b) => Math.min(...a) - Math.min(...b));
}

/** What an output must not share with another thread: its name, and the file that it writes. */
function marksOf({ name, step }: Node): string[] {
  if (step.plugin.role !== 'output') return [];
  const { file } = step.options;
  return typeof file === 'string' ? [name, `file ${file}`] : [name];
}
