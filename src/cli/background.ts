import { spawn } from 'node:child_process';

/**
 * `-d`: starts the daemon in a session of its own, and ends when it runs (0) or could not start (its exit code, with what
 * it had to say). Unlike ulogd2, which answers 0 before it has read its configuration.
 */
export function runInBackground(): Promise<number> {
  const args = process.argv
    .slice(1)
    .filter((word) => word !== '-d' && word !== '--daemon')
    .map(withoutD);
  const child = spawn(process.execPath, [...process.execArgv, ...args], {
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  });
  child.stderr?.pipe(process.stderr);
  return new Promise((resolve) => {
    child.once('exit', (code) => resolve(code ?? 1));
    child.once('message', () => {
      child.disconnect();
      child.stderr?.destroy();
      child.unref();
      resolve(0);
    });
  });
}

/** `-dv` is `-d -v`. */
const withoutD = (word: string): string => (/^-[dv]{2,}$/.test(word) ? word.replaceAll('d', '') : word);

/** In the background process: tells the one that started it that everything runs. */
export function reportReady(): void {
  process.send?.('ready');
  process.chdir('/');
}
