import { ConfigError, formatProblem } from '../config/problem.ts';
import { hasErrors, load } from './load.ts';

/** `flowlogd check FILE`: prints every problem with its line; 1 if one of them is an error. */
export async function check(file: string): Promise<number> {
  try {
    const { config, plans, problems } = await load(file);
    for (const problem of problems) process.stdout.write(`${formatProblem(problem, config.text)}\n`);
    const errors = problems.filter((problem) => problem.severity === 'error').length;
    const warnings = problems.length - errors;
    const counts = `${plural(errors, 'error')}, ${plural(warnings, 'warning')}`;
    process.stdout.write(
      `${file}: ${plural(config.stacks.length, 'stack')} on ${plural(plans.length, 'input')}, ${counts}\n`,
    );
    return hasErrors(problems) ? 1 : 0;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stdout.write(`${error.message}\n`);
    return 1;
  }
}

const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;
