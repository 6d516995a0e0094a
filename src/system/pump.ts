import { constants } from 'node:os';
import { type Aside, KernelError } from './kernel-request.ts';
import { CUT_SHORT, type NativeSocket } from './native.ts';
import { DATAGRAM_OVERHEAD, WakeUp } from './wake-up.ts';

const { ENOBUFS } = constants.errno;
/** Batches read before other sockets and timers get their turn, unless said otherwise. */
const BATCHES = 16;
/** How many times larger turns are where the buffer cannot grow any more. */
const COALESCED = 4;
/** Enough for a full buffer. After an overrun the kernel drops everything until it is empty (NETLINK_S_CONGESTED). */
const BATCHES_FULL_BUFFER = 1024;

/** What a pump calls. Offsets are into the memory that the socket was opened with, valid until the call returns. */
export interface DatagramHandler {
  /** A datagram: the bytes from `start` up to `end`. */
  onDatagram(start: number, end: number): void;
  /** Every datagram that was there, or as many as fit a turn, was handed over: the time to write. */
  onBatchEnd(): void;
  /** The kernel dropped datagrams because the socket's buffer was full. */
  onOverrun(): void;
  /** The buffer was grown before it could overflow: reading did not keep up, and it was more than half full. */
  onGrown?(): void;
  /** From now on larger portions are read at once, because the buffer could not grow; they never are without this. */
  onCoalesce?(): void;
  /** The datagram that follows did not fit its slot: its end is missing. */
  onTruncated?(): void;
  /** Receiving failed in another way, such as in the middle of a dump. Thrown if nobody handles it. */
  onError?(error: KernelError): void;
}

/** Memory for `slots` (1–1024) datagrams of up to `slotSize` bytes each, from `offset` on. */
export interface Slots {
  readonly memory: ArrayBuffer;
  readonly offset: number;
  readonly slotSize: number;
  readonly slots: number;
}

/** What several sockets may grow by in all. */
export interface Reserve {
  bytes: number;
}

/** How far a pump goes when much comes. */
export interface Pace {
  /** Bytes up to which an overrun, or one that comes near, doubles the socket's buffer; it never grows if undefined. */
  readonly maxBufferSize?: number | undefined;
  /** What this socket and others may grow by in all; without bounds if undefined. */
  readonly reserve?: Reserve | undefined;
  /** Batches that are read before others get their turn: few where the kernel takes its time for each. */
  readonly turn?: number | undefined;
}

/** Reads a socket in batches, woken by the socket or, under load, by the clock. */
export class Pump {
  readonly #socket: NativeSocket;
  readonly #slots: Slots;
  readonly #aside: Aside;
  readonly #turn: number;
  readonly #lengths: Uint32Array;
  #bufferSize: number;
  #maxBufferSize: number;
  readonly #firstBufferSize: number;
  readonly #reserve: Reserve | undefined;
  #handler: DatagramHandler | undefined;
  #wakeUp = new WakeUp(0);
  #timer: NodeJS.Timeout | undefined;
  #watched = false;
  /** What a turn is now. */
  #batches: number;
  /** Since when the socket was not empty at the end of any turn; undefined when it was at the last. */
  #behind: number | undefined;

  /** Throws ErrnoException. */
  constructor(socket: NativeSocket, slots: Slots, aside: Aside, { maxBufferSize = 0, turn = BATCHES, reserve }: Pace) {
    this.#socket = socket;
    this.#slots = slots;
    this.#aside = aside;
    this.#turn = this.#batches = turn;
    this.#lengths = new Uint32Array(slots.slots);
    this.#bufferSize = this.#firstBufferSize = socket.receiveBuffer;
    this.#maxBufferSize = maxBufferSize;
    this.#reserve = reserve;
    this.attach();
  }

  /** Lets the socket receive into the slots. */
  attach(): void {
    const { memory, offset, slotSize, slots } = this.#slots;
    this.#socket.attach(memory, offset, slotSize, slots, this.#lengths);
  }

  /** Bytes of receive buffer. */
  get bufferSize(): number {
    return this.#bufferSize;
  }

  /** Bytes that it had when the socket was opened. */
  get firstBufferSize(): number {
    return this.#firstBufferSize;
  }

  /** Milliseconds for which there was always more to read than a turn could take. */
  get lag(): number {
    return this.#behind === undefined ? 0 : performance.now() - this.#behind;
  }

  /** Undoes what overruns did to the buffer; the next one may grow it again. Throws ErrnoException. */
  restoreBuffer(): void {
    if (this.#bufferSize > this.#firstBufferSize) this.#resize(this.#firstBufferSize);
  }

  /** The portions are the usual ones again. */
  restorePortions(): void {
    this.#batches = this.#turn;
  }

  /** Gives to the reserve what the buffer had from it: the socket is about to be closed. */
  close(): void {
    this.stop();
    if (this.#reserve !== undefined) this.#reserve.bytes += this.#bufferSize - this.#firstBufferSize;
    this.#bufferSize = this.#firstBufferSize;
  }

  /** Begins to hand datagrams over. */
  start(handler: DatagramHandler): void {
    this.#handler = handler;
    this.#wakeUp = new WakeUp(performance.now());
    this.#sleep(0);
    this.takeAside();
  }

  /** Sees to it that what lies aside is handed over soon, though the socket itself may have nothing more to say. */
  takeAside(): void {
    if (this.#handler !== undefined && !this.#aside.empty) this.#sleep(1);
  }

  /** Hands over at once what the kernel has queued by now: the last thing to do before `stop`. */
  drain(): void {
    if (this.#handler === undefined) return;
    // All that the buffer can hold: what is left behind in a socket that is closed nobody counts.
    const most = Math.ceil((this.#bufferSize * 2) / DATAGRAM_OVERHEAD / this.#slots.slots);
    this.#read(this.#handler, Math.max(most, BATCHES_FULL_BUFFER));
  }

  /** Hands over what fits a turn of what the kernel has queued by now; the rest comes by itself. */
  turn(): void {
    if (this.#handler !== undefined) this.#read(this.#handler, this.#turn);
  }

  /** Calls the handler no more; called by the handler, the batch in hand is still handed over. */
  stop(): void {
    this.#handler = undefined;
    this.#watched = false;
    this.#socket.unwatch();
    clearTimeout(this.#timer);
  }

  /** Arranges for the next drain: when the socket is readable (0) or after `delay` ms. */
  #sleep(delay: number): void {
    clearTimeout(this.#timer);
    if (delay === 0 && !this.#watched) this.#socket.watch(this.#wake);
    if (delay > 0 && this.#watched) this.#socket.unwatch();
    if (delay > 0) this.#timer = setTimeout(this.#wake, delay);
    this.#watched = delay === 0;
  }

  readonly #wake = (): void => {
    let delay = 0;
    try {
      if (this.#handler !== undefined) delay = this.#read(this.#handler, this.#batches);
    } finally {
      // Also when a handler threw: that must not silence the pump.
      if (this.#handler !== undefined) this.#sleep(delay);
    }
  };

  /** Reads until the socket is empty or others want their turn; returns the delay until the next drain. */
  #read(handler: DatagramHandler, atMost: number): number {
    let datagrams = 0;
    let bytes = 0;
    let batches = atMost;
    while (batches > 0 && this.#handler === handler) {
      const count = this.#aside.empty ? this.#socket.receive() : this.#recall();
      if (count === -ENOBUFS) {
        if (!this.#grow()) this.#coalesce(handler);
        handler.onOverrun();
        batches = BATCHES_FULL_BUFFER;
        continue;
      }
      batches--;
      if (count < 0) {
        this.#fail(handler, -count);
        continue;
      }
      bytes += this.#deliver(handler, count);
      datagrams += count;
      // A batch that is not full has emptied the socket: no need to ask again.
      if (count < this.#slots.slots && this.#aside.empty) break;
    }
    if (datagrams > 0) handler.onBatchEnd();
    const now = performance.now();
    const delay = this.#wakeUp.after(datagrams, bytes, now, this.#bufferSize);
    if (batches > 0) {
      this.#behind = undefined;
      return delay;
    }
    this.#behind ??= now;
    // A full buffer costs all that comes until it is empty (NETLINK_S_CONGESTED): it is grown while there is room.
    if (this.#socket.queued() * 2 > this.#bufferSize) {
      if (this.#grow()) handler.onGrown?.();
      else this.#coalesce(handler);
    }
    return 0;
  }

  #coalesce(handler: DatagramHandler): void {
    if (handler.onCoalesce === undefined || this.#batches > this.#turn) return;
    this.#batches = COALESCED * this.#turn;
    handler.onCoalesce();
  }

  #deliver(handler: DatagramHandler, count: number): number {
    const { offset, slotSize } = this.#slots;
    let bytes = 0;
    for (let i = 0; i < count; i++) {
      const length = this.#lengths[i]!;
      if (length === 0) continue;
      if (length >= CUT_SHORT) handler.onTruncated?.();
      const start = offset + i * slotSize;
      const size = length & ~CUT_SHORT;
      bytes += size;
      handler.onDatagram(start, start + size);
    }
    return bytes;
  }

  /** Puts what requests left aside into the slots, as if it had just been received. */
  #recall(): number {
    if (this.#aside.overrun) {
      this.#aside.overrun = false;
      return -ENOBUFS;
    }
    const { memory, offset, slotSize, slots } = this.#slots;
    const batch = this.#aside.datagrams.splice(0, slots);
    batch.forEach(({ bytes, length }, i) => {
      new Uint8Array(memory, offset + i * slotSize, slotSize).set(bytes);
      this.#lengths[i] = length;
    });
    return batch.length;
  }

  /** Whether the buffer is larger now. */
  #grow(): boolean {
    const before = this.#bufferSize;
    const wanted = Math.min(before * 2, this.#maxBufferSize, before + (this.#reserve?.bytes ?? before));
    if (wanted <= before) return false;
    this.#resize(wanted);
    if (this.#bufferSize > before) return true;
    this.#maxBufferSize = 0; // at net.core.rmem_max: asking again would be in vain
    return false;
  }

  #resize(size: number): void {
    const before = this.#bufferSize;
    this.#bufferSize = this.#socket.setReceiveBuffer(size);
    if (this.#reserve !== undefined) this.#reserve.bytes += before - this.#bufferSize;
  }

  #fail(handler: DatagramHandler, errno: number): void {
    const error = new KernelError('receive', errno);
    if (handler.onError === undefined) throw error;
    handler.onError(error);
  }
}
