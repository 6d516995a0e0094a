import type { Memory } from './memory.ts';

/** Slot of a key that nobody reads: writing it is harmless. */
export const UNREAD = 0;
/** Slot of an optional key that nobody writes: never valid. */
export const ABSENT = 1;
/** First slot that the linker hands out. */
export const FIRST_SLOT = 2;

/** The first slot behind `slots` that `Record.clear` need not clear with them. */
export const firstConstantSlot = (slots: number): number => (slots + 7) & ~7;

/**
 * The values of one event, by slot. A number is in `value`; a u64 has its high half in `extra`; text, raw bytes and
 * addresses are an offset into `bytes` (`value`) and a length (`extra`). Only slots with `valid[slot] === 1` count.
 *
 * One record serves every event of an input: what is kept beyond the event must be copied.
 */
export class Record {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly value: Uint32Array;
  readonly extra: Uint32Array;
  readonly valid: Uint8Array;
  /** `valid`, eight slots at a time: to compare or clear, never to count with. No NaN, as each byte is 0 or 1. */
  readonly validWords: Float64Array;
  /** Where it lies in the memory: `valid`, a byte for each slot, then `value` and `extra`, for what does not read it in JavaScript. */
  readonly address: number;
  readonly #cleared: Float64Array;

  /** Values from slot `firstConstant` on stay from event to event. */
  constructor(memory: Memory, slots: number, firstConstant = firstConstantSlot(slots)) {
    const { buffer } = memory;
    const words = (slots + 7) >> 3;
    this.bytes = memory.bytes;
    this.view = memory.view;
    this.address = memory.reserve(words * 8 + slots * 8);
    this.validWords = new Float64Array(buffer, this.address, words).fill(0);
    this.valid = new Uint8Array(buffer, this.address, words * 8);
    this.value = new Uint32Array(buffer, this.address + words * 8, slots).fill(0);
    this.extra = new Uint32Array(buffer, this.address + words * 8 + slots * 4, slots).fill(0);
    this.#cleared = this.validWords.subarray(0, firstConstant >> 3);
  }

  /** Bytes from `address` to a slot's value. */
  valueAt(slot: number): number {
    return this.value.byteOffset - this.address + 4 * slot;
  }

  /** Bytes from `address` to a slot's other half. */
  extraAt(slot: number): number {
    return this.extra.byteOffset - this.address + 4 * slot;
  }

  /** Forgets the last event. */
  clear(): void {
    const words = this.#cleared;
    for (let i = 0; i < words.length; i++) words[i] = 0; // fewer words than a call of fill costs
  }

  /** Writes a number of up to 32 bits. */
  setNumber(slot: number, value: number): void {
    this.value[slot] = value;
    this.valid[slot] = 1;
  }

  /** Writes a 64-bit number by its halves. */
  setWide(slot: number, high: number, low: number): void {
    this.value[slot] = low;
    this.extra[slot] = high;
    this.valid[slot] = 1;
  }

  /** Points a slot at `length` bytes of memory from `offset`. */
  setBytes(slot: number, offset: number, length: number): void {
    this.value[slot] = offset;
    this.extra[slot] = length;
    this.valid[slot] = 1;
  }

  /** Copies one slot's value, valid or not, to another slot. */
  copy(from: number, to: number): void {
    this.value[to] = this.value[from]!;
    this.extra[to] = this.extra[from]!;
    this.valid[to] = this.valid[from]!;
  }
}
