import {
  closeSync,
  constants,
  fchownSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  type Stats,
  statSync,
  unlink,
  unlinkSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { lockFile } from '../system/native.ts';
import { segmentName, segmentNumber } from './segment.ts';

/** A segment's file. */
export interface SegmentFile {
  readonly segment: number;
  readonly path: string;
  /** Bytes. */
  readonly size: number;
}

// fcntl(2) locks do not keep a process from itself.
const held = new Set<string>();

/** The segments in a directory, oldest first. Throws ErrnoException. */
export function listSegments(directory: string): SegmentFile[] {
  return readdirSync(directory)
    .flatMap((name) => {
      const segment = segmentNumber(name);
      return segment === undefined ? [] : [{ segment, path: join(directory, name) }];
    })
    .sort((a, b) => a.segment - b.segment)
    .flatMap((file) => {
      const size = statSync(file.path, { throwIfNoEntry: false })?.size; // undefined: removed meanwhile
      return size === undefined ? [] : [{ ...file, size }];
    });
}

/** Where the position of a spool is kept. */
export const positionPath = (directory: string): string => join(directory, 'position');

/** Where a segment is kept. */
export const segmentPath = (directory: string, segment: number): string => join(directory, segmentName(segment));

/** The directory of a spool, for this process alone. */
export class SpoolDirectory {
  readonly path: string;
  #lock: number;
  #folder: number;

  /** Makes the directory, mode 0750, if it alone is missing, and locks it. Throws with what is in the way. */
  constructor(directory: string) {
    this.path = resolve(directory);
    if (held.has(this.path)) throw new Error(`the spool ${this.path} is in use by another output`);
    [this.#folder, this.#lock] = this.#take();
    held.add(this.path);
  }

  /** Whether the path still leads to it: not once it was deleted or moved, or something was mounted over it. */
  get isThere(): boolean {
    try {
      const [locked, found] = [fstatSync(this.#lock), statSync(this.#lockPath)];
      return locked.ino === found.ino && locked.dev === found.dev;
    } catch (error) {
      return !['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '');
    }
  }

  /** A path to it for as long as it exists, wherever it is moved. */
  get here(): string {
    return `/proc/self/fd/${this.#folder}`;
  }

  /** Where it is when it is not where it was; undefined when it was deleted, or is where it was. */
  get movedTo(): string | undefined {
    const { nlink, ino, dev } = fstatSync(this.#folder);
    let found: Stats | undefined;
    try {
      found = statSync(this.path);
    } catch {} // nothing there, or nothing that we may see
    return nlink === 0 || (found?.ino === ino && found.dev === dev) ? undefined : readlinkSync(this.here);
  }

  /** Makes one in the place of that which is gone. Throws with what is in the way. */
  renew(): void {
    const [folder, lock] = this.#take();
    closeSync(this.#folder);
    closeSync(this.#lock);
    this.#folder = folder;
    this.#lock = lock;
  }

  get #lockPath(): string {
    return join(this.path, 'lock');
  }

  #take(): [folder: number, lock: number] {
    try {
      mkdirSync(this.path, 0o750);
    } catch (error) {
      const { code, message } = error as NodeJS.ErrnoException;
      if (code !== 'EEXIST') throw new Error(`cannot make the spool ${this.path}: ${message}`);
    }
    let folder: number | undefined;
    let lock: number;
    try {
      folder = openSync(this.path, constants.O_RDONLY | constants.O_DIRECTORY);
      lock = openSync(this.#lockPath, constants.O_RDWR | constants.O_CREAT, 0o640);
    } catch (error) {
      if (folder !== undefined) closeSync(folder);
      throw new Error(`cannot open the spool ${this.path}: ${(error as Error).message}`);
    }
    const holder = lockFile(lock);
    if (holder !== 0) {
      closeSync(folder);
      closeSync(lock);
      throw new Error(`the spool ${this.path} is in use by process ${holder}`);
    }
    own(lock, folder);
    return [folder, lock];
  }

  /** Gives a new file to the directory's owner: root makes files that a daemon under its own user must open next time. */
  own(fd: number): void {
    own(fd, this.#folder);
  }

  /** Removes a segment, off this thread: to give back 16 MiB takes some disks 20 ms. */
  remove(segment: number): void {
    if (this.movedTo !== undefined) {
      // At once: later, the number of the folder may be that of another one.
      try {
        unlinkSync(segmentPath(this.here, segment));
      } catch {} // as below
      return;
    }
    // What fails was gone already, or stays on a disk that is read-only now: it is passed over after a restart.
    unlink(segmentPath(this.path, segment), () => {});
  }

  /** Lets others use the directory. */
  close(): void {
    held.delete(this.path);
    closeSync(this.#folder);
    closeSync(this.#lock);
  }
}

function own(fd: number, folder: number): void {
  if (process.getuid?.() !== 0) return;
  const { uid, gid } = fstatSync(folder);
  fchownSync(fd, uid, gid);
}
