// A peer that takes lines over TCP or a unix socket in a process of its own, so that it can be stopped and killed as a real one.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';

// Appends what it reads to a file at once: what is in the file, this peer has really got.
const TAKES = `
  const { createServer } = require('node:net'); const { appendFileSync, rmSync } = require('node:fs');
  const [where, file] = process.argv.slice(1);
  if (where.startsWith('/')) rmSync(where, { force: true });
  createServer((socket) => {
    socket.on('error', () => {});
    if (file) socket.on('data', (bytes) => appendFileSync(file, bytes));
  }).listen(where.startsWith('/') ? where : { port: Number(where), host: '127.0.0.1' }, () => console.log('listens'));`;

/** A peer that listens on a port of 127.0.0.1 or a unix socket; without a file it accepts and never reads. */
export class Peer {
  readonly #where: string;
  readonly #file: string;
  #process: ChildProcess | undefined;

  constructor(where: number | string, file = '') {
    this.#where = String(where);
    this.#file = file;
  }

  /** Resolves when it listens. */
  async start(): Promise<void> {
    const child = spawn(process.execPath, ['-e', TAKES, this.#where, this.#file], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#process = child;
    await once(child.stdout, 'data');
  }

  /** SIGKILL, and resolves when it is gone. */
  async kill(): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (!child || child.exitCode !== null) return;
    child.kill('SIGKILL');
    await once(child, 'exit');
  }

  /** What it has got over all its lives. */
  text(): string {
    return existsSync(this.#file) ? readFileSync(this.#file, 'latin1') : '';
  }
}

/** The numbers of lines that begin with one; a line that a kill cut in two is none. */
export function numbersOf(text: string): number[] {
  return text.split('\n').flatMap((line) => {
    const match = /^(\d+) x+$/.exec(line);
    return match ? [Number(match[1])] : [];
  });
}
