import { closeSync, constants, ftruncateSync, openSync, unlinkSync, writeSync } from 'node:fs';
import { lockFile } from './native.ts';

/** A file with the daemon's process id, locked for as long as the daemon lives. */
export interface PidFile {
  remove(): void;
}

/**
 * Writes the pid file. Its lock (fcntl(2), as ulogd's) says whether another daemon lives, not its being there: what a
 * killed one left behind is taken over. Throws with the other's process id.
 */
export function lockPidFile(path: string): PidFile {
  const fd = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o644);
  const holder = lockFile(fd);
  if (holder !== 0) {
    closeSync(fd);
    throw new Error(`another daemon is already running with pid ${holder} (${path})`);
  }
  ftruncateSync(fd);
  writeSync(fd, `${process.pid}\n`);
  return {
    remove() {
      try {
        unlinkSync(path);
      } catch {
        ftruncateSync(fd); // after -u the folder is not ours; an empty file names nobody
      }
      closeSync(fd);
    },
  };
}
