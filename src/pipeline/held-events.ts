import type { HeldEvents } from './plugin.ts';
import type { Record } from './record.ts';

/** Events that one filter holds at most. */
const PLACES = 256;
/** Room for the bytes of each: a packet of an Ethernet, the message that it came in, and what filters made of it. */
export const HELD_BYTES = 4 << 10;

/** What holding takes of the stack around the filter. */
export interface Holding {
  readonly record: Record;
  /** Slots that are written before the filter, and whether they point to bytes. */
  readonly slots: readonly { readonly slot: number; readonly isBytes: boolean }[];
  /** Where the bytes of an event are put that is sent on: HELD_BYTES of the record's memory. */
  readonly scratch: number;
  /** Has the input read what the kernel holds ready. */
  drain(): void;
  /** Whatever was lost so far, in a number that grows with each loss. */
  losses(): number;
  /** Sends what is in the record through the stack, behind the filter. */
  resume(): void;
  /** Ends a batch. */
  flush(): void;
}

/**
 * Holds copies of events in the first places that are free: the next datagram comes into the memory that they point to. All
 * wait equally long, by a clock that nobody sets. Before one is sent on what the kernel has ready by then is read, so that a
 * late daemon takes nothing for missing.
 */
export class HeldBack implements HeldEvents {
  readonly places = PLACES;
  readonly #holding: Holding;
  readonly #wait: number;
  readonly #due: (place: number, complete: boolean) => void;
  readonly #slots: Uint32Array;
  readonly #isBytes: Uint8Array;
  readonly #open = new Uint8Array(PLACES);
  readonly #since = new Float64Array(PLACES);
  readonly #losses = new Float64Array(PLACES);
  /** Made with the first event. */
  #store: Store | undefined;
  /** Behind the last place that is taken. */
  #end = 0;
  #timer: NodeJS.Timeout | undefined;

  /** `wait` is in ms; `due` is called with the event in the record, as it was, and writes what is known now. */
  constructor(holding: Holding, wait: number, due: (place: number, complete: boolean) => void) {
    this.#holding = holding;
    this.#wait = wait;
    this.#due = due;
    this.#slots = Uint32Array.from(holding.slots, ({ slot }) => slot);
    this.#isBytes = Uint8Array.from(holding.slots, ({ isBytes }) => Number(isBytes));
  }

  /** Behind the last place that is taken. */
  get end(): number {
    return this.#end;
  }

  hold(): number {
    let place = 0;
    while (place < this.#end && this.#open[place] === 1) place++;
    if (place === PLACES || !this.#copy(place)) return -1;
    if (place === this.#end) this.#end++;
    this.#open[place] = 1;
    this.#since[place] = performance.now();
    this.#losses[place] = this.#holding.losses();
    this.#timer ??= setTimeout(this.#look, this.#wait);
    return place;
  }

  forget(place: number): void {
    this.#open[place] = 0;
    while (this.#end > 0 && this.#open[this.#end - 1] === 0) this.#end--;
  }

  /** Sends all on, incomplete. */
  close(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#end === 0) return;
    for (let place = 0; place < this.#end; place++) if (this.#open[place] === 1) this.#send(place, false);
    this.#holding.flush();
  }

  /** False when the bytes do not fit. */
  #copy(place: number): boolean {
    const { record } = this.#holding;
    this.#store ??= new Store(this.#slots.length);
    const { value, extra, valid, bytes } = this.#store;
    let at = place * HELD_BYTES;
    const end = at + HELD_BYTES;
    const first = place * this.#slots.length;
    for (let i = 0; i < this.#slots.length; i++) {
      const slot = this.#slots[i]!;
      valid[first + i] = record.valid[slot]!;
      value[first + i] = record.value[slot]!;
      extra[first + i] = record.extra[slot]!;
      if (record.valid[slot] === 0 || this.#isBytes[i] === 0) continue;
      const length = record.extra[slot]!;
      if (length > end - at) return false;
      const start = record.value[slot]!;
      for (let byte = 0; byte < length; byte++) bytes[at + byte] = record.bytes[start + byte]!;
      at += length;
    }
    return true;
  }

  readonly #look = (): void => {
    this.#timer = undefined;
    const before = performance.now() - this.#wait;
    this.#holding.drain();
    const losses = this.#holding.losses();
    let oldest = Number.POSITIVE_INFINITY;
    for (let place = 0; place < this.#end; place++) {
      if (this.#open[place] === 0) continue;
      if (this.#since[place]! <= before) this.#send(place, losses === this.#losses[place]);
      else if (this.#since[place]! < oldest) oldest = this.#since[place]!;
    }
    this.#holding.flush();
    if (this.#end > 0) this.#timer ??= setTimeout(this.#look, Math.ceil(oldest - before));
  };

  #send(place: number, complete: boolean): void {
    const { record, scratch, resume } = this.#holding;
    const { value, extra, valid, bytes } = this.#store!;
    const first = place * this.#slots.length;
    let at = place * HELD_BYTES;
    record.bytes.set(bytes.subarray(at, at + HELD_BYTES), scratch);
    at = scratch;
    for (let i = 0; i < this.#slots.length; i++) {
      const slot = this.#slots[i]!;
      record.valid[slot] = valid[first + i]!;
      record.value[slot] = value[first + i]!;
      record.extra[slot] = extra[first + i]!;
      if (record.valid[slot] === 0 || this.#isBytes[i] === 0) continue;
      record.value[slot] = at;
      at += record.extra[slot]!;
    }
    this.#due(place, complete);
    this.forget(place);
    resume();
  }
}

/** Values of slots and their bytes, place by place, in one piece: of so large a one pages that nobody touches cost nothing. */
class Store {
  readonly bytes: Uint8Array;
  readonly value: Uint32Array;
  readonly extra: Uint32Array;
  readonly valid: Uint8Array;

  constructor(slots: number) {
    const values = PLACES * slots;
    const buffer = new ArrayBuffer(PLACES * HELD_BYTES + 9 * values);
    this.bytes = new Uint8Array(buffer, 0, PLACES * HELD_BYTES);
    this.value = new Uint32Array(buffer, PLACES * HELD_BYTES, values);
    this.extra = new Uint32Array(buffer, PLACES * HELD_BYTES + 4 * values, values);
    this.valid = new Uint8Array(buffer, PLACES * HELD_BYTES + 8 * values, values);
  }
}
