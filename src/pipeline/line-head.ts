import { SLACK } from '../wire/ascii.ts';
import type { Memory } from './memory.ts';

/** Behind the lengths of both texts, 32 bits each, they follow each other. */
export const HEAD_TEXT = 8;

/** What stands at the begin of lines and seldom changes, such as the time of a second: two texts, for a `LineProgram`. */
export class LineHead {
  /** Where it lies in the memory. */
  readonly address: number;
  /** Most bytes that both take. */
  readonly room: number;
  readonly #memory: Memory;

  constructor(memory: Memory, room: number) {
    this.#memory = memory;
    this.room = room;
    this.address = memory.reserve(HEAD_TEXT + room + SLACK);
  }

  /** Changes the texts. Throws RangeError when there is no room for them. */
  set(before: string, after = ''): void {
    const { bytes, view } = this.#memory;
    const text = Buffer.from(before + after);
    if (text.length > this.room) throw new RangeError(`a head of ${text.length} bytes in a room of ${this.room}`);
    const length = Buffer.byteLength(before);
    view.setUint32(this.address, length, true);
    view.setUint32(this.address + 4, text.length - length, true);
    bytes.set(text, this.address + HEAD_TEXT);
  }
}
