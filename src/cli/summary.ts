import type { LinkedStage, Source } from '../pipeline/link.ts';

/** The counters of every input and of what hangs on it, a line each. */
export function summary(sources: readonly Source[]): string[] {
  return sources.flatMap((source) => [
    `${source.name}: ${source.counts.received} events received`,
    ...source.stages.filter(({ role }) => role === 'output').map((output) => `  ${outputLine(source, output)}`),
  ]);
}

function outputLine({ stages, program, counts }: Source, output: LinkedStage): string {
  const parts: string[] = [];
  let written = counts.received;
  for (let at: LinkedStage | undefined = output; at; at = at.parent === undefined ? undefined : stages[at.parent]) {
    const stopped = program.stopped[at.step] as number;
    const failed = program.failed[at.step] as number;
    written -= stopped + failed;
    if (stopped > 0) parts.unshift(`${stopped} stopped by ${at.name}`);
    if (failed > 0) parts.unshift(`${failed} failed in ${at.name}`);
  }
  return [`${output.name}: ${written} written`, ...parts].join(', ');
}
