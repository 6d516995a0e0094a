import { closeSync, constants, fstatSync, openSync, readFileSync } from 'node:fs';

/**
 * The text of a file that may be read again while the daemon runs. Throws when it is no regular file: a FIFO or a device in
 * its place would stop everything (open(2) of a FIFO waits for a writer).
 */
export function readRegularFile(path: string): string {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    if (!fstatSync(fd).isFile()) throw new Error('it is no regular file');
    return readFileSync(fd, 'utf8');
  } finally {
    closeSync(fd);
  }
}
