import { ConfigError } from '../config/problem.ts';
import { ask } from '../control/client.ts';
import type { NamespaceArguments } from './arguments.ts';
import { socketOf } from './daemon-address.ts';
import type { Attached } from './namespace-stacks.ts';

/** `flowlogd netns`, `attach NAME`, `detach NAME`: 0 when it is done, 1 when the daemon refuses or does not answer. */
export async function netns(args: NamespaceArguments): Promise<number> {
  const { command, name, json } = args;
  try {
    const answer = await ask(socketOf(args), command, command === 'netns' ? {} : { name });
    if (json) process.stdout.write(`${JSON.stringify(answer)}\n`);
    else if (command === 'netns') process.stdout.write(table(answer as Attached[]));
    return 0;
  } catch (error) {
    process.stderr.write(`${error instanceof ConfigError ? '' : 'flowlogd: '}${(error as Error).message}\n`);
    return 1;
  }
}

function table(attached: readonly Attached[]): string {
  if (attached.length === 0) return 'No network namespace is watched at present.\n';
  const rows = attached
    .toSorted((a, b) => (a.netns < b.netns ? -1 : a.netns > b.netns ? 1 : 0))
    .map(({ netns: name, input, since, events, lost, failure }) => [
      name,
      input,
      since,
      String(events),
      String(lost),
      failure === undefined ? '' : `DOES NOT RUN: ${failure}`,
    ]);
  const lines = [['NETNS', 'INPUT', 'SINCE', 'EVENTS', 'LOST', ''], ...rows];
  const widths = lines[0]?.map((_, column) => Math.max(...lines.map((row) => (row[column] as string).length))) ?? [];
  return lines
    .map(
      (row) =>
        `${row
          .map((cell, i) => cell.padEnd(widths[i] as number))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('');
}
