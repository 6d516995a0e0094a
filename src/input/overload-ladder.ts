import type { Log } from '../pipeline/plugin.ts';
import { Seldom } from '../system/seldom.ts';

/** Without an overrun for so long, the last step is undone; then the one before, and so on. In ms. */
const QUIET = 30_000;
/** Reading in larger portions comes and goes with every burst: said once in so long. In ms. */
const PACE_INTERVAL = 60_000;
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
 * What an input does, in order, when much comes: it reads in larger portions (WakeUp); the socket's buffer grows as far as
 * it may; what can be done without is; then events are lost, and counted. Each step is said, counted, and undone when it
 * is quiet.
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
  readonly #sayingPace = new Seldom(PACE_INTERVAL);
  #sayPaceEnd = false;
  /** Times that reading in larger portions began, that the buffer grew, and that the dispensable was given up. */
  readonly steps = { coalesced: 0, grown: 0, givenUp: 0 };

  constructor(name: string, log: Log, socket: GrowingSocket, dispensable?: Dispensable) {
    this.#name = name;
    this.#log = log;
    this.#socket = socket;
    this.#dispensable = dispensable;
    this.#smallest = this.#size = socket.bufferSize;
  }

  /** The socket's pump begins to read in larger portions, or is woken by each event again. */
  coalesce(coalesces: boolean): void {
    if (coalesces) {
      this.steps.coalesced++;
      this.#sayPaceEnd = this.#sayingPace.isTime();
      if (this.#sayPaceEnd) this.#log.info(`${this.#name}: many events: reads them in larger portions`);
    } else if (this.#sayPaceEnd) this.#log.info(`${this.#name}: reads events as they come again`);
  }

  /** The socket has grown its buffer before it was full. */
  grown(): void {
    this.#noteGrowth();
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
