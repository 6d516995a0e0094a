import { dirname } from 'node:path';
import type { OutputAccount } from '../pipeline/ledger.ts';
import { LineBuffer } from '../wire/line-buffer.ts';
import { reasonOf } from './appending.ts';
import { timedNames } from './archive.ts';
import { DiskGuard } from './disk-guard.ts';
import { type FileKeeping, ONE_FILE } from './file-keeping.ts';
import { type FileFrame, type FileSeries, NamedFile } from './named-file.ts';
import { linesEnd } from './torn-end.ts';

const NEWLINE = 0x0a;
/** A batch that grows beyond this is written in parts. */
const FLUSH_SIZE = 1 << 20;
/** Notes that wait at most for a file that cannot be written: the oldest are given up first. */
const NOTES = 16;

/** What a file is made of, where it is not lines of text. */
export interface FileFormat extends FileFrame {
  /** What its records are called in messages, in the plural. */
  readonly records: string;
  /** Offset behind the record that begins at `at`. */
  recordEnd(bytes: Uint8Array, at: number): number;
}

const LINES: FileFormat = {
  records: 'lines',
  recordEnd: (bytes, at) => bytes.indexOf(NEWLINE, at) + 1 || bytes.length,
  inspect: linesEnd(),
};

/**
 * A file of records that is only ever appended to: lines, unless `format` says otherwise. Renderers write into `buffer`
 * and call `endLine`; `flush` writes all records in one call. A write that fails never stops the daemon: whole records
 * are dropped and counted, one of which a part is on the disk already is completed first, and the file is tried again
 * with the next batch.
 */
export class OutputFile {
  readonly buffer: LineBuffer;
  /** Records that could not be written. */
  dropped = 0;
  /** Records that were not written so that space stays free on the disk. */
  guarded = 0;
  /** Records written whole. */
  records = 0;
  /** Records that wait in `buffer`. */
  pending = 0;
  readonly #file: NamedFile;
  readonly #guard: DiskGuard;
  readonly #format: FileFormat;
  readonly #report: (message: string) => void;
  /** A batch is written in parts of this size; no part fills a file beyond what it may hold. */
  readonly #partSize: number;
  /** Not opened yet: what is rendered until then goes nowhere. */
  #isRehearsing = true;
  #isFailing = false;
  #isGuarded = false;
  /** Bytes at the beginning of `buffer` that complete a record whose first part is on the disk. */
  #rest = 0;
  /** What `#rest` completes is a note: no record. */
  #restIsNote = false;
  /** The file that has that first part. */
  #generation = 0;
  /** Notes that wait until the records before them are written. */
  readonly #notes: string[] = [];

  /** `report` gets one line when writing begins to fail, and one when it works again. */
  constructor(
    target: string | FileSeries,
    report: (message: string) => void,
    format: Partial<FileFormat> = {},
    keeping: FileKeeping = ONE_FILE,
    buffer = new LineBuffer(),
  ) {
    this.buffer = buffer;
    const series = typeof target === 'string' ? seriesOf(target) : target;
    this.#report = report;
    this.#format = { ...LINES, ...format };
    this.#partSize = Math.min(FLUSH_SIZE, keeping.rotateSize > 0 ? keeping.rotateSize / 2 : FLUSH_SIZE);
    this.#guard = new DiskGuard(series.directory, keeping.minFree);
    this.#file = new NamedFile(series, this.#format, keeping, report);
  }

  /** The file that is written, or was last. */
  get path(): string {
    return this.#file.path;
  }

  /** Bytes written. */
  get written(): number {
    return this.#file.written;
  }

  /** Opens the file, in a directory that is made if only it is missing. Throws with the path and the reason. */
  open(): void {
    if (this.#isRehearsing) this.buffer.length = this.pending = 0;
    this.#isRehearsing = false;
    this.#file.open();
    this.#mayGrow(0);
  }

  /** Ends a record that was rendered up to `at`. */
  endLine(at: number): void {
    this.buffer.length = at;
    this.pending++;
    if (at >= this.#partSize) this.flush();
  }

  /** Writes lines of the daemon's own behind the records that are there: no record, and counted as none. */
  note(text: string): void {
    this.#notes.push(text);
    if (this.#notes.length > NOTES) this.#notes.shift();
    this.flush();
  }

  /** Writes what is buffered. */
  flush(): void {
    const { buffer } = this;
    if (buffer.length === 0 && this.#notes.length === 0) return;
    if (this.#isRehearsing) {
      buffer.length = this.pending = 0;
      return;
    }
    if (!this.#mayGrow(buffer.length)) {
      this.guarded += this.#abandon(0);
      return;
    }
    let done = 0;
    try {
      this.#file.prepare(buffer.length, this.#rest === 0);
      this.#checkRest();
      while (done < buffer.length) done += this.#file.write(buffer.bytes, done, buffer.length);
    } catch (error) {
      this.#fail(done, error);
      return;
    }
    buffer.length = 0;
    this.#rest = 0;
    this.#restIsNote = false;
    this.records += this.pending;
    this.pending = 0;
    if (this.#notes.length > 0 && !this.#writeNotes()) return;
    if (this.#isFailing) {
      this.#isFailing = false;
      this.#report(`${this.path} is written again; ${this.dropped} ${this.#format.records} were dropped so far`);
    }
  }

  /** Opens the file again under its name, after logrotate has moved it away. */
  reopen(): void {
    this.flush();
    this.#file.reopen(this.#rest === 0);
    this.#checkRest();
  }

  /** Writes what it can and closes: a record of which only a part was written counts as dropped. */
  close(): Promise<void> {
    this.flush();
    const closed = this.#file.close(this.#rest === 0);
    this.dropped += this.pending;
    this.pending = 0;
    this.buffer.release();
    this.#rest = 0;
    return closed;
  }

  /** What became of its records. */
  account(): OutputAccount {
    const dropped = { 'file not writable': this.dropped, 'disk guard': this.guarded };
    return { sink: this, written: this.records, queued: this.pending, dropped, bytes: this.written };
  }

  /** False when the file takes no more: what is left waits. */
  #writeNotes(): boolean {
    const { buffer } = this;
    for (let note = this.#notes[0]; note !== undefined; note = this.#notes[0]) {
      const bytes = Buffer.from(`${note}\n`);
      let done = 0;
      try {
        done = this.#file.write(bytes, 0, bytes.length);
      } catch (error) {
        this.#fail(0, error);
        return false;
      }
      this.#notes.shift();
      if (done < bytes.length) {
        buffer.ensure(bytes.length);
        buffer.bytes.set(bytes.subarray(done));
        buffer.length = this.#rest = bytes.length - done;
        this.#restIsNote = true;
        this.#generation = this.#file.generation;
        return false; // the next flush learns why
      }
    }
    return true;
  }

  /** The rest of a record whose beginning was moved away with the old file is no record of the new one. */
  #checkRest(): void {
    if (this.#rest === 0 || this.#generation === this.#file.generation) return;
    this.buffer.drop(this.#rest);
    this.#rest = 0;
    if (!this.#restIsNote) {
      this.dropped++;
      this.pending--;
    }
    this.#restIsNote = false;
  }

  /** Asks the guard, and says so when its answer is another than before. */
  #mayGrow(bytes: number): boolean {
    const may = !this.#file.isRegular || this.#guard.allows(bytes, performance.now());
    if (may === !this.#isGuarded) return may;
    this.#isGuarded = !may;
    const what = this.#format.records;
    this.#report(
      may
        ? `${this.path}: there is room again; the disk guard has dropped ${this.guarded} ${what} so far`
        : `${this.path}: ${this.#guard.describe()}; ${what} are dropped and counted until there is more`,
    );
    return may;
  }

  /** Drops whole records of the buffer, of which `done` bytes are written, and returns how many. One that is begun stays. */
  #abandon(done: number): number {
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
    let abandoned = 0;
    for (let at = keep; at < bytes.length; at = this.#format.recordEnd(bytes, at)) abandoned++;
    buffer.length = keep;
    buffer.drop(done);
    this.#rest = keep - done;
    this.#restIsNote &&= this.#rest > 0;
    if (done > 0) this.#generation = this.#file.generation;
    return abandoned;
  }

  #fail(done: number, error: unknown): void {
    this.dropped += this.#abandon(done);
    if (this.#isFailing) return;
    this.#isFailing = true;
    this.#report(`${reasonOf(error)}; ${this.#format.records} are dropped and counted until it works again`);
  }
}

/** One path; full files get a name with the time. */
const seriesOf = (path: string): FileSeries => ({
  directory: dirname(path),
  next: () => path,
  names: timedNames(path),
});
