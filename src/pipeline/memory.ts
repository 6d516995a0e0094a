/**
 * All bytes that a record's values can point into: received datagrams and the text that filters make of them.
 * One buffer, so that a value is an (offset, length) pair whoever wrote it, and no payload is ever copied to be read.
 * Pages that nobody touches cost nothing.
 */
export class Memory {
  readonly buffer: ArrayBuffer;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  #used = 0;

  constructor(size: number) {
    this.buffer = new ArrayBuffer(size);
    this.bytes = new Uint8Array(this.buffer);
    this.view = new DataView(this.buffer);
  }

  /** Sets `size` bytes aside for the caller, for good, and returns their offset. Throws RangeError when none are left. */
  reserve(size: number): number {
    const offset = this.#used;
    const end = (offset + size + 63) & ~63; // a cache line each: neighbours do not share one
    if (end > this.buffer.byteLength) throw new RangeError(`no room for ${size} more bytes in the pipeline's memory`);
    this.#used = end;
    return offset;
  }
}
