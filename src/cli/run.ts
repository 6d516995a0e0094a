import { resolve } from 'node:path';
import { ConfigError, formatProblem } from '../config/problem.ts';
import { type Environment, linkSource } from '../pipeline/link.ts';
import { Memory } from '../pipeline/memory.ts';
import { Runner } from '../pipeline/runner.ts';
import { Clock } from '../system/clock.ts';
import { type DaemonLog, openLog } from '../system/log.ts';
import { lockPidFile, type PidFile } from '../system/pid-file.ts';
import { notifyServiceManager } from '../system/service-manager.ts';
import { become, lookUpUser } from '../system/user.ts';
import type { RunArguments } from './arguments.ts';
import { reportReady, runInBackground } from './background.ts';
import { hasErrors, type Loaded, load } from './load.ts';
import { summary } from './summary.ts';

/** Runs the daemon until it is told to end; returns its exit code. */
export async function run(args: RunArguments): Promise<number> {
  if (args.daemon) return runInBackground(args);
  // Whoever read our stderr may go: what is said there then is lost, and no reason to end.
  process.stderr.on('error', () => {});
  const configFile = resolve(args.configFile);
  const loaded = await loadOrReport(configFile);
  if (!loaded) return 1;
  const { global } = loaded.config;
  let log: DaemonLog;
  try {
    log = openLog(global.logfile, args.logLevel ?? global.loglevel, args.verbose);
  } catch (error) {
    process.stderr.write(`flowlogd: cannot open the log: ${(error as Error).message}\n`);
    return 2;
  }
  let pidFile: PidFile | undefined;
  try {
    if (args.pidFile !== undefined) pidFile = lockPidFile(args.pidFile);
    return await serve(loaded, log, args.user);
  } catch (error) {
    log.fatal((error as Error).message);
    if (global.logfile !== '') process.stderr.write(`flowlogd: ${(error as Error).message}\n`);
    return 1;
  } finally {
    pidFile?.remove();
  }
}

async function loadOrReport(configFile: string): Promise<Loaded | undefined> {
  try {
    const loaded = await load(configFile);
    for (const problem of loaded.problems) process.stderr.write(`${formatProblem(problem, loaded.config.text)}\n`);
    if (!hasErrors(loaded.problems)) return loaded;
    process.stderr.write('flowlogd: the configuration has errors; nothing was started\n');
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    process.stderr.write(`${error.message}\n`);
  }
  return undefined;
}

async function serve({ config, plans }: Loaded, log: DaemonLog, user: string | undefined): Promise<number> {
  const identity = user === undefined ? undefined : lookUpUser(user);
  const environment: Environment = {
    memory: new Memory(),
    log,
    clock: new Clock(),
    compat: config.global.compat !== '',
    shared: new Map(),
  };
  const runner = new Runner(
    plans.map((plan) => linkSource(plan, environment)),
    log,
  );
  const ended = untilSignal(runner, log);
  try {
    if ((await runner.start()) === 0) throw new Error('not a single stack could be started');
    if (identity !== undefined) become(identity);
    log.notice(`flowlogd runs ${config.stacks.length} stacks of ${config.file}`);
    notifyServiceManager('READY=1');
    reportReady();
    const signal = await ended;
    log.notice(`${signal}: reading what is left, then ending`);
    notifyServiceManager('STOPPING=1');
  } finally {
    // Also after a failure: an open socket would keep the process alive.
    await runner.stop();
  }
  for (const line of summary(runner.sources)) log.notice(line);
  return 0;
}

/** Obeys SIGHUP and SIGUSR2 as they come, and resolves with the name of the signal that ends the daemon. */
function untilSignal(runner: Runner, log: DaemonLog): Promise<NodeJS.Signals> {
  process.on('SIGHUP', () => {
    try {
      log.reopen();
    } catch (error) {
      const message = `cannot open the log again: ${(error as Error).message}`;
      log.error(message); // to the file that is still open
      process.stderr.write(`flowlogd: ${message}\n`);
    }
    runner.reopen();
    log.notice('SIGHUP: files are opened again');
  });
  process.on('SIGUSR1', () => {
    for (const line of summary(runner.sources)) log.notice(line);
  });
  process.on('SIGUSR2', () => runner.signal());
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => resolve(signal));
  });
}
