import type { Memory } from '../pipeline/memory.ts';
import type { Record } from '../pipeline/record.ts';

/** Words that a filter writes as text, by number: in memory once, so that a value is a place. */
export class Words {
  readonly #offsets: Int32Array;
  readonly #lengths: Int32Array;

  constructor(memory: Memory, words: readonly string[]) {
    this.#lengths = Int32Array.from(words, (word) => word.length);
    this.#offsets = new Int32Array(words.length);
    let at = memory.reserve(words.join('').length + 8);
    for (const [number, word] of words.entries()) {
      this.#offsets[number] = at;
      memory.bytes.set(Buffer.from(word), at);
      at += word.length;
    }
  }

  set(record: Record, slot: number, number: number): void {
    record.setBytes(slot, this.#offsets[number]!, this.#lengths[number]!);
  }
}
