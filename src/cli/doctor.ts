import { createInterface } from 'node:readline';
import { ConfigError } from '../config/problem.ts';
import type { Remedy, Severity } from '../doctor/check.ts';
import { checks, examine, type Report } from '../doctor/index.ts';
import { Site } from '../doctor/site.ts';
import { lookUpUser } from '../system/user.ts';
import type { DoctorArguments } from './arguments.ts';
import { hasErrors, load } from './load.ts';

const COLOURS: Readonly<Record<Severity, number>> = { error: 31, warning: 33, note: 36, unknown: 35 };

/**
 * `flowlogd doctor`: prints what the log suffers from and what mends it. Returns 0 when that is nothing, 1 for errors and
 * warnings, 2 when it could not look.
 */
export async function doctor(args: DoctorArguments): Promise<number> {
  if (args.fix && !args.yes && !process.stdin.isTTY) {
    return refuse('--fix asks before each command, and there is no terminal: add --yes, or run the commands yourself');
  }
  let site: Site;
  try {
    site = await siteOf(args);
  } catch (error) {
    return refuse((error as Error).message);
  }
  const reports = examine(site);
  if (args.json) {
    print(JSON.stringify({ findings: reports.map(plain) }, undefined, 2));
    return exitCode(reports);
  }
  for (const report of reports) print(describe(report));
  print(summary(reports));
  if (!args.fix || !(await mend(reports, args.yes))) return exitCode(reports);
  const left = examine(site);
  print(`now ${summary(left)}`);
  return exitCode(left);
}

async function siteOf({ configFile, user }: DoctorArguments): Promise<Site> {
  const identity = user === undefined ? undefined : lookUpUser(user);
  if (configFile === undefined) return new Site(undefined, identity);
  const loaded = await load(configFile);
  if (hasErrors(loaded.problems)) throw new ConfigError(loaded.problems.filter(({ severity }) => severity === 'error'));
  return new Site(loaded, identity);
}

function refuse(message: string): number {
  process.stderr.write(`flowlogd: ${message}\n`);
  return 2;
}

function exitCode(reports: readonly Report[]): number {
  if (reports.some(({ severity }) => severity === 'error' || severity === 'warning')) return 1;
  return reports.some(({ severity }) => severity === 'unknown') ? 2 : 0;
}

function describe({ severity, check, view, message, remedy }: Report): string {
  const where = view?.path === undefined ? '' : ` ${view.path}:`;
  const lines = [`${check}:${where} ${message}`];
  if (remedy) lines.push(`    ${shell(remedy.command)}`);
  if (remedy?.keep) lines.push(`    # ${remedy.keep}`);
  return `${coloured(severity)} ${lines.map(harmless).join('\n')}`;
}

function summary(reports: readonly Report[]): string {
  if (reports.length === 0) return `${checks.length} checks, nothing to say`;
  const counts = (['error', 'warning', 'note', 'unknown'] as const).flatMap((severity) => {
    const count = reports.filter((report) => report.severity === severity).length;
    return count === 0 ? [] : [`${count} ${severity}${count === 1 || severity === 'unknown' ? '' : 's'}`];
  });
  return `${checks.length} checks: ${counts.join(', ')}`;
}

/** Runs the sysctls of the findings, those that are wanted, and says what they changed; false if none was run. */
async function mend(reports: readonly Report[], yes: boolean): Promise<boolean> {
  const remedies = reports.flatMap(({ remedy }) => (remedy?.sysctl ? [remedy] : []));
  if (remedies.length === 0) print('nothing of it is a setting that --fix could change');
  const terminal = yes ? undefined : createInterface({ input: process.stdin });
  const answers = terminal?.[Symbol.asyncIterator]();
  let mended = false;
  for (const remedy of remedies) {
    process.stdout.write(`${harmless(shell(remedy.command))}\n${answers ? '    run it? [y/N] ' : ''}`);
    // The end of the input is no consent.
    const answer = answers ? ((await answers.next()).value ?? 'n') : 'y';
    if (/^y(es)?$/i.test(answer.trim())) mended = apply(remedy) || mended;
  }
  terminal?.close();
  return mended;
}

function apply({ sysctl }: Remedy): boolean {
  if (sysctl === undefined) return false;
  const { view, name, value } = sysctl;
  const where = view.path === undefined ? '' : `${view.path}: `;
  const before = view.sysctl(name);
  try {
    view.run('sysctl', '-w', `${name}=${value}`);
  } catch (error) {
    print(harmless(`${where}${(error as Error).message}`));
    return false;
  }
  print(harmless(`${where}${name} was ${before} and is ${view.sysctl(name)}`));
  return true;
}

/** A finding as JSON has it. */
function plain({ check, severity, view, message, remedy }: Report) {
  return {
    check,
    severity,
    ...(view?.path === undefined ? {} : { namespace: view.path }),
    message,
    ...(remedy ? { command: shell(remedy.command) } : {}),
    ...(remedy?.keep ? { keep: remedy.keep } : {}),
  };
}

/** Words as a shell takes them. */
const shell = (words: readonly string[]): string =>
  words.map((word) => (/^[\w@%+=:,./…-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`)).join(' ');

const coloured = (severity: Severity): string =>
  process.stdout.isTTY && !process.env.NO_COLOR ? `\x1b[${COLOURS[severity]}m${severity}\x1b[0m` : severity;

/** Names of processes and chains are anybody's: they must not command the terminal. */
function harmless(line: string): string {
  return line.replace(/[\0-\x1f\x7f-\x9f]/g, '?');
}

const print = (line: string): boolean => process.stdout.write(`${line}\n`);
