import { constants, mkdirSync, openSync } from 'node:fs';
import { dirname } from 'node:path';

const { O_WRONLY, O_RDWR, O_APPEND, O_CREAT, O_NONBLOCK } = constants;

// Who spoke to whom is nobody's business but the administrator's: others may not read, as in Debian's rules for ulogd2.
const FILE_MODE = 0o640;
const DIRECTORY_MODE = 0o750;

/** Opens a file to append to, in a directory that is made if only it is missing. Throws with the path and the reason. */
export function openAppending(path: string): number {
  try {
    return open(path);
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw new Error(`cannot open ${path}: ${reasonOf(error)}`);
    try {
      mkdirSync(dirname(path), DIRECTORY_MODE);
      return open(path);
    } catch (second) {
      // A folder that is there already: then the first reason is the one.
      throw new Error(`cannot open ${path}: ${reasonOf(hasCode(second, 'EEXIST') ? error : second)}`);
    }
  }
}

/** A FIFO must neither wait for its reader when it is opened nor when it is full: what does not fit is dropped and counted. */
function open(path: string): number {
  try {
    return openSync(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK, FILE_MODE);
  } catch (error) {
    if (!hasCode(error, 'ENXIO')) throw error;
    return openSync(path, O_RDWR | O_APPEND | O_NONBLOCK); // a FIFO that nobody reads yet (fifo(7))
  }
}

const hasCode = (error: unknown, code: string): boolean => (error as NodeJS.ErrnoException).code === code;

/** The message of whatever was thrown. */
export const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
