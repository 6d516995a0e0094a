// A peer that takes lines over TCP or a unix socket in a process of its own, so that it can be stopped and killed as a real one.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';

// Appends what it reads to a file at once: what is in the file, this peer has really got.
const TAKES = `
  const { createServer } = require('node:net'); const { appendFileSync, rmSync } = require('node:fs');
  const [where, file] = process.argv.slice(1);
  if (where.startsWith('/')) rmSync(where, { force: true });
  createServer((socket) => {
    socket.on('error', () => {});
    if (file) socket.on('data', (bytes) => appendFileSync(file, bytes));
  }).listen(where.startsWith('/') ? where : { port: Number(where), host: '127.0.0.1' }, () => console.log('listens'));`;

const running = new Set<Peer>();

/** Kills the peers that a test that failed has left running: for `afterEach`. One that is left keeps the test run from ending. */
export async function killPeers(): Promise<void> {
  await Promise.all([...running].map((peer) => peer.kill()));
}

/** A peer that listens on a port of 127.0.0.1 or a unix socket; without a file it accepts and never reads. */
export class Peer {
  readonly #where: string;
  readonly #file: string;
  #process: ChildProcess | undefined;
  #ended: Promise<unknown> = Promise.resolve();

  constructor(where: number | string, file = '') {
    this.#where = String(where);
    this.#file = file;
  }

  /** Resolves when it listens; fails when it ends instead. A sender may have connected by then. */
  async start(): Promise<void> {
    const child = spawn(process.execPath, ['-e', TAKES, this.#where, this.#file], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#process = child;
    this.#ended = once(child, 'exit');
    running.add(this);
    const ended = this.#ended.then(() => {
      throw new Error(`the peer on ${this.#where} ended before it listened`);
    });
    await Promise.race([once(child.stdout, 'data'), ended]);
  }

  /** SIGKILL, and resolves when it is gone. */
  async kill(): Promise<void> {
    this.#process?.kill('SIGKILL');
    await this.#ended;
    running.delete(this);
  }

  /** What it has got over all its lives. */
  text(): string {
    return existsSync(this.#file) ? readFileSync(this.#file, 'latin1') : '';
  }
}

/** A port of 127.0.0.1 on which nobody listens. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await new Promise((done) => server.close(done));
  return port;
}

/**
 * The numbers of lines that begin with one and are so long; a line that a kill cut in two is none, also when the cut went
 * through its number and the next line came behind it.
 */
export function numbersOf(text: string, length: number): number[] {
  return text.split('\n').flatMap((line) => {
    const match = line.length === length && /^(\d+) x+$/.exec(line);
    return match ? [Number(match[1])] : [];
  });
}
