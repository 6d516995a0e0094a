import {
  closeSync,
  fchmodSync,
  fchownSync,
  fstatSync,
  ftruncateSync,
  openSync,
  type Stats,
  statSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { openAppending, reasonOf } from './appending.ts';
import { Archive, type ArchiveNames } from './archive.ts';
import type { FileKeeping } from './file-keeping.ts';
import type { Inspect } from './torn-end.ts';

const RETRY_OPEN_MS = 1000;
const RETRY_ROTATION_MS = 60_000;

/** Where files go whose name may change with each. */
export interface FileSeries {
  readonly directory: string;
  /** Path of a file that is opened now. */
  next(): string;
  readonly names: ArchiveNames;
}

/** What files begin and end with, beside their records. */
export interface FileFrame {
  /** What an empty file begins with. */
  readonly header?: Uint8Array;
  /** What a file ends with before the next one is begun. */
  readonly footer?: Uint8Array;
  /** Finds what a crash has left at the end of a file. */
  readonly inspect: Inspect;
}

/**
 * The file that is found under a name: opened again when it was moved away, deleted, or grew too large or old. While the
 * name cannot be opened, the file from before is written on if it still has a name.
 */
export class NamedFile {
  /** Bytes written. */
  written = 0;
  /** Grows whenever what is written next goes to another file. */
  generation = 0;
  /** A file with a name on a disk, unlike FIFOs and devices. */
  isRegular = false;
  #path: string;
  #fd = -1;
  #size = 0;
  /** The last write failed. */
  #isBroken = false;
  /** The file under the name could not be opened: the one before is still written. */
  #isMoved = false;
  /** Why no file is open. */
  #refusal: unknown;
  /** In milliseconds of performance.now(), as all times here. */
  #nextOpen = Number.NEGATIVE_INFINITY;
  #nextRotation = Number.NEGATIVE_INFINITY;
  #oldAt = Number.POSITIVE_INFINITY;
  readonly #series: FileSeries;
  readonly #frame: FileFrame;
  readonly #keeping: FileKeeping;
  readonly #archive: Archive;
  readonly #report: (message: string) => void;

  /** `report` gets what the operator should know, beside what is thrown. */
  constructor(series: FileSeries, frame: FileFrame, keeping: FileKeeping, report: (message: string) => void) {
    this.#path = series.directory;
    this.#series = series;
    this.#frame = frame;
    this.#keeping = keeping;
    this.#report = report;
    this.#archive = new Archive(series.directory, series.names, keeping, report);
  }

  /** The file that is written, or was last. */
  get path(): string {
    return this.#path;
  }

  /** Opens the file, unless it is open. Throws with the path and the reason. */
  open(): void {
    if (this.#fd >= 0) return;
    this.#open(undefined);
    this.#archive.tidy(this.#path);
  }

  /**
   * Makes sure that `bytes` can be written to the right file; a new one is only begun for its size or age when `isWhole`,
   * between two records. Throws when none is open.
   */
  prepare(bytes: number, isWhole: boolean): void {
    const now = performance.now();
    if (this.#fd < 0 || this.#isMoved) {
      if (now >= this.#nextOpen) this.#openUnderName();
      if (this.#fd < 0) throw this.#refusal;
    } else if (this.isRegular) {
      this.#look(bytes, isWhole, now);
    }
  }

  /** Writes what lies from `from` to `to`, or a part of it, and returns how much. Throws with the path and the reason. */
  write(bytes: Uint8Array, from: number, to: number): number {
    try {
      const count = writeSync(this.#fd, bytes, from, to - from);
      this.written += count;
      this.#size += count;
      this.#isBroken = false;
      return count;
    } catch (error) {
      this.#isBroken = true;
      throw new Error(`cannot write ${this.#path}: ${reasonOf(error)}`);
    }
  }

  /** Opens the file again under its name, after logrotate has moved it away. */
  reopen(isWhole: boolean): void {
    if (isWhole) this.#end();
    try {
      this.#openUnderName();
    } catch {
      return; // said when it is to be written
    }
    this.#archive.tidy(this.#path);
  }

  /** Closes it; resolves when nothing is done in the background any more. */
  close(isWhole: boolean): Promise<void> {
    if (isWhole) this.#end();
    this.#close();
    return this.#archive.stop();
  }

  /** Opens the file, and makes it ready for records: mended, with its header. `before` is the one that was open. */
  #open(before: Stats | undefined): void {
    this.#path = this.#series.next();
    this.#fd = openAppending(this.#path);
    const stats = fstatSync(this.#fd);
    this.isRegular = stats.isFile() && stats.nlink > 0;
    this.#size = stats.size;
    this.#isBroken = false;
    const { rotateAge } = this.#keeping;
    const age = stats.size === 0 ? 0 : Math.max(0, Date.now() - stats.birthtimeMs);
    this.#oldAt = rotateAge > 0 ? performance.now() + Math.max(0, rotateAge - age) : Number.POSITIVE_INFINITY;
    if (isSame(stats, before)) return;
    this.generation++;
    if (this.isRegular && this.#size > 0) this.#mend();
    this.#begin();
  }

  /** Brings in order what a crash has left. */
  #mend(): void {
    let reader = -1;
    try {
      reader = openSync(this.#path, 'r');
      const found = this.#frame.inspect(reader, this.#size);
      if (found === 'foreign') {
        const name = this.#archive.putAway(this.#path);
        this.#report(`${this.#path} cannot be appended to, its content is of another kind: it is now ${name}`);
        this.#close();
        this.#open(undefined);
      } else if (found !== undefined) {
        if (found.keep < this.#size) ftruncateSync(this.#fd, found.keep);
        writeWhole(this.#fd, found.append);
        this.#size = found.keep + found.append.length;
        this.#report(`${this.#path} ended in the middle of a record: it is mended`);
      }
    } catch (error) {
      this.#report(`cannot look for the damage of a crash in ${this.#path}: ${reasonOf(error)}`);
    } finally {
      if (reader >= 0) closeSync(reader);
    }
  }

  /** Writes the header into an empty file: whole or not at all. */
  #begin(): void {
    const { header } = this.#frame;
    if (header === undefined || this.#size > 0) return;
    try {
      writeWhole(this.#fd, header);
      this.#size = header.length;
    } catch (error) {
      if (this.isRegular) ftruncateSync(this.#fd, 0);
      if (this.isRegular && !this.#series.names.renames) unlinkSync(this.#path); // the next try has another name
      this.#close();
      throw new Error(`cannot write ${this.#path}: ${reasonOf(error)}`);
    }
  }

  /** Sees that what is written goes to the file that people find under the name, and that it does not grow too large or old. */
  #look(bytes: number, isWhole: boolean, now: number): void {
    if (fstatSync(this.#fd).nlink === 0) {
      this.#openUnderName();
      this.#report(`${this.#path} had been deleted: a new one is written`);
    } else if (this.#isBroken) {
      if (now < this.#nextOpen) return;
      this.#nextOpen = now + RETRY_OPEN_MS;
      // Another file system may have been mounted in the place of the broken one.
      if (!isSame(fstatSync(this.#fd), statSync(this.#path, { throwIfNoEntry: false }))) this.#openUnderName();
    } else if (isWhole && now >= this.#nextRotation && this.#isDue(bytes, now)) {
      this.#rotate(now);
    }
  }

  #isDue(bytes: number, now: number): boolean {
    const { rotateSize } = this.#keeping;
    const isFull = rotateSize > 0 && this.#size + bytes > rotateSize;
    return (isFull || now >= this.#oldAt) && this.#size > (this.#frame.header?.length ?? 0);
  }

  #rotate(now: number): void {
    const { mode, uid, gid } = fstatSync(this.#fd);
    try {
      if (this.#series.names.renames) this.#archive.putAway(this.#path);
    } catch (error) {
      this.#nextRotation = now + RETRY_ROTATION_MS;
      this.#report(`cannot put ${this.#path} away: ${reasonOf(error)}; it grows on, and is tried again in a minute`);
      return;
    }
    this.#end();
    this.#openUnderName();
    if (this.#isMoved) return;
    try {
      fchmodSync(this.#fd, mode & 0o777);
      fchownSync(this.#fd, uid, gid);
    } catch {
      // Only root gives files away; then they are ours already.
    }
    this.#archive.tidy(this.#path);
  }

  /** Throws when there is no file to write to. */
  #openUnderName(): void {
    const old = this.#fd;
    const before = old < 0 ? undefined : fstatSync(old);
    this.#fd = -1;
    this.#nextOpen = performance.now() + RETRY_OPEN_MS;
    try {
      this.#open(before);
    } catch (error) {
      // Better in the file that was moved away than nowhere; but one that was removed nobody will read, nor behind a footer.
      if (before === undefined || before.nlink === 0 || this.#frame.footer !== undefined) {
        this.#isMoved = false;
        if (old >= 0) closeSync(old);
        this.#refusal = error;
        throw error;
      }
      this.#fd = old;
      if (!this.#isMoved) this.#report(`${reasonOf(error)}; the file that was open before is written until it works`);
      this.#isMoved = true;
      return;
    }
    if (this.#isMoved) this.#report(`${this.#path} is open again`);
    this.#isMoved = false;
    if (old >= 0) closeSync(old);
  }

  /** Writes the footer. A disk that has no room for it has been reported. */
  #end(): void {
    const { footer } = this.#frame;
    if (footer === undefined || this.#fd < 0) return;
    try {
      this.written += writeWhole(this.#fd, footer);
    } catch {}
  }

  #close(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }
}

/** Whether two are one file, whatever its name. */
const isSame = (a: Stats, b: Stats | undefined): boolean => a.dev === b?.dev && a.ino === b.ino;

/** Writes all bytes, and returns how many. Throws. */
function writeWhole(fd: number, bytes: Uint8Array): number {
  for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done, bytes.length - done);
  return bytes.length;
}
