import { afterValue, type Entry, ignoredText } from './lexer.ts';
import { unknownPlugin } from './plugin-name.ts';
import { type Place, type Problem, quote } from './problem.ts';

/** `id:PLUGIN` in a stack line. The place is the id's. */
export interface StackStep extends Place {
  readonly id: string;
  readonly plugin: string;
}

/** A stack as its line has it. */
export interface StackLine extends Place {
  readonly text: string;
  /** What could be read of it. */
  readonly steps: readonly StackStep[];
  /** False when a word is missing from `steps` because it has an error: the stack cannot be linked. */
  readonly complete: boolean;
}

/** Reads `id:PLUGIN,id:PLUGIN,…` from a `stack=` entry. Plugin names are matched exactly, as in ulogd. */
export function parseStackLine(entry: Entry, known: readonly string[]): { stack: StackLine; problems: Problem[] } {
  const { file, line, value } = entry;
  const problems: Problem[] = [];
  const report = (column: number, message: string, severity: Problem['severity'] = 'error') =>
    problems.push({ file, line, column, message: `stack: ${message}`, severity });

  const words = value.split(',');
  const rest = ignoredText(entry);
  if (rest !== undefined) {
    const end = afterValue(entry);
    if (/[,:]$/.test(value) || /^[,:]/.test(rest)) {
      report(end, `a stack has no blanks: the value ends here, and ${quote(rest)} is not read`);
      if (words.at(-1) === '') words.pop();
    } else {
      report(end, `${quote(rest)} after the stack is ignored`, 'warning');
    }
  }

  const steps: StackStep[] = [];
  let column = entry.valueColumn;
  for (const word of words) {
    const colon = word.indexOf(':');
    const id = word.slice(0, colon);
    const plugin = word.slice(colon + 1);
    if (word.trim() === '') report(column, 'a step is empty: a stack is written id:PLUGIN,id:PLUGIN');
    else if (/\s/.test(word)) report(column + word.search(/\s/), 'a stack has no blanks');
    else if (colon < 0) report(column, `${quote(word)} has no colon: a step is written id:PLUGIN`);
    else if (id === '') report(column, `${quote(word)} has no id before the colon: a step is written id:PLUGIN`);
    else if (plugin === '') report(column, `${quote(word)} has no plugin after the colon: a step is written id:PLUGIN`);
    else if (!known.includes(plugin)) report(column + colon + 1, unknownPlugin(plugin, known));
    else steps.push({ file, line, column, id, plugin });
    column += word.length + 1;
  }
  const complete = !problems.some((problem) => problem.severity === 'error');
  return { stack: { file, line, column: entry.valueColumn, text: value, steps, complete }, problems };
}

/**
 * Warns of an id that stands for two plugins when it has a section: both read it, which is seldom meant. Without one
 * it is common: Debian's file has print1:PRINTPKT in one stack and print1:PRINTFLOW in another.
 */
export function checkIds(stacks: readonly StackLine[], sections: ReadonlyMap<string, unknown>): Problem[] {
  const problems: Problem[] = [];
  const first = new Map<string, StackStep>();
  for (const step of stacks.flatMap((stack) => stack.steps)) {
    const { file, line, column, id, plugin } = step;
    const other = first.get(id);
    if (!other) first.set(id, step);
    else if (other.plugin !== plugin && sections.has(id)) {
      const message = `stack: ${id} is ${plugin} here and ${other.plugin} in line ${other.line}: both read the section [${id}]`;
      problems.push({ file, line, column, message, severity: 'warning' });
    }
  }
  return problems;
}
