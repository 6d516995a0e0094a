import type { InputLedger } from '../pipeline/ledger.ts';
import type { Log } from '../pipeline/plugin.ts';
import { Seldom } from '../system/seldom.ts';

/** Bytes of a message that the log shows. */
const SHOWN = 64;
/** Milliseconds between two lines of the log. */
const INTERVAL = 1000;

/** Counts what no decoder understood of what an input was sent, and says so at most once a second: never an exception. */
export class Malformed {
  readonly #name: string;
  readonly #log: Log;
  readonly #ledger: InputLedger;
  readonly #what: string;
  readonly #saying = new Seldom(INTERVAL);

  /** Counts into the ledger of its input; `what` is what the log calls it. */
  constructor(name: string, log: Log, ledger: InputLedger, what = 'malformed message') {
    this.#name = name;
    this.#log = log;
    this.#ledger = ledger;
    this.#what = what;
  }

  /** One of which there is nothing to show: a datagram that did not fit its slot, whose last message will be counted too; a cut frame. */
  add(): void {
    this.#ledger.malformed++;
  }

  /** Counts the message between `start` and `end`. */
  count(view: DataView, start: number, end: number): void {
    this.#ledger.malformed++;
    if (!this.#saying.isTime()) return;
    const bytes = Buffer.from(view.buffer as ArrayBuffer, view.byteOffset + start, Math.min(end - start, SHOWN));
    const more = end - start > SHOWN ? '…' : '';
    this.#log.error(`${this.#name}: ${this.#what}, ${this.#ledger.malformed} so far: ${bytes.toString('hex')}${more}`);
  }
}
