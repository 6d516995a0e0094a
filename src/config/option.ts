import { afterValue, type Entry, ignoredText, type Section } from './lexer.ts';
import { suggestion } from './nearest.ts';
import { parseValue } from './option-value.ts';
import { type Place, type Problem, quote } from './problem.ts';
import type { Secret } from './secret.ts';

interface Described<Default> {
  readonly default: Default;
  /** One sentence for people. */
  readonly doc: string;
  /** The default is no answer: a configuration must give one, unless it gives that other option. */
  readonly required?: true | { readonly unless: string };
  /** No two steps may have the same value, and this is why. A text is a path. */
  readonly exclusive?: string;
}

/** A number as strtoul(…, 0) reads it: decimal, 0x and hexadecimal, 0 and octal. Range 0 to 2³²-1 unless stated. */
export interface IntOption extends Described<number> {
  readonly type: 'int';
  readonly min?: number;
  readonly max?: number;
  /** What is counted, in the plural. A number of `bytes` may end in k, M, G or T, one of `seconds` in m, h, d or w. */
  readonly unit?: string;
}

/** 0 or 1 (for ulogd any number but 0 is true), or yes, no, on, off, true, false. */
export interface BoolOption extends Described<boolean> {
  readonly type: 'bool';
}

/** Any text. */
export interface StringOption extends Described<string> {
  readonly type: 'string';
  /** What is wrong with a text, or undefined. */
  readonly check?: (text: string) => string | undefined;
  /** It names a file or folder that is written: empty only if its default is, and need not be given. */
  readonly path?: 'file' | 'folder';
}

/** A password or token: a literal, `env:NAME` or `file:/path`. It prints as `***` wherever it goes. */
export interface SecretOption extends Described<Secret> {
  readonly type: 'secret';
}

/** One of a few words, in any case. */
export interface ChoiceOption extends Described<string> {
  readonly type: 'choice';
  readonly choices: readonly string[];
  /** Words that one could expect, and why they are not among the choices. */
  readonly refused?: Readonly<Record<string, string>>;
}

/** Words between commas. */
export interface ListOption extends Described<readonly string[]> {
  readonly type: 'list';
  /** What is wrong with a word, or undefined. */
  readonly check?: (word: string) => string | undefined;
}

/** A key that stands in as many lines as one likes; the reader of the lines makes sense of them. */
export interface LinesOption extends Described<readonly Entry[]> {
  readonly type: 'lines';
}

export type OptionSpec = IntOption | BoolOption | StringOption | SecretOption | ChoiceOption | ListOption | LinesOption;

/** Options by key. */
export type OptionSpecs = Readonly<Record<string, OptionSpec>>;

/** The value of one option: what `type` says, and for a choice the union of its words. */
export type OptionValue<Spec> = Spec extends { readonly type: 'int' }
  ? number
  : Spec extends { readonly type: 'bool' }
    ? boolean
    : Spec extends { readonly type: 'string' }
      ? string
      : Spec extends { readonly type: 'secret' }
        ? Secret
        : Spec extends { readonly type: 'choice'; readonly choices: readonly (infer Choice)[] }
          ? Choice
          : Spec extends { readonly type: 'list' }
            ? readonly string[]
            : Spec extends { readonly type: 'lines' }
              ? readonly Entry[]
              : never;

/** The values of a plugin's options, by key: what `link` is given. */
export type OptionValues<Specs> = { readonly [Key in keyof Specs]: OptionValue<Specs[Key]> };

/** Who asks for the values of a section: a step of a stack, which has a place even when the section is missing. */
export interface Asker extends Place {
  /** Name of the section. */
  readonly id: string;
}

/** The values of all options of a section, and what was wrong with it. */
export interface Resolved<Specs> {
  /** Complete even when there are errors, so that what depends on them can be checked too. */
  readonly values: OptionValues<Specs>;
  readonly problems: Problem[];
}

/** What `resolveOptions` has to know besides. */
interface Circumstances {
  readonly at: Asker;
  /** Take what ulogd 2.0.8 took. */
  readonly compat: boolean;
  /** What to say of keys that are none, but that somebody may have from elsewhere. */
  readonly hints?: Readonly<Record<string, string>>;
}

/**
 * The values of a section, with defaults for what it does not say; a missing section is all defaults. `compat` takes
 * what ulogd 2.0.8 took, such as keys that it did not know, with warnings, not errors.
 */
export function resolveOptions<const Specs extends OptionSpecs>(
  section: Section | undefined,
  specs: Specs,
  { at, compat, hints = {} }: Circumstances,
): Resolved<Specs> {
  const problems: Problem[] = [];
  const given = new Map<string, Entry>();
  const values: Record<string, unknown> = {};
  for (const [key, spec] of Object.entries(specs)) values[key] = spec.type === 'lines' ? [] : spec.default;

  for (const entry of section?.entries ?? []) {
    const { file, line, key } = entry;
    const report = (column: number, message: string, severity: Problem['severity'] = 'error') =>
      problems.push({ file, line, column, message: `[${at.id}] ${key}: ${message}`, severity });

    const spec = Object.hasOwn(specs, key) ? specs[key] : undefined;
    if (!spec) {
      const hint = Object.hasOwn(hints, key) ? `; ${hints[key]}` : suggestion(key, Object.keys(specs));
      report(entry.column, `unknown option${hint}`, compat ? 'warning' : 'error');
      continue;
    }
    const first = given.get(key);
    if (spec.type === 'lines') {
      (values[key] as Entry[]).push(entry);
    } else if (first) {
      report(entry.column, `given twice, in line ${first.line} and in line ${line}`);
      continue;
    } else {
      const ignored = ignoredText(entry);
      if (ignored !== undefined) {
        const text = spec.type === 'secret' ? 'text' : quote(ignored);
        report(afterValue(entry), `${text} after the value is ignored: put a value with blanks in quotes`, 'warning');
      }
      const result = parseValue(spec, entry.value);
      if (result.ok) {
        values[key] = result.value;
        if (result.doubt !== undefined) report(entry.valueColumn, result.doubt, 'warning');
        if (result.lapse !== undefined) report(entry.valueColumn, result.lapse, compat ? 'warning' : 'error');
      } else report(entry.valueColumn, result.message);
    }
    given.set(key, entry);
  }

  for (const [key, spec] of Object.entries(specs)) {
    if (!spec.required || given.has(key)) continue;
    if (spec.required !== true && given.has(spec.required.unless)) continue;
    const { file, line, column } = section ?? at;
    const why = section ? 'required' : `required, but there is no section [${at.id}]`;
    problems.push({ file, line, column, message: `[${at.id}] ${key}: ${why}`, severity: 'error' });
  }
  return { values: values as OptionValues<Specs>, problems };
}
