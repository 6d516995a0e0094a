import { spawn } from 'node:child_process';
import { resolve } from 'node:path';
import type { RunArguments } from './arguments.ts';

/**
 * `-d`: starts the daemon in a session of its own, and ends when it runs (0) or could not start (its exit code, with what
 * it had to say). Unlike ulogd2, which answers 0 before it has read its configuration.
 */
export function runInBackground(args: RunArguments): Promise<number> {
  const program = process.argv[1] as string;
  const child = spawn(process.execPath, [...process.execArgv, program, ...inForeground(args)], {
    cwd: '/',
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  child.stderr?.pipe(process.stderr);
  return new Promise((done) => {
    child.once('exit', (code) => done(code ?? 1));
    child.once('message', () => {
      child.disconnect();
      child.stderr?.destroy();
      child.unref();
      done(0);
    });
  });
}

/** The command line again without `-d`. The daemon works in `/`, so paths are made absolute. */
function inForeground({ configFile, pidFile, user, logLevel, verbose }: RunArguments): string[] {
  return [
    `--configfile=${resolve(configFile)}`,
    ...(pidFile === undefined ? [] : [`--pidfile=${resolve(pidFile)}`]),
    ...(user === undefined ? [] : [`--uid=${user}`]),
    ...(logLevel === undefined ? [] : [`--loglevel=${logLevel}`]),
    ...(verbose ? ['--verbose'] : []),
  ];
}

/** Whether this is the background process: nobody hears what it says to stdout, nor to stderr once it runs. */
export const isInBackground = (): boolean => process.send !== undefined;

/** In the background process: tells the one that started it that everything runs. */
export function reportReady(): void {
  process.send?.('ready');
}
