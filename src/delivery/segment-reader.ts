import { closeSync, openSync, readSync } from 'node:fs';
import type { Batch } from './batch.ts';
import {
  decodeRecordHeader,
  decodeSegmentHeader,
  payloadCrc,
  RECORD_HEADER,
  RECORD_MARK,
  SEGMENT_HEADER,
  type SegmentHeader,
  seedOf,
} from './segment.ts';

/** Bytes read at a time; a longer record takes what it needs. */
const WINDOW = 256 << 10;

/** A record as it was read. */
export interface SegmentRecord extends Batch {
  readonly firstEvent: number;
  /** Where the next record begins. */
  readonly end: number;
}

/** Reads the records of one segment in order, a window of the file at a time, and steps over what is damaged. */
export class SegmentReader {
  readonly segment: number;
  /** What the segment says of itself. */
  readonly header: SegmentHeader | 'version' | undefined;
  /** Places at which something else than a good record stood. */
  damaged = 0;
  /** Where reading goes on. */
  offset: number;
  readonly #fd: number;
  readonly #seed: number;
  #window = Buffer.alloc(0);
  #windowAt = 0;

  /** Throws ErrnoException. */
  constructor(path: string, segment: number, offset = SEGMENT_HEADER) {
    this.segment = segment;
    this.#seed = seedOf(segment);
    this.#fd = openSync(path, 'r');
    this.header = decodeSegmentHeader(segment, this.#bytes(0, SEGMENT_HEADER));
    this.offset = Math.max(offset, SEGMENT_HEADER);
  }

  /** The next good record that ends at `limit`, the size of the file, or before. */
  next(limit: number): SegmentRecord | undefined {
    while (this.offset < limit) {
      const at = this.offset;
      const found = this.#record(at, limit);
      if (found !== undefined) return found;
      if (this.offset === at) this.#seek(limit);
    }
    return undefined;
  }

  close(): void {
    closeSync(this.#fd);
  }

  /** The record at the offset, which moves behind it, also when its payload alone is damaged. */
  #record(at: number, limit: number): SegmentRecord | undefined {
    if (at + RECORD_HEADER > limit) return undefined;
    const bytes = this.#bytes(at, RECORD_HEADER);
    const header = bytes.length < RECORD_HEADER ? undefined : decodeRecordHeader(bytes, 0, this.#seed);
    if (header === undefined || at + RECORD_HEADER + header.length > limit) return undefined;
    const { length, events, firstEvent, time } = header;
    const payload = this.#bytes(at + RECORD_HEADER, length);
    if (payload.length < length) return undefined;
    this.offset = at + RECORD_HEADER + length;
    if (payloadCrc(payload, this.#seed) !== header.payloadCrc) {
      this.damaged++;
      return undefined;
    }
    return { bytes: new Uint8Array(payload), events, firstEvent, time, end: this.offset };
  }

  /** Moves on to the next header that stands, or to the end. */
  #seek(limit: number): void {
    this.damaged++;
    let at = this.offset + 1;
    while (at + RECORD_HEADER <= limit) {
      const bytes = this.#bytes(at, Math.min(WINDOW, limit - at));
      const mark = bytes.indexOf(RECORD_MARK);
      if (mark < 0) {
        if (bytes.length <= RECORD_HEADER) break;
        at += bytes.length - RECORD_MARK.length + 1;
        continue;
      }
      at += mark;
      const header = at + RECORD_HEADER <= limit ? this.#bytes(at, RECORD_HEADER) : undefined;
      if (header?.length === RECORD_HEADER && decodeRecordHeader(header, 0, this.#seed)) {
        this.offset = at;
        return;
      }
      at++;
    }
    this.offset = limit;
  }

  /** Bytes of the file, borrowed until the next call; fewer at its end. */
  #bytes(at: number, length: number): Buffer {
    const end = at + length;
    if (at < this.#windowAt || end > this.#windowAt + this.#window.length) {
      const window =
        this.#window.buffer.byteLength >= length && this.#window.byteOffset === 0 ? this.#window.buffer : undefined;
      const room = Buffer.from(window ?? new ArrayBuffer(Math.max(WINDOW, length)));
      this.#window = room.subarray(0, readSync(this.#fd, room, 0, room.length, at));
      this.#windowAt = at;
    }
    return this.#window.subarray(at - this.#windowAt, end - this.#windowAt);
  }
}
