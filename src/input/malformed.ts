import type { Log } from '../pipeline/plugin.ts';

const SHOWN = 64;

/** Counts what the kernel sent and no decoder understood, and says so at most once a second: never an exception. */
export class Malformed {
  messages = 0;
  readonly #name: string;
  readonly #log: Log;
  #lastLine = Number.NEGATIVE_INFINITY;

  constructor(name: string, log: Log) {
    this.#name = name;
    this.#log = log;
  }

  /** A datagram that did not fit its slot: its last message will be counted too, as it is cut. */
  add(): void {
    this.messages++;
  }

  /** Counts the message between `start` and `end`. */
  count(view: DataView, start: number, end: number): void {
    this.messages++;
    const now = performance.now();
    if (now - this.#lastLine < 1000) return;
    this.#lastLine = now;
    const bytes = Buffer.from(view.buffer as ArrayBuffer, view.byteOffset + start, Math.min(end - start, SHOWN));
    const more = end - start > SHOWN ? '…' : '';
    this.#log.error(`${this.#name}: malformed message, ${this.messages} so far: ${bytes.toString('hex')}${more}`);
  }
}
