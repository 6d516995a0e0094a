import type { Section } from '../config/lexer.ts';
import type { Problem } from '../config/problem.ts';
import type { Step } from '../pipeline/plan.ts';

/** A problem of one option of a step, where its value stands, or, if it has its default, where the step stands. */
export function optionProblem(
  { id, line, column }: Step,
  key: string,
  message: string,
  { sections, file, severity }: OptionPlaces & Pick<Problem, 'severity'>,
): Problem {
  const entry = sections.get(id)?.entries.find((one) => one.key === key);
  const place = entry === undefined ? { line, column } : { line: entry.line, column: entry.valueColumn };
  return { file, ...place, message: `[${id}] ${key}: ${message}`, severity };
}

/** Where the options of a file stand. */
export interface OptionPlaces {
  readonly sections: ReadonlyMap<string, Section>;
  readonly file: string;
}
