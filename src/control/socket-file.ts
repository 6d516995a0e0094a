import { chownSync, mkdirSync, rmdirSync } from 'node:fs';
import type { Server } from 'node:net';
import { dirname } from 'node:path';
import { listenUnix } from '../system/unix-listener.ts';
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
    await listenUnix(server, path, SOCKET_MODE);
    if (owner !== undefined) chownSync(path, owner.user, owner.group);
  } catch (error) {
    if (made) removeFolder(folder);
    throw error;
  }
  return { remove: () => made && removeFolder(folder) };
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
