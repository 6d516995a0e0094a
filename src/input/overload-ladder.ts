import type { Log } from '../pipeline/plugin.ts';

/** Without an overrun for so long, the last step is undone; then the one before, and so on. In ms. */
const QUIET = 30_000;
/** Overruns for so long without room to grow are no passing burst. In ms. */
const LASTING = 1000;

/** A socket whose buffer grows by itself when it was full (Pump). */
interface GrowingSocket {
  readonly bufferSize: number;
  /** Gives the buffer the size again that it was opened with. */
  restoreBuffer(): void;
}

/** Something that an input can do without for a while. */
export interface Dispensable {
  /** What it is, such as `UPDATE events`. */
  readonly what: string;
  giveUp(): void;
  takeUp(): void;
}

/**
 * What an input does, in order, when the kernel had to drop events: the socket's buffer grows as far as it may; then what
 * can be done without is; then events are lost, and counted. Each step is said, counted, and undone when it is quiet.
 * (Reading in larger portions comes before all this, and needs no telling: WakeUp.)
 */
export class OverloadLadder {
  readonly #name: string;
  readonly #log: Log;
  readonly #socket: GrowingSocket;
  readonly #dispensable: Dispensable | undefined;
  readonly #smallest: number;
  #size: number;
  #without = false;
  /** When the first overrun came that the buffer could not answer by growing. */
  #since: number | undefined;
  #timer: NodeJS.Timeout | undefined;
  /** Times that the buffer grew, and that the dispensable was given up. */
  readonly steps = { grown: 0, givenUp: 0 };

  constructor(name: string, log: Log, socket: GrowingSocket, dispensable?: Dispensable) {
    this.#name = name;
    this.#log = log;
    this.#socket = socket;
    this.#dispensable = dispensable;
    this.#smallest = this.#size = socket.bufferSize;
  }

  /** The kernel dropped events; the socket has grown its buffer already, if it may. */
  overrun(): void {
    const { bufferSize } = this.#socket;
    if (bufferSize > this.#size) {
      this.steps.grown++;
      this.#log.notice(`${this.#name}: the socket buffer was grown from ${this.#size} to ${bufferSize} bytes`);
      this.#size = bufferSize;
    } else if (this.#dispensable !== undefined && !this.#without) this.#goWithout(this.#dispensable);
    this.#wait();
  }

  /** Ends it before the socket is closed: what was given up is taken up, so that it is known for how long it was not. */
  stop(): void {
    clearTimeout(this.#timer);
    if (this.#without) this.#dispensable?.takeUp();
    this.#without = false;
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
    const isUp = this.#without || this.#since !== undefined || this.#size > this.#smallest;
    if (isUp) this.#timer = setTimeout(this.#undo, QUIET).unref();
  }

  readonly #undo = (): void => {
    this.#since = undefined;
    if (this.#without && this.#dispensable !== undefined) {
      this.#without = false;
      this.#dispensable.takeUp();
      this.#log.notice(`${this.#name}: takes ${this.#dispensable.what} again`);
    } else if (this.#size > this.#smallest) {
      this.#socket.restoreBuffer();
      this.#size = this.#socket.bufferSize;
      this.#log.notice(`${this.#name}: the socket buffer is ${this.#size} bytes again`);
      if (this.#size > this.#smallest) return; // not to be had: no use in asking for ever
    }
    this.#wait();
  };
}
