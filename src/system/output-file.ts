import { closeSync, constants, fstatSync, ftruncateSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import type { OutputAccount } from '../pipeline/ledger.ts';
import { LineBuffer } from '../wire/line-buffer.ts';

const NEWLINE = 0x0a;
/** A batch that grows beyond this is written in parts. */
const FLUSH_SIZE = 256 << 10;
const RETRY_OPEN_MS = 1000;
/** Notes that wait at most for a file that cannot be written: the oldest are given up first. */
const NOTES = 16;

/** What a file is made of, where it is not lines of text. */
export interface FileFormat {
  /** What its records are called in messages, in the plural. */
  readonly records: string;
  /** What an empty file begins with. */
  readonly header?: Uint8Array;
  /** Offset behind the record that begins at `at`. */
  recordEnd(bytes: Uint8Array, at: number): number;
}

const LINES: FileFormat = {
  records: 'lines',
  recordEnd: (bytes, at) => bytes.indexOf(NEWLINE, at) + 1 || bytes.length,
};

/**
 * A file of records that is only ever appended to: lines, unless `format` says otherwise. Renderers write into `buffer`
 * and call `endLine`; `flush` writes all records in one call. A write that fails never stops the daemon: whole records
 * are dropped and counted, one of which a part is on the disk already is completed first, and the file is tried again
 * with the next batch.
 */
export class OutputFile {
  readonly buffer = new LineBuffer();
  readonly path: string;
  /** Records that could not be written. */
  dropped = 0;
  /** Bytes written. */
  written = 0;
  /** Records written whole. */
  records = 0;
  /** Records that wait in `buffer`. */
  pending = 0;
  #fd = -1;
  #failing = false;
  #nextOpen = 0;
  /** Bytes at the beginning of `buffer` that complete a record whose first part is on the disk. */
  #rest = 0;
  /** What `#rest` completes is a note: no record. */
  #restIsNote = false;
  /** Notes that wait until the records before them are written. */
  readonly #notes: string[] = [];
  /** The file under the name could not be opened: the one before is still written. */
  #moved = false;
  readonly #report: (message: string) => void;
  readonly #format: FileFormat;

  /** `report` gets one line when writing begins to fail, and one when it works again. */
  constructor(path: string, report: (message: string) => void, format: Partial<FileFormat> = {}) {
    this.path = path;
    this.#report = report;
    this.#format = { ...LINES, ...format };
  }

  /** Opens the file, in a directory that is made if only it is missing. Throws with the path and the reason. */
  open(): void {
    if (this.#fd >= 0) return;
    try {
      this.#fd = openForAppending(this.path);
    } catch (error) {
      if (!isMissing(error)) throw new Error(`cannot open ${this.path}: ${reason(error)}`);
      try {
        mkdirSync(dirname(this.path), 0o755);
        this.#fd = openForAppending(this.path);
      } catch (second) {
        // A folder that is there already: then the first reason is the one.
        throw new Error(`cannot open ${this.path}: ${reason(isThere(second) ? error : second)}`);
      }
    }
    this.#begin();
  }

  /** Writes the header into an empty file: whole or not at all. */
  #begin(): void {
    const { header } = this.#format;
    if (header === undefined || fstatSync(this.#fd).size > 0) return;
    try {
      if (writeSync(this.#fd, header) === header.length) return;
      ftruncateSync(this.#fd, 0);
      throw new Error('no space for the header');
    } catch (error) {
      this.#close();
      throw new Error(`cannot write ${this.path}: ${reason(error)}`);
    }
  }

  /** Ends a record that was rendered up to `at`. */
  endLine(at: number): void {
    this.buffer.length = at;
    this.pending++;
    if (at >= FLUSH_SIZE) this.flush();
  }

  /** Writes a line of the daemon's own behind the records that are there: no record, and counted as none. */
  note(text: string): void {
    this.#notes.push(text);
    if (this.#notes.length > NOTES) this.#notes.shift();
    this.flush();
  }

  /** Writes what is buffered. */
  flush(): void {
    const { buffer } = this;
    if (this.#moved && performance.now() >= this.#nextOpen) this.#openUnderName();
    if (buffer.length === 0 && this.#notes.length === 0) return;
    let done = 0;
    try {
      if (this.#fd < 0) this.#openAgain();
      while (done < buffer.length) done += writeSync(this.#fd, buffer.bytes, done, buffer.length - done);
    } catch (error) {
      this.written += done;
      this.#fail(done, error);
      return;
    }
    this.written += done;
    buffer.length = 0;
    this.#rest = 0;
    this.#restIsNote = false;
    this.records += this.pending;
    this.pending = 0;
    if (this.#notes.length > 0 && !this.#writeNotes()) return;
    if (this.#failing) {
      this.#failing = false;
      this.#report(`${this.path} is written again; ${this.dropped} ${this.#format.records} were dropped so far`);
    }
  }

  /** Opens the file again under its name, after logrotate has moved it away. */
  reopen(): void {
    this.flush();
    this.#openUnderName();
  }

  #openUnderName(): void {
    const before = this.#identity();
    const old = this.#fd;
    this.#fd = -1;
    try {
      this.open();
    } catch (error) {
      this.#nextOpen = performance.now() + RETRY_OPEN_MS;
      // Better in the file that was moved away than nowhere; but one that was removed nobody will read.
      if (old >= 0 && fstatSync(old).nlink > 0) {
        this.#fd = old;
        if (!this.#moved) this.#report(`${reason(error)}; the file that was open before is written until it works`);
        this.#moved = true;
        return;
      }
      this.#failing = true;
      this.#report(reason(error));
    }
    if (this.#moved && this.#fd >= 0) this.#report(`${this.path} is open again`);
    this.#moved = false;
    if (old >= 0) closeSync(old);
    // The rest of a record whose beginning was moved away with the old file is no record of the new one.
    if (this.#rest > 0 && this.#fd >= 0 && this.#identity() !== before) this.#forgetTorn();
  }

  /** Writes what it can and closes: a record of which only a part was written counts as dropped. */
  close(): void {
    this.flush();
    this.#close();
    this.dropped += this.pending;
    this.pending = 0;
    this.buffer.length = this.#rest = 0;
  }

  /** False when the file takes no more: what is left waits. */
  #writeNotes(): boolean {
    const { buffer } = this;
    for (let note = this.#notes[0]; note !== undefined; note = this.#notes[0]) {
      const bytes = Buffer.from(`${note}\n`);
      let done = 0;
      try {
        done = writeSync(this.#fd, bytes, 0, bytes.length);
      } catch (error) {
        this.#fail(0, error);
        return false;
      }
      this.written += done;
      this.#notes.shift();
      if (done < bytes.length) {
        buffer.ensure(bytes.length);
        buffer.bytes.set(bytes.subarray(done));
        buffer.length = this.#rest = bytes.length - done;
        this.#restIsNote = true;
        return false; // the next flush learns why
      }
    }
    return true;
  }

  /** What became of its records. */
  account(): OutputAccount {
    const dropped = { 'file not writable': this.dropped };
    return { sink: this, written: this.records, queued: this.pending, dropped, bytes: this.written };
  }

  /** Tells the open file from another of the same name; empty when none is open. */
  #identity(): string {
    if (this.#fd < 0) return '';
    const { dev, ino } = fstatSync(this.#fd);
    return `${dev}:${ino}`;
  }

  #forgetTorn(): void {
    this.buffer.drop(this.#rest);
    this.#rest = 0;
    if (!this.#restIsNote) {
      this.dropped++;
      this.pending--;
    }
    this.#restIsNote = false;
  }

  #close(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }

  #openAgain(): void {
    if (performance.now() < this.#nextOpen) throw new Error(`${this.path} is not open`);
    this.#nextOpen = performance.now() + RETRY_OPEN_MS;
    this.open();
  }

  #fail(done: number, error: unknown): void {
    const { buffer } = this;
    const bytes = buffer.bytes.subarray(0, buffer.length);
    let keep = this.#rest;
    let kept = keep > 0 && !this.#restIsNote ? 1 : 0;
    for (; keep < done; kept++) {
      keep = this.#format.recordEnd(bytes, keep);
      this.#restIsNote = false;
    }
    this.pending = keep > done && !this.#restIsNote ? 1 : 0;
    this.records += kept - this.pending;
    for (let at = keep; at < bytes.length; at = this.#format.recordEnd(bytes, at)) this.dropped++;
    buffer.length = keep;
    buffer.drop(done);
    this.#rest = keep - done;
    this.#restIsNote &&= this.#rest > 0;
    if (this.#failing) return;
    this.#failing = true;
    this.#report(
      `cannot write ${this.path}: ${reason(error)}; ${this.#format.records} are dropped and counted until it works again`,
    );
  }
}

const isThere = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'EEXIST';
const isMissing = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'ENOENT';
const reason = (error: unknown): string => (error instanceof Error ? error.message : String(error));

const { O_WRONLY, O_RDWR, O_APPEND, O_CREAT, O_NONBLOCK } = constants;

/** A FIFO must neither wait for its reader when it is opened nor when it is full: what does not fit is dropped and counted. */
function openForAppending(path: string): number {
  try {
    return openSync(path, O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK, 0o644);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENXIO') throw error;
    return openSync(path, O_RDWR | O_APPEND | O_NONBLOCK); // a FIFO that nobody reads yet (fifo(7))
  }
}
