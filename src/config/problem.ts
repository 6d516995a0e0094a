import { withoutSecret } from './secret.ts';

/** A place in a configuration file. Line and column count from 1, columns in UTF-16 units; line 0 is the file as a whole. */
export interface Place {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** Something wrong (`error`: the daemon does not start) or doubtful (`warning`) in a configuration. */
export interface Problem extends Place {
  readonly message: string;
  readonly severity: 'error' | 'warning';
}

/** All problems of a configuration, thrown when it cannot be used. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: readonly Problem[];

  constructor(problems: readonly Problem[]) {
    super(problems.map((problem) => formatProblem(problem)).join('\n'));
    this.problems = problems;
  }
}

/**
 * One problem as compilers print it: `ulogd.conf:41:7: error: …`. With the text of the file, the line follows with a
 * caret under the place; where the line holds a secret, without its value.
 */
export function formatProblem(problem: Problem, text?: string): string {
  const { file, line, column, severity, message } = problem;
  const headline = `${line === 0 ? file : `${file}:${line}:${column}`}: ${severity}: ${message}`;
  const source = text === undefined ? undefined : withoutMark(text).split('\n')[line - 1];
  if (source === undefined) return headline;
  const shown = withoutSecret(source);
  if (shown !== source) return `${headline}\n  ${harmless(shown)}`;
  const indent = source.slice(0, column - 1).replace(/[^\t]/g, ' ');
  return `${headline}\n  ${harmless(source)}\n  ${indent}^`;
}

/** The text without its UTF-8 byte order mark, which editors on other systems leave and columns do not count. */
export function withoutMark(text: string): string {
  return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
}

/** Errors and warnings in the order of the file. */
export function sortProblems(problems: readonly Problem[]): Problem[] {
  return problems.toSorted((a, b) => a.line - b.line || a.column - b.column);
}

const LONGEST_QUOTE = 64;

/** Text from the file as it stands in a message: in quotes, and cut when it is long. */
export function quote(text: string): string {
  return `"${text.length > LONGEST_QUOTE ? `${text.slice(0, LONGEST_QUOTE)}…` : text}"`;
}

/** Control characters would reach the operator's terminal as commands. */
function harmless(line: string): string {
  return line.replace(/\r+$/, '').replace(/[\0-\x08\x0a-\x1f\x7f-\x9f]/g, '?');
}
