import { closeSync, fstatSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { LineBuffer } from '../wire/line-buffer.ts';

const NEWLINE = 0x0a;
/** A batch that grows beyond this is written in parts. */
const FLUSH_SIZE = 256 << 10;
const RETRY_OPEN_MS = 1000;

/**
 * A file of lines that is only ever appended to. Renderers write into `buffer` and call `endLine`; `flush` writes all
 * lines in one call. A write that fails never stops the daemon: whole lines are dropped and counted, a line of which a
 * part is on the disk already is completed first, and the file is tried again with the next batch.
 */
export class OutputFile {
  readonly buffer = new LineBuffer();
  readonly path: string;
  /** Lines that could not be written. */
  dropped = 0;
  /** Bytes written. */
  written = 0;
  #fd = -1;
  #failing = false;
  #nextOpen = 0;
  #torn = false;
  readonly #report: (message: string) => void;

  /** `report` gets one line when writing begins to fail, and one when it works again. */
  constructor(path: string, report: (message: string) => void) {
    this.path = path;
    this.#report = report;
  }

  /** Opens the file, in a directory that is made if only it is missing. Throws with the path and the reason. */
  open(): void {
    if (this.#fd >= 0) return;
    try {
      this.#fd = openSync(this.path, 'a', 0o644);
    } catch (error) {
      if (!isMissing(error)) throw new Error(`cannot open ${this.path}: ${reason(error)}`);
      try {
        mkdirSync(dirname(this.path), 0o755);
        this.#fd = openSync(this.path, 'a', 0o644);
      } catch (second) {
        // A folder that is there already: then the first reason is the one.
        throw new Error(`cannot open ${this.path}: ${reason(isThere(second) ? error : second)}`);
      }
    }
  }

  /** Ends a record of one line that was rendered up to `at`. */
  endLine(at: number): void {
    this.buffer.length = at;
    if (at >= FLUSH_SIZE) this.flush();
  }

  /** Writes what is buffered. */
  flush(): void {
    const { buffer } = this;
    if (buffer.length === 0) return;
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
    this.#torn = false;
    if (this.#failing) {
      this.#failing = false;
      this.#report(`${this.path} is written again; ${this.dropped} lines were dropped so far`);
    }
  }

  /** Opens the file again under its name, after logrotate has moved it away. */
  reopen(): void {
    this.flush();
    const before = this.#identity();
    this.#close();
    try {
      this.open();
      // The rest of a line whose beginning was moved away with the old file is no line of the new one.
      if (this.#torn && this.#identity() !== before) this.#forgetTorn();
    } catch (error) {
      this.#failing = true;
      this.#report(reason(error));
    }
  }

  close(): void {
    this.flush();
    this.#close();
  }

  /** Tells the open file from another of the same name; empty when none is open. */
  #identity(): string {
    if (this.#fd < 0) return '';
    const { dev, ino } = fstatSync(this.#fd);
    return `${dev}:${ino}`;
  }

  #forgetTorn(): void {
    this.buffer.drop(this.buffer.bytes.indexOf(NEWLINE) + 1);
    this.#torn = false;
    this.dropped++;
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
    const { bytes } = buffer;
    if (done > 0) this.#torn = bytes[done - 1] !== NEWLINE;
    let keep = done;
    if (this.#torn) keep = bytes.indexOf(NEWLINE, done) + 1;
    for (let i = keep; i < buffer.length; i++) if (bytes[i] === NEWLINE) this.dropped++;
    buffer.length = keep;
    buffer.drop(done);
    if (this.#failing) return;
    this.#failing = true;
    this.#report(`cannot write ${this.path}: ${reason(error)}; lines are dropped and counted until it works again`);
  }
}

const isThere = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'EEXIST';
const isMissing = (error: unknown): boolean => (error as NodeJS.ErrnoException).code === 'ENOENT';
const reason = (error: unknown): string => (error instanceof Error ? error.message : String(error));
