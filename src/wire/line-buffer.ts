import { SLACK, writeText } from './ascii.ts';

/** Memory that a LineBuffer may lie in: part of a larger one, whose other parts are others'. */
export interface Room {
  readonly buffer: ArrayBuffer;
  /** Sets `size` bytes aside and returns their offset. Throws RangeError when none are left. */
  reserve(size: number): number;
  free(offset: number): void;
}

/** Bytes on their way out, in one buffer that grows and is written from as a whole. */
export class LineBuffer {
  bytes: Uint8Array;
  view: DataView;
  /** Bytes that are filled. */
  length = 0;
  /** Offset in the room of what is at 0 here. */
  address = 0;
  readonly #room: Room | undefined;

  /** With a `room` it lies there, else in memory of its own. Throws RangeError when there is none. */
  constructor(capacity = 64 << 10, room?: Room) {
    this.#room = room;
    this.bytes = this.#allocate(capacity);
    this.view = viewOf(this.bytes);
  }

  /** Whether `size` more bytes fit behind the filled ones as it is. */
  has(size: number): boolean {
    return this.length + size + SLACK <= this.bytes.length;
  }

  /** Makes sure that `size` more bytes fit behind the filled ones; `bytes`, `view` and `address` may be new afterwards. Throws RangeError. */
  ensure(size: number): void {
    if (this.has(size)) return;
    const { address } = this;
    const grown = this.#allocate(Math.max(this.length + size + SLACK, this.bytes.length * 2));
    grown.set(this.bytes.subarray(0, this.length));
    this.bytes = grown;
    this.view = viewOf(grown);
    this.#room?.free(address);
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

  /** Forgets everything, and gives its memory back; it may be filled again. */
  release(): void {
    this.#room?.free(this.address);
    this.length = this.address = 0;
    this.bytes = new Uint8Array(0);
    this.view = viewOf(this.bytes);
  }

  #allocate(size: number): Uint8Array {
    if (this.#room === undefined) return new Uint8Array(size);
    this.address = this.#room.reserve(size);
    return new Uint8Array(this.#room.buffer, this.address, size);
  }
}

const viewOf = ({ buffer, byteOffset, length }: Uint8Array): DataView => new DataView(buffer, byteOffset, length);
