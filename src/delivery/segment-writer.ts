import { close, closeSync, fdatasync, fdatasyncSync, ftruncateSync, openSync, unlinkSync, writevSync } from 'node:fs';
import type { Batch } from './batch.ts';
import {
  encodeRecordHeader,
  encodeSegmentHeader,
  payloadCrc,
  RECORD_HEADER,
  SEGMENT_HEADER,
  seedOf,
} from './segment.ts';

const NEW_FILE = 'wx';

/** Appends records to one new segment. */
export class SegmentWriter {
  readonly segment: number;
  readonly path: string;
  /** Bytes of the file that hold. */
  size = SEGMENT_HEADER;
  readonly #fd: number;
  readonly #seed: number;
  readonly #header = Buffer.alloc(RECORD_HEADER);
  #dirty = false;
  #syncing = false;
  #closed = false;

  /** Makes the file, mode 0640. Throws ErrnoException, and then leaves none behind. */
  constructor(path: string, segment: number, firstEvent: number, own: (fd: number) => void) {
    this.path = path;
    this.segment = segment;
    this.#seed = seedOf(segment);
    this.#fd = openSync(path, NEW_FILE, 0o640);
    try {
      own(this.#fd);
      this.#write([encodeSegmentHeader(segment, { firstEvent, time: Date.now() })], 0);
    } catch (error) {
      closeSync(this.#fd);
      unlinkSync(path);
      throw error;
    }
  }

  /** Appends a record: when it returns, the kernel has all of it. Throws ErrnoException, and then nothing is appended. */
  append({ bytes, events, time }: Batch, firstEvent: number): void {
    const crc = payloadCrc(bytes, this.#seed);
    encodeRecordHeader(this.#header, this.#seed, { length: bytes.length, events, firstEvent, time }, crc);
    this.#write([this.#header, bytes], this.size);
    this.size += RECORD_HEADER + bytes.length;
  }

  /** Hands what was written to the disk, off this thread; `report` gets the reason when that fails. */
  sync(report: (error: Error) => void): void {
    if (!this.#dirty || this.#syncing || this.#closed) return;
    this.#dirty = false;
    this.#syncing = true;
    fdatasync(this.#fd, (error) => {
      this.#syncing = false;
      if (error) report(error);
      if (this.#closed) close(this.#fd);
    });
  }

  /** Closes the file; with `now`, all of it is on the disk when this returns. */
  close(now = false): void {
    if (this.#closed) return;
    if (!now) this.sync(() => {});
    else if (this.#dirty) {
      try {
        fdatasyncSync(this.#fd);
      } catch {} // the page cache still has it: only a loss of power could take it
    }
    this.#closed = true;
    if (!this.#syncing) closeSync(this.#fd); // else the end of the sync does, when nobody else can have got the number
  }

  #write(parts: readonly Uint8Array[], at: number): void {
    const length = parts.reduce((sum, part) => sum + part.length, 0);
    this.#dirty = true;
    let written = 0;
    try {
      written = writevSync(this.#fd, parts, at);
      if (written === length) return;
      // Cut short: the disk is full, or will be with the rest.
      const rest = Buffer.concat(parts).subarray(written);
      if (writevSync(this.#fd, [rest], at + written) === rest.length) return;
      throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
    } catch (error) {
      ftruncateSync(this.#fd, at); // half a record would only be damage to step over
      throw error;
    }
  }
}
