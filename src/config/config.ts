import { readFileSync } from 'node:fs';
import { GLOBAL_OPTIONS, type GlobalValues, readGlobal } from './global.ts';
import { lex, type Section } from './lexer.ts';
import { nearest } from './nearest.ts';
import { NEUTRON_OPTIONS, type NeutronValues } from './neutron.ts';
import { resolveOptions } from './option.ts';
import { ConfigError, type Place, type Problem, sortProblems } from './problem.ts';
import { checkIds, parseStackLine, type StackLine } from './stack-line.ts';

/** A configuration file, read. What its sections mean is for the plugins of its stacks to say. */
export interface Config {
  readonly file: string;
  /** The text it was read from, to show lines of it. */
  readonly text: string;
  readonly global: GlobalValues;
  readonly neutron: NeutronValues;
  readonly stacks: readonly StackLine[];
  /** Every section but `[global]`, by name. */
  readonly sections: ReadonlyMap<string, Section>;
  /** All of them, in the order of the file; with an error among them the configuration cannot be run. */
  readonly problems: readonly Problem[];
}

/** Reads and parses a configuration file. Throws ConfigError when the file cannot be read, and for nothing else. */
export function loadConfig(file: string, knownPlugins: readonly string[]): Config {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    // Node ends the message with the system call and the path, which stands before it already.
    const why = (error as Error).message.split(',')[0];
    throw new ConfigError([{ file, line: 0, column: 0, message: `cannot be read: ${why}`, severity: 'error' }]);
  }
  return parseConfig(text, file, knownPlugins);
}

/** Parses a configuration. Never throws: look at `problems`. */
export function parseConfig(text: string, file: string, knownPlugins: readonly string[]): Config {
  const { sections, problems: found } = lex(text, file);
  const problems = [...found];
  const first: Place = { file, line: 1, column: 1 };
  const section = sections.get('global');
  const { values: global, problems: wrong } = section
    ? readGlobal(section, knownPlugins)
    : { values: defaults(first), problems: [missingGlobal(first, sections)] };
  problems.push(...wrong);

  const stacks: StackLine[] = [];
  for (const entry of global.stack) {
    const { stack, problems: wrongSteps } = parseStackLine(entry, knownPlugins);
    stacks.push(stack);
    problems.push(...wrongSteps);
  }
  problems.push(...checkIds(stacks, sections));
  if (section && stacks.length === 0) {
    const { line, column } = section;
    problems.push({
      file,
      line,
      column,
      message: '[global] has no stack= line: nothing would be logged',
      severity: 'error',
    });
  }

  const { values: neutron, problems: wrongNames } = resolveOptions(sections.get('neutron'), NEUTRON_OPTIONS, {
    at: { ...first, id: 'neutron' },
    compat: false,
  });
  problems.push(...wrongNames);
  const others = new Map(sections);
  others.delete('global');
  return { file, text, global, neutron, stacks, sections: others, problems: sortProblems(problems) };
}

const defaults = (place: Place): GlobalValues =>
  resolveOptions(undefined, GLOBAL_OPTIONS, { at: { ...place, id: 'global' }, compat: false }).values;

function missingGlobal(first: Place, sections: ReadonlyMap<string, Section>): Problem {
  const near = nearest('global', [...sections.keys()]);
  const place = (near === undefined ? undefined : sections.get(near)) ?? first;
  const message = `there is no section [global], which holds the stack= lines${near === undefined ? '' : `; this is [${near}]`}`;
  return { file: place.file, line: place.line, column: place.column, message, severity: 'error' };
}
