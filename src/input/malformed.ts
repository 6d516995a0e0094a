import type { InputLedger } from '../pipeline/ledger.ts';
import type { Log } from '../pipeline/plugin.ts';

const SHOWN = 64;

/** Counts what the kernel sent and no decoder understood, and says so at most once a second: never an exception. */
export class Malformed {
  readonly #name: string;
  readonly #log: Log;
  readonly #ledger: InputLedger;
  #lastLine = Number.NEGATIVE_INFINITY;

  /** Counts into the ledger of its input. */
  constructor(name: string, log: Log, ledger: InputLedger) {
    this.#name = name;
    this.#log = log;
    this.#ledger = ledger;
  }

  /** A datagram that did not fit its slot: its last message will be counted too, as it is cut. */
  add(): void {
    this.#ledger.malformed++;
  }

  /** Counts the message between `start` and `end`. */
  count(view: DataView, start: number, end: number): void {
    this.#ledger.malformed++;
    const now = performance.now();
    if (now - this.#lastLine < 1000) return;
    this.#lastLine = now;
    const bytes = Buffer.from(view.buffer as ArrayBuffer, view.byteOffset + start, Math.min(end - start, SHOWN));
    const more = end - start > SHOWN ? '…' : '';
    this.#log.error(
      `${this.#name}: malformed message, ${this.#ledger.malformed} so far: ${bytes.toString('hex')}${more}`,
    );
  }
}
