import { chmodSync, chownSync, lstatSync, mkdirSync, rmdirSync, unlinkSync } from 'node:fs';
import { connect, type Server } from 'node:net';
import { dirname } from 'node:path';
import type { Identity } from '../system/user.ts';

/** Whoever is in the group may ask, and nobody else. */
const SOCKET_MODE = 0o660;
const FOLDER_MODE = 0o750;

/** A unix socket with a name in the file system, on which a server listens. */
export interface SocketFile {
  /** Removes the folder, if it was made for the socket; the socket itself goes with its server. */
  remove(): void;
}

/**
 * Has the server listen at `path`, in a folder that is made if only it is missing, for `owner` if we will become one. What a
 * dead daemon left there is replaced. Rejects with a message for the operator, also when another daemon listens there.
 */
export async function listenAt(server: Server, path: string, owner: Identity | undefined): Promise<SocketFile> {
  const folder = dirname(path);
  const made = makeFolder(folder, owner);
  try {
    await listen(server, path).catch(async (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EADDRINUSE') throw error;
      await clear(path);
      await listen(server, path);
    });
    chmodSync(path, SOCKET_MODE);
    if (owner !== undefined) chownSync(path, owner.user, owner.group);
  } catch (error) {
    if (made) removeFolder(folder);
    throw error;
  }
  return { remove: () => made && removeFolder(folder) };
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((done, fail) => {
    server.once('error', fail);
    const mask = process.umask(0o777 & ~SOCKET_MODE); // not even for a moment may others connect
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

/** Removes the socket of a daemon that is dead. Throws when it lives, or when it is no socket. */
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
    // EAGAIN: it has as many clients waiting as it may, so it is alive.
    socket.once('error', (error: NodeJS.ErrnoException) => end(error.code === 'EAGAIN'));
  });
}

function makeFolder(folder: string, owner: Identity | undefined): boolean {
  try {
    mkdirSync(folder, FOLDER_MODE);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
  if (owner !== undefined) chownSync(folder, owner.user, owner.group);
  return true;
}

function removeFolder(folder: string): void {
  try {
    rmdirSync(folder);
  } catch {} // others use it, too; or after -u its parent is not ours
}
