import { SLACK, writeText } from './ascii.ts';

/** Bytes on their way out, in one buffer that grows and is written from as a whole. */
export class LineBuffer {
  bytes: Uint8Array;
  view: DataView;
  /** Bytes that are filled. */
  length = 0;

  constructor(capacity = 64 << 10) {
    this.bytes = new Uint8Array(capacity);
    this.view = new DataView(this.bytes.buffer);
  }

  /** Makes sure that `size` more bytes fit behind the filled ones; `bytes` and `view` may be new afterwards. */
  ensure(size: number): void {
    const needed = this.length + size + SLACK;
    if (needed <= this.bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, this.bytes.length * 2));
    grown.set(this.bytes.subarray(0, this.length));
    this.bytes = grown;
    this.view = new DataView(grown.buffer);
  }

  /** Adds text: for what is rare. */
  append(text: string): void {
    this.ensure(3 * text.length);
    this.length = writeText(this.bytes, this.length, text);
  }

  /** Forgets the first `count` bytes. */
  drop(count: number): void {
    this.bytes.copyWithin(0, count, this.length);
    this.length -= count;
  }
}
