import { InputLedger } from './ledger.ts';
import type { LinkedStage, Source } from './link.ts';
import type { Plan } from './plan.ts';

/** Often enough for V8 to begin to note what it sees, too few for it to compile: that it does when events come. */
const ROUNDS = 40;

/**
 * Runs stacks that were not started over a few events that never were, so that V8 has seen all of their paths before it
 * compiles one. What it compiles under the first load it would else throw away with the first event of another kind, such
 * as the end of a connection after thousands of begins, and compile again: docs/performance.md has what that costs. Does
 * nothing where a trace could be left: files forget what was rendered before they were opened.
 */
export function rehearse({ plan, service, stages, program, counts }: Source): void {
  if (service.rehearse === undefined || !stages.every((stage) => leavesNoTrace(stage, plan))) return;
  for (let round = 0; round < ROUNDS; round++) service.rehearse();
  program.forget();
  Object.assign(counts, new InputLedger());
}

/** Filters that have nothing to start see each event alone. */
function leavesNoTrace({ role, service, step }: LinkedStage, { nodes }: Plan): boolean {
  if (role === 'filter') return service.start === undefined;
  const { file, mode } = nodes[step]?.step.options ?? {};
  return typeof file === 'string' && (mode === undefined || mode === 'file');
}
