import type { Log } from '../pipeline/plugin.ts';

/** Without an overrun for so long, the last step is undone; then the one before, and so on. In ms. */
const QUIET = 30_000;
/** Overruns for so long without room to grow are no passing burst. In ms. */
const LASTING = 1000;

/** A socket whose buffer grows by itself when it is full, and which reads larger portions when it cannot (Pump). */
interface GrowingSocket {
  readonly bufferSize: number;
  readonly firstBufferSize: number;
  /** Gives the buffer the size again that it was opened with. */
  restoreBuffer(): void;
  restorePortions(): void;
}

/** Something that an input can do without for a while. */
export interface Dispensable {
  /** What it is, such as `UPDATE events`. */
  readonly what: string;
  giveUp(): void;
  takeUp(): void;
}

/**
 * What an input does, in order, when more comes than it can read: the socket's buffer grows as far as it may; larger
 * portions are read; what can be done without is; then events are lost, and counted. Each step is said, counted, and undone
 * when it is quiet, the last one first.
 */
export class OverloadLadder {
  readonly #name: string;
  readonly #log: Log;
  readonly #socket: GrowingSocket;
  readonly #dispensable: Dispensable | undefined;
  readonly #smallest: number;
  #size: number;
  #coalesces = false;
  #without = false;
  /** When the first overrun came that the buffer could not answer by growing. */
  #since: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** Times that the buffer grew, that larger portions were read, and that the dispensable was given up. */
  readonly steps = { grown: 0, coalesced: 0, givenUp: 0 };

  constructor(name: string, log: Log, socket: GrowingSocket, dispensable?: Dispensable) {
    this.#name = name;
    this.#log = log;
    this.#socket = socket;
    this.#dispensable = dispensable;
    this.#smallest = socket.firstBufferSize;
    this.#size = socket.bufferSize;
    this.#wait(); // a socket that is handed on may have grown
  }

  /** The socket has grown its buffer before it was full. */
  grown(): void {
    this.#noteGrowth();
    this.#wait();
  }

  /** The socket could not grow its buffer, and reads larger portions. */
  coalesced(): void {
    this.#coalesces = true;
    this.steps.coalesced++;
    this.#log.notice(`${this.#name}: more comes than can be read: reads it in larger portions`);
    this.#wait();
  }

  /** The kernel dropped events; the socket has grown its buffer already, if it may. */
  overrun(): void {
    if (!this.#noteGrowth() && this.#dispensable !== undefined && !this.#without) this.#goWithout(this.#dispensable);
    this.#wait();
  }

  /** Ends it before the socket is closed: what was given up is taken up, so that it is known for how long it was not. */
  stop(): void {
    clearTimeout(this.#timer);
    if (this.#without) this.#dispensable?.takeUp();
    this.#without = false;
    this.#socket.restorePortions();
  }

  #noteGrowth(): boolean {
    const { bufferSize } = this.#socket;
    if (bufferSize <= this.#size) return false;
    this.steps.grown++;
    this.#log.notice(`${this.#name}: the socket buffer was grown from ${this.#size} to ${bufferSize} bytes`);
    this.#size = bufferSize;
    return true;
  }

  #goWithout(dispensable: Dispensable): void {
    const now = performance.now();
    this.#since ??= now;
    if (now - this.#since < LASTING) return;
    this.#without = true;
    this.steps.givenUp++;
    dispensable.giveUp();
    this.#log.notice(`${this.#name}: goes on without ${dispensable.what} until the load falls`);
  }

  #wait(): void {
    clearTimeout(this.#timer);
    const isUp = this.#without || this.#coalesces || this.#since !== undefined || this.#size > this.#smallest;
    if (isUp) this.#timer = setTimeout(this.#undo, QUIET).unref();
  }

  readonly #undo = (): void => {
    this.#since = undefined;
    if (this.#without && this.#dispensable !== undefined) {
      this.#without = false;
      this.#dispensable.takeUp();
      this.#log.notice(`${this.#name}: takes ${this.#dispensable.what} again`);
    } else if (this.#coalesces) {
      this.#coalesces = false;
      this.#socket.restorePortions();
      this.#log.notice(`${this.#name}: reads the usual portions again`);
    } else if (this.#size > this.#smallest) {
      this.#socket.restoreBuffer();
      this.#size = this.#socket.bufferSize;
      this.#log.notice(`${this.#name}: the socket buffer is ${this.#size} bytes again`);
      if (this.#size > this.#smallest) return; // not to be had: no use in asking for ever
    }
    this.#wait();
  };
}
