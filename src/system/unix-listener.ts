import { closeSync, constants, fstatSync, lstatSync, openSync, statSync, unlinkSync } from 'node:fs';
import { connect, type Server } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { lockFile } from './native.ts';

/** Milliseconds for which another process may be about to listen at the same path, and between two looks. */
const PATIENCE = 5000;
const LOOK = 10;

/**
 * Has the server listen on a unix socket of that mode. What a dead process left there is replaced. Rejects with a message
 * for the operator, also when another process listens there: of two that find the same leavings one gets the path.
 */
export async function listenUnix(server: Server, path: string, mode: number): Promise<void> {
  const unlock = await lock(path);
  try {
    await listen(server, path, mode).catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EADDRINUSE') throw error;
      await clear(path);
      await listen(server, path, mode);
    });
  } finally {
    unlock();
  }
}

function listen(server: Server, path: string, mode: number): Promise<void> {
  return new Promise((done, fail) => {
    server.once('error', fail);
    const mask = process.umask(0o777 & ~mode); // not even for a moment may others connect
    try {
      server.listen(path, () => {
        server.off('error', fail);
        done();
      });
    } finally {
      process.umask(mask);
    }
  });
}

/** Removes the socket of a process that is dead. Throws when it lives, or when it is no socket. */
async function clear(path: string): Promise<void> {
  if (!lstatSync(path).isSocket()) throw new Error(`${path} is there, and is no socket`);
  if (await isAnswered(path)) throw new Error(`another daemon listens at ${path}`);
  unlinkSync(path);
}

function isAnswered(path: string): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect(path);
    const end = (answered: boolean) => {
      socket.destroy();
      done(answered);
    };
    socket.once('connect', () => end(true));
    // Any other error is of one that lives: EAGAIN has as many clients waiting as it may.
    socket.once('error', ({ code }: NodeJS.ErrnoException) => end(code !== 'ECONNREFUSED'));
  });
}

/** Keeps other processes from the path until the function that it resolves with is called. */
async function lock(path: string): Promise<() => void> {
  const file = `${path}.lock`;
  const end = performance.now() + PATIENCE;
  for (;;) {
    const fd = openSync(file, constants.O_RDWR | constants.O_CREAT, 0o600);
    if (lockFile(fd) === 0 && isAt(fd, file)) {
      return () => {
        unlinkSync(file);
        closeSync(fd);
      };
    }
    closeSync(fd);
    if (performance.now() > end) throw new Error(`another process holds ${file}`);
    await sleep(LOOK);
  }
}

/** Whether the path leads to the open file: whoever held the lock before removes it. */
function isAt(fd: number, path: string): boolean {
  return fstatSync(fd).ino === statSync(path, { throwIfNoEntry: false })?.ino;
}
