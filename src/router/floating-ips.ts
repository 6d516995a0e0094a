import { AddressMap } from './address-map.ts';

/** Bytes of an entry: two addresses of up to 16. */
const ENTRY = 32;
const INTERNAL = 16;
/** Entries for which there is room at first: most routers have few, and there may be hundreds of routers. */
const FIRST_SIZE = 8;
/** Mappings that are over and still remembered, at most: connections and packets that are reported late ask for them. */
const HISTORY = 65_536; // 5 MB
/** What a rule translated may be read up to this much (ms) before the news of the rule: nothing tells when the rule itself was made. */
const NEWS_DELAY = 100;

/**
 * Which floating address stood for which fixed address, from when to when (ms since 1970). Entries are numbered from 1; a
 * number holds until the next `forgetOld`. What is over stays, within bounds: an event belongs to the mapping of its time.
 */
export class FloatingIps {
  #bytes = new Uint8Array(ENTRY * FIRST_SIZE);
  #view = new DataView(this.#bytes.buffer);
  #lengths = new Uint8Array(FIRST_SIZE);
  #since = new Float64Array(FIRST_SIZE);
  #until = new Float64Array(FIRST_SIZE);
  /** When a rule that told the entry was deleted; 0 while none was. */
  #doubted = new Float64Array(FIRST_SIZE);
  /** The entry before, of the same floating address and of the same fixed address. */
  #earlierFloating = new Int32Array(FIRST_SIZE);
  #earlierFixed = new Int32Array(FIRST_SIZE);
  #round = new Int32Array(FIRST_SIZE);
  readonly #history: number;
  #count = 0;
  #retired = 0;
  readonly #byFloating = new AddressMap();
  readonly #byFixed = new AddressMap();

  /** `history` is how many mappings that are over are remembered, at most. */
  constructor(history = HISTORY) {
    this.#history = history;
  }

  /** The memory of the addresses: see `floatingAt` and `fixedAt`. */
  get bytes(): Uint8Array {
    return this.#bytes;
  }

  /** The same memory. */
  get view(): DataView {
    return this.#view;
  }

  /** How many mappings hold now. */
  get size(): number {
    return this.#count - this.#retired;
  }

  /** Where the floating address of an entry is in `bytes`. */
  floatingAt = (entry: number): number => (entry - 1) * ENTRY;
  /** Where the fixed address of an entry is in `bytes`. */
  fixedAt = (entry: number): number => (entry - 1) * ENTRY + INTERNAL;
  /** Bytes of each of its addresses. */
  lengthOf = (entry: number): number => this.#lengths[entry - 1] as number;
  since = (entry: number): number => this.#since[entry - 1] as number;
  /** Infinity while it holds. */
  until = (entry: number): number => this.#until[entry - 1] as number;

  /** The latest entry of a floating address; 0 when it was never one. */
  ofFloating(view: DataView, at: number, length: number): number {
    return this.#byFloating.get(view, at, length);
  }

  /** The latest entry of this very pair; 0 when there never was one. */
  ofPair(view: DataView, floating: number, fixed: number, length: number): number {
    for (let entry = this.#byFloating.get(view, floating, length); entry > 0; ) {
      if (same(view, fixed, this.#view, this.fixedAt(entry), length)) return entry;
      entry = this.#earlierFloating[entry - 1] as number;
    }
    return 0;
  }

  /** The entry of a floating address that held at `time`; 0 when none did. */
  ofFloatingAt(view: DataView, at: number, length: number, time: number): number {
    return this.#heldAt(time, this.#byFloating.get(view, at, length), this.#earlierFloating);
  }

  /** The entry of a fixed address that held at `time`; 0 when none did. */
  ofFixed(view: DataView, at: number, length: number, time: number): number {
    return this.#heldAt(time, this.#byFixed.get(view, at, length), this.#earlierFixed);
  }

  /** Notes that a mapping holds in this round of reading the rules. Returns its entry when it is new, otherwise 0. */
  note(view: DataView, floating: number, fixed: number, length: number, since: number, round: number): number {
    const known = this.ofPair(view, floating, fixed, length);
    if (known > 0 && this.until(known) === Number.POSITIVE_INFINITY) {
      this.#round[known - 1] = round;
      this.#doubted[known - 1] = 0;
      return 0;
    }
    if (this.#count === this.#lengths.length) this.#grow();
    const index = this.#count++;
    const entry = index + 1;
    for (let i = 0; i < length; i++) {
      this.#bytes[this.floatingAt(entry) + i] = view.getUint8(floating + i);
      this.#bytes[this.fixedAt(entry) + i] = view.getUint8(fixed + i);
    }
    this.#lengths[index] = length;
    this.#since[index] = since;
    this.#until[index] = Number.POSITIVE_INFINITY;
    this.#doubted[index] = 0;
    this.#round[index] = round;
    this.#link(entry);
    return entry;
  }

  /** A rule that told this pair was deleted at `time`: if it is not noted again, it was over then. */
  doubt(view: DataView, floating: number, fixed: number, length: number, time: number): void {
    const entry = this.ofPair(view, floating, fixed, length);
    if (entry > 0) this.#doubted[entry - 1] ||= time;
  }

  /** Ends the mappings that were not noted in this round, at `until` where nothing tells exactly when, and tells each. */
  retire(round: number, until: number, onRetired: (entry: number) => void): void {
    for (let index = 0; index < this.#count; index++) {
      if (this.#until[index] !== Number.POSITIVE_INFINITY || this.#round[index] === round) continue;
      this.end(index + 1, until);
      onRetired(index + 1);
    }
  }

  /** Ends a mapping that holds. */
  end(entry: number, time: number): void {
    this.#until[entry - 1] = this.#doubted[entry - 1] || time;
    this.#retired++;
  }

  /** Keeps the history within its bounds: numbers of entries hold until then. */
  forgetOld(): void {
    if (this.#retired > this.#history) this.#forgetOldest();
  }

  /** Tells every mapping that holds. */
  forEach(onEntry: (entry: number) => void): void {
    for (let index = 0; index < this.#count; index++) {
      if (this.#until[index] === Number.POSITIVE_INFINITY) onEntry(index + 1);
    }
  }

  /** Searches from the latest entry of an address on. Of one that began only after `time`, the news may have been late. */
  #heldAt(time: number, latest: number, earlier: Int32Array): number {
    let late = 0;
    for (let entry = latest; entry > 0; entry = earlier[entry - 1] as number) {
      const since = this.since(entry);
      if (since <= time && time < this.until(entry)) return entry;
      if (since > time && since - time <= NEWS_DELAY) late = entry;
    }
    return late;
  }

  /** Tells every mapping of a floating address that holds; it may be ended. */
  forEachOf(view: DataView, at: number, length: number, onEntry: (entry: number) => void): void {
    for (let entry = this.#byFloating.get(view, at, length); entry > 0; ) {
      const earlier = this.#earlierFloating[entry - 1] as number;
      if (this.until(entry) === Number.POSITIVE_INFINITY) onEntry(entry);
      entry = earlier;
    }
  }

  #link(entry: number): void {
    const length = this.lengthOf(entry);
    this.#earlierFloating[entry - 1] = this.#byFloating.get(this.#view, this.floatingAt(entry), length);
    this.#earlierFixed[entry - 1] = this.#byFixed.get(this.#view, this.fixedAt(entry), length);
    this.#byFloating.set(this.#view, this.floatingAt(entry), length, entry);
    this.#byFixed.set(this.#view, this.fixedAt(entry), length, entry);
  }

  #grow(): void {
    const size = 2 * this.#lengths.length;
    const bytes = new Uint8Array(size * ENTRY);
    bytes.set(this.#bytes);
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer);
    this.#lengths = copied(new Uint8Array(size), this.#lengths);
    this.#since = copied(new Float64Array(size), this.#since);
    this.#until = copied(new Float64Array(size), this.#until);
    this.#doubted = copied(new Float64Array(size), this.#doubted);
    this.#earlierFloating = copied(new Int32Array(size), this.#earlierFloating);
    this.#earlierFixed = copied(new Int32Array(size), this.#earlierFixed);
    this.#round = copied(new Int32Array(size), this.#round);
  }

  /** Drops the older half of what is over: entries are in the order in which they began. */
  #forgetOldest(): void {
    let drop = this.#retired >> 1;
    this.#retired -= drop;
    const count = this.#count;
    this.#count = 0;
    this.#byFloating.clear();
    this.#byFixed.clear();
    for (let index = 0; index < count; index++) {
      if (drop > 0 && this.#until[index] !== Number.POSITIVE_INFINITY) {
        drop--;
        continue;
      }
      const to = this.#count++;
      this.#bytes.copyWithin(to * ENTRY, index * ENTRY, (index + 1) * ENTRY);
      for (const column of [this.#lengths, this.#since, this.#until, this.#doubted, this.#round])
        column[to] = column[index] as number;
      this.#link(to + 1);
    }
  }
}

function copied<T extends Uint8Array | Float64Array | Int32Array>(to: T, from: T): T {
  to.set(from);
  return to;
}

/** Whether the bytes at two places are the same; `length` is 4 or 16. */
export function same(a: DataView, at: number, b: DataView, other: number, length: number): boolean {
  for (let i = 0; i < length; i += 4) if (a.getInt32(at + i) !== b.getInt32(other + i)) return false;
  return true;
}
