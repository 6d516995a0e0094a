import { writeFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { ConfigError, formatProblem } from '../config/problem.ts';
import type { Plan } from '../pipeline/plan.ts';
import type { Capability } from '../system/capabilities.ts';
import { endStart, tuneEngine } from '../system/engine.ts';
import { type DaemonLog, openLog } from '../system/log.ts';
import { lockPidFile, type PidFile } from '../system/pid-file.ts';
import { notifyServiceManager } from '../system/service-manager.ts';
import { lookUpUser } from '../system/user.ts';
import type { RunArguments } from './arguments.ts';
import { isInBackground, reportReady, runInBackground } from './background.ts';
import { Control } from './control.ts';
import { type Crew, SoloCrew } from './crew.ts';
import type { Daemon } from './daemon-status.ts';
import { hasErrors, type Loaded, load } from './load.ts';
import { openMetrics } from './metrics.ts';
import { followedNames } from './namespace-steps.ts';
import { placePlans } from './placement.ts';
import { Reloader } from './reload.ts';
import { WorkerCrew } from './worker-crew.ts';

/** Runs the daemon until it is told to end; returns its exit code. */
export async function run(args: RunArguments): Promise<number> {
  // The name that ps, top and pgrep show. process.title would overwrite the command line, at which tools look, too.
  writeFileSync('/proc/self/comm', 'flowlogd');
  tuneEngine();
  if (args.daemon) return runInBackground(args);
  // Whoever read our stderr may go: what is said there then is lost, and no reason to end.
  process.stderr.on('error', () => {});
  const configFile = resolve(args.configFile);
  const loaded = await loadOrReport(configFile);
  if (!loaded) return 1;
  const { global } = loaded.config;
  const logfile = logfileOf(loaded);
  let log: DaemonLog;
  try {
    log = openLog(logfile, args.logLevel ?? global.loglevel, args.verbose);
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
    if (logfile !== '') process.stderr.write(`flowlogd: ${(error as Error).message}\n`);
    return 1;
  } finally {
    pidFile?.remove();
  }
}

/** Where the log goes: in the background to syslog, where the configuration says nothing or a terminal that we leave. */
function logfileOf({ config: { file, global } }: Loaded): string {
  if (!isInBackground() || (global.logfile !== '' && global.logfile !== 'stdout')) return global.logfile;
  process.stderr.write(`flowlogd: ${file} names no logfile: in the background the log goes to syslog\n`);
  return 'syslog';
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

async function serve(loaded: Loaded, log: DaemonLog, user: string | undefined): Promise<number> {
  const identity = user === undefined ? undefined : lookUpUser(user);
  const { config } = loaded;
  const crew = assemble(loaded, log);
  const reloader = new Reloader(loaded, crew, log);
  const daemon: Daemon = {
    config,
    crew,
    reloader,
    started: Date.now(),
    startedAt: performance.now(),
    state: 'starting',
  };
  const control = new Control(daemon, identity, log);
  const ended = untilSignal(crew, reloader, control, log);
  await control.open();
  const metrics = await openMetrics(daemon, conntrackNamespaces(loaded.plans), log);
  try {
    const running = await crew.run(loaded);
    if (running === 0) throw new Error('not a single stack could be started');
    if (identity !== undefined) await crew.become(identity, capabilitiesFor(loaded.plans));
    const all = `${config.stacks.length} ${config.stacks.length === 1 ? 'stack' : 'stacks'} of ${config.file}`;
    log.notice(`flowlogd runs ${running < config.stacks.length ? `${running} of ` : ''}${all}`);
    endStart();
    daemon.state = 'running';
    notifyServiceManager('READY=1');
    reportReady();
    const signal = await Promise.race([ended, crew.broken]);
    daemon.state = 'stopping';
    log.notice(`${signal}: reading what is left, then ending`);
    notifyServiceManager('STOPPING=1');
  } finally {
    // Also after a failure: an open socket would keep the process alive.
    await crew.stop();
    await control.close();
    await metrics.close();
  }
  for (const line of await crew.summary()) log.notice(line);
  return 0;
}

/** What is still needed when everything is open: namespaces that come later take the right to go there. */
function capabilitiesFor(plans: readonly Plan[]): Capability[] {
  const follows = plans.some(({ input: { step } }) => followedNames(step) !== undefined);
  return follows ? ['CAP_NET_ADMIN', 'CAP_SYS_ADMIN'] : ['CAP_NET_ADMIN'];
}

/** The namespaces whose connections are read; empty for our own. */
const conntrackNamespaces = (plans: readonly Plan[]): string[] =>
  plans.flatMap(({ input: { step } }) =>
    step.plugin.name === 'NFCT' && followedNames(step) === undefined
      ? [String(step.options.network_namespace_path)]
      : [],
  );

/** Threads of their own for inputs that share nothing, as many as there may be; otherwise this one does it all. */
function assemble({ config, plans }: Loaded, log: DaemonLog): Crew {
  const { workers } = config.global;
  if (placePlans(plans, workers).length > 1) return new WorkerCrew(config, log);
  if (workers > 1)
    log.notice(`workers=${workers}: the inputs share their outputs, or there is only one: no thread is started`);
  return new SoloCrew(config, log);
}

/** Obeys SIGHUP, SIGUSR1 and SIGUSR2 as they come, and resolves with the name of the signal that ends the daemon. */
function untilSignal(crew: Crew, reloader: Reloader, control: Control, log: DaemonLog): Promise<NodeJS.Signals> {
  process.on('SIGHUP', async () => {
    try {
      log.reopen();
    } catch (error) {
      const message = `cannot open the log again: ${(error as Error).message}`;
      log.error(message); // to the file that is still open
      process.stderr.write(`flowlogd: ${message}\n`);
    }
    await crew.reopen();
    await control.open();
    log.notice('SIGHUP: files are opened again');
    if (reloader.isWanted) await reloader.reload().catch((error: Error) => log.error(error.message));
  });
  process.on('SIGUSR1', async () => {
    for (const line of await crew.summary()) log.notice(line);
  });
  process.on('SIGUSR2', () => crew.signal());
  let ending = false;
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.on(signal, () => {
        // Who asks twice may not know that what is left takes a moment: to die of it would lose that, uncounted.
        if (ending) log.notice(`${signal}: it is ending already; SIGKILL ends it at once, and loses what is left`);
        ending = true;
        resolve(signal);
      });
    }
  });
}
