import { type Place, type Problem, quote, withoutMark } from './problem.ts';
import { isSecretKey } from './secret.ts';

/** `key=value` in a section. */
export interface Entry extends Place {
  readonly key: string;
  readonly value: string;
  readonly quoted: boolean;
  /** Column of the value's first character, inside its quotes. */
  readonly valueColumn: number;
  /** What follows the value on its line, which nobody reads: a comment, or a mistake. */
  readonly rest: string;
}

/** `[name]` and the entries below it. The place is the name's. */
export interface Section extends Place {
  readonly name: string;
  readonly entries: readonly Entry[];
}

/** A configuration file cut into words, with what was wrong with it. */
export interface Lexed {
  /** Sections by name, in the order of the file. */
  readonly sections: ReadonlyMap<string, Section>;
  readonly problems: readonly Problem[];
}

// As in ulogd 2.0.8, `=` is nothing but a blank: `key = value`, `key value` and `key==value` are the same. Measured on
// the binary, as is everything else that looks strange here.
const AROUND_WORDS = ' =\t\r';
const AROUND_NAMES = ' \t\r[]';

interface Line {
  readonly file: string;
  readonly number: number;
  readonly text: string;
  readonly problems: Problem[];
}

interface Word {
  readonly text: string;
  readonly quoted: boolean;
  /** Index of the first character, and of the first one after the word and its closing quote. */
  readonly start: number;
  readonly end: number;
}

/** Cuts the text of an ulogd.conf into sections and entries. Never throws: what cannot be read becomes a problem. */
export function lex(text: string, file: string): Lexed {
  const problems: Problem[] = [];
  const sections = new Map<string, Section>();
  let entries: Entry[] | undefined;
  let outside = false;

  for (const [index, source] of withoutMark(text).split('\n').entries()) {
    const line: Line = { file, number: index + 1, text: source, problems };
    const start = skip(source, 0, AROUND_WORDS);
    if (start === source.length || source[start] === '#') continue;
    if (source[start] === '[') {
      entries = [];
      const section = readHeader(line, start, entries);
      const first = section && sections.get(section.name);
      if (first) {
        report(line, 'warning', start, `[${first.name}] is ignored: the section in line ${first.line} has that name`);
      } else if (section) {
        sections.set(section.name, section);
      }
    } else if (entries) {
      const entry = readEntry(line, start);
      if (entry) entries.push(entry);
    } else {
      // Once is enough: without its first header, a whole file is outside.
      if (!outside) report(line, 'error', start, 'text before the first section: a file begins with [global]');
      outside = true;
    }
  }
  return { sections, problems };
}

/** Text after a value that is no comment, so someone may have meant it to be read. */
export function ignoredText(entry: Entry): string | undefined {
  return entry.rest === '' || entry.rest.startsWith('#') ? undefined : entry.rest;
}

/** Column right after a value and its closing quote. */
export function afterValue(entry: Entry): number {
  return entry.valueColumn + entry.value.length + (entry.quoted ? 1 : 0);
}

function readHeader(line: Line, bracket: number, entries: readonly Entry[]): Section | undefined {
  const name = readWord(line, bracket, AROUND_NAMES);
  const close = line.text.indexOf(']', bracket);
  if (close < 0) report(line, 'error', bracket, 'the section has no closing ]');
  else if (!name || name.start > close) report(line, 'error', bracket, 'the section has no name');
  else if (line.text.slice(name.end, close).trim() !== '') {
    report(line, 'warning', name.start, `the section is ${quote(name.text)}: its name ends at the blank`);
  }
  return name && { file: line.file, line: line.number, column: name.start + 1, name: name.text, entries };
}

function readEntry(line: Line, start: number): Entry | undefined {
  const key = readWord(line, start, AROUND_WORDS);
  if (!key) return undefined;
  const valueStart = skip(line.text, key.end, AROUND_WORDS);
  if (valueStart === line.text.length) {
    // ulogd 2.0.8 takes a bare id for a header, and for the value it takes the key: 2.0.9 stopped the latter.
    const header = key.end === line.text.trimEnd().length ? `; a section is written [${key.text}]` : '';
    report(line, 'warning', key.start, `${quote(key.text)} has no value and is ignored${header}`);
    return undefined;
  }
  const value = readWord(line, valueStart, AROUND_WORDS);
  if (!value) return undefined;
  if (!value.quoted && value.text.startsWith('#') && valueStart > key.end + 1) {
    const what = isSecretKey(key.text) ? 'this' : quote(value.text);
    report(line, 'warning', value.start, `${what} is read as the value, not as a comment`);
  }
  return {
    file: line.file,
    line: line.number,
    column: key.start + 1,
    key: key.text,
    value: value.text,
    quoted: value.quoted,
    valueColumn: value.start + 1,
    rest: line.text.slice(value.end).trim(),
  };
}

/** The next word, quoted or not; there are no escapes in quotes. Undefined, with the problem reported, when it is broken. */
function readWord(line: Line, from: number, separators: string): Word | undefined {
  const source = line.text;
  const at = skip(source, from, separators);
  if (at === source.length) return undefined;
  const quoted = source[at] === '"';
  const start = quoted ? at + 1 : at;
  const end = quoted ? source.indexOf('"', start) : until(source, start, separators);
  if (end < 0) {
    report(line, 'error', at, 'the quote is not closed on its line');
    return undefined;
  }
  const text = source.slice(start, end);
  // A decoder has put U+FFFD where the file was not UTF-8: half a password is worse than none.
  const bad = text.search(/[\0-\x08\x0a-\x1f\x7f-\x9f\ufffd]/);
  if (bad >= 0) {
    const code = text.charCodeAt(bad);
    const what =
      code === 0xfffd ? 'text that is not UTF-8' : `control character 0x${code.toString(16).padStart(2, '0')}`;
    report(line, 'error', start + bad, what);
    return undefined;
  }
  return { text, quoted, start, end: quoted ? end + 1 : end };
}

function report(line: Line, severity: Problem['severity'], at: number, message: string): void {
  line.problems.push({ file: line.file, line: line.number, column: at + 1, message, severity });
}

function skip(source: string, from: number, separators: string): number {
  let at = from;
  while (at < source.length && separators.includes(source[at]!)) at++;
  return at;
}

function until(source: string, from: number, separators: string): number {
  let at = from;
  while (at < source.length && !separators.includes(source[at]!)) at++;
  return at;
}
