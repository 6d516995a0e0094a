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
  const source = text === undefined ? undefined : linesOf(text)[line - 1];
  if (source === undefined) return headline;
  const shown = withoutSecret(source);
  if (shown !== source) return `${headline}\n  ${harmless(shown)}`;
  // Of a stack line as long as a book, the part around the place.
  const from = source.length > WIDEST ? Math.max(0, column - 1 - WIDEST / 2) : 0;
  const part = source.slice(from, from + WIDEST);
  const indent = part.slice(0, column - 1 - from).replace(/[^\t]/g, ' ');
  return `${headline}\n  ${harmless(part)}\n  ${indent}^`;
}

/** The text without its UTF-8 byte order mark, which editors on other systems leave and columns do not count. */
export function withoutMark(text: string): string {
  return text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
}

/** Lines of the text that was cut last: there may be thousands of problems in one file. */
let cut = { text: '', lines: [''] };

function linesOf(text: string): readonly string[] {
  if (text !== cut.text) cut = { text, lines: withoutMark(text).split('\n') };
  return cut.lines;
}

/** Errors and warnings in the order of the file. */
export function sortProblems(problems: readonly Problem[]): Problem[] {
  return problems.toSorted((a, b) => a.line - b.line || a.column - b.column);
}

const LONGEST_QUOTE = 64;
/** Columns of a line that are shown. */
const WIDEST = 200;

/** Text from the file as it stands in a message: in quotes, and cut when it is long. */
export function quote(text: string): string {
  return `"${text.length > LONGEST_QUOTE ? `${text.slice(0, LONGEST_QUOTE)}…` : text}"`;
}

/** Control characters would reach the operator's terminal as commands. */
function harmless(line: string): string {
  return line.replace(/\r+$/, '').replace(/[\0-\x08\x0a-\x1f\x7f-\x9f]/g, '?');
}
