import type { Slots } from '../system/pump.ts';
import { SLACK } from '../wire/ascii.ts';

/** A cache line: neighbours do not share one. */
const LINE = 64;
/** What WebAssembly's memories consist of. */
const PAGE = 64 << 10;

/** What is handed out of a buffer, and what came back. */
class Room {
  readonly size: number;
  used = 0;
  /** Offsets that were given back, by size. */
  readonly free = new Map<number, number[]>();
  /** Offsets of slots that sockets receive into, by what they are for. */
  readonly slots = new Map<string, number>();

  constructor(size: number) {
    this.size = size;
  }
}

interface Reserved {
  readonly offset: number;
  readonly size: number;
}

/**
 * All bytes that a record's values can point into: received datagrams and the text that filters make of them.
 * One buffer, so that a value is an (offset, length) pair whoever wrote it, and no payload is ever copied to be read.
 * Pages that nobody touches cost nothing.
 */
export class Memory {
  /** The same memory, for code that is made for it (`wire/wasm.ts`). */
  readonly linear: WebAssembly.Memory;
  readonly buffer: ArrayBuffer;
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly #room: Room;
  readonly #reserved: Reserved[] = [];

  /** `whole`: bytes of a new buffer, or the memory that this one is to be a part of. */
  constructor(whole: number | Memory) {
    if (whole instanceof Memory) {
      ({ linear: this.linear, buffer: this.buffer, bytes: this.bytes, view: this.view } = whole);
      this.#room = whole.#room;
    } else {
      // Text is read in words, up to the last one beyond its end.
      this.linear = linearMemory(Math.ceil((whole + SLACK) / PAGE));
      this.buffer = this.linear.buffer;
      this.bytes = new Uint8Array(this.buffer);
      this.view = new DataView(this.buffer);
      this.#room = new Room(whole);
    }
  }

  /** The same bytes, for somebody who will `release` what he reserves of them. */
  part(): Memory {
    return new Memory(this);
  }

  /** Sets `size` bytes aside for the caller and returns their offset. Throws RangeError when none are left. */
  reserve(size: number): number {
    const whole = wholeLines(size);
    const offset = this.#room.free.get(whole)?.pop() ?? this.#take(size);
    this.#reserved.push({ offset, size: whole });
    return offset;
  }

  /**
   * Sets room for `slots` datagrams of up to `slotSize` bytes aside, for good, for all sockets that give this name: each is
   * done with what it received before another one is read. Throws RangeError when none is left.
   */
  slots(name: string, slots: number, slotSize: number): Slots {
    const key = `${name} ${slots} ${slotSize}`;
    const offset = this.#room.slots.get(key) ?? this.#take(slots * slotSize);
    this.#room.slots.set(key, offset);
    return { memory: this.buffer, offset, slotSize, slots };
  }

  /** Gives back what was reserved here at `offset`. */
  free(offset: number): void {
    const index = this.#reserved.findIndex((one) => one.offset === offset);
    if (index >= 0) for (const one of this.#reserved.splice(index, 1)) this.#giveBack(one);
  }

  /** Gives back all that was reserved here: the next that wants as much gets it. */
  release(): void {
    for (const one of this.#reserved.splice(0)) this.#giveBack(one);
  }

  #giveBack({ offset, size }: Reserved): void {
    const free = this.#room.free.get(size);
    if (free === undefined) this.#room.free.set(size, [offset]);
    else free.push(offset);
  }

  #take(size: number): number {
    const offset = this.#room.used;
    const end = offset + wholeLines(size);
    if (end > this.#room.size) throw new RangeError(`no room for ${size} more bytes in the pipeline's memory`);
    this.#room.used = end;
    return offset;
  }
}

/** V8 sets addresses aside for all that 32 bits could reach, and spares each access a comparison; it takes no memory for them. */
function linearMemory(pages: number): WebAssembly.Memory {
  try {
    return new WebAssembly.Memory({ initial: pages, maximum: pages });
  } catch (cause) {
    const mend = 'raise the limit (ulimit -v, LimitAS=), or set NODE_OPTIONS=--disable-wasm-trap-handler';
    throw new Error(`too few addresses for the memory of events, 10 GB of which are only set aside: ${mend}`, {
      cause,
    });
  }
}

const wholeLines = (size: number): number => (size + LINE - 1) & -LINE;
