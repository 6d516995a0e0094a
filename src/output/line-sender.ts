import type { Destination } from '../delivery/destination.ts';
import { type DeliveryOptions, senderSettings } from '../delivery/options.ts';
import { Sender } from '../delivery/sender.ts';
import type { OutputAccount } from '../pipeline/ledger.ts';
import type { Log } from '../pipeline/plugin.ts';
import { LineBuffer } from '../wire/line-buffer.ts';
import type { LineSink } from './line-sink.ts';
import { senderAccount, senderCounters } from './sender-account.ts';

/** Lines are handed on in batches of about this many bytes. */
const BATCH_SIZE = 64 << 10;

/** Lines that go through a sender: to a network peer that may be away. */
export class LineSender implements LineSink {
  readonly buffer: LineBuffer;
  readonly #destination: () => Destination;
  readonly #options: DeliveryOptions;
  readonly #name: string;
  readonly #log: Log;
  #sender: Sender | undefined;
  #pending = 0;
  /** Lines that waited for it to open, which it never did. */
  #refused = 0;

  /** `destination` is called when it opens, and throws if there can be none; `name` is that of the output, for messages. */
  constructor(
    destination: () => Destination,
    options: DeliveryOptions,
    name: string,
    log: Log,
    buffer = new LineBuffer(),
  ) {
    this.buffer = buffer;
    this.#destination = destination;
    this.#options = options;
    this.#name = name;
    this.#log = log;
  }

  open(): void {
    if (this.#sender) return;
    const sender = new Sender(this.#destination(), senderSettings(this.#options), {
      notice: (message) => this.#log.notice(`${this.#name}: ${message}`),
      error: (message) => this.#log.error(`${this.#name}: ${message}`),
    });
    sender.start();
    this.#sender = sender;
  }

  endLine(at: number): void {
    this.buffer.length = at;
    this.#pending++;
    if (at >= BATCH_SIZE) this.flush();
  }

  note(text: string): void {
    this.flush();
    this.#sender?.push(Buffer.from(`${text}\n`), 0);
  }

  flush(): void {
    const { buffer } = this;
    if (buffer.length === 0 || !this.#sender) return;
    this.#sender.push(buffer.bytes.slice(0, buffer.length), this.#pending);
    buffer.length = 0;
    this.#pending = 0;
  }

  /** A connection has no name that could have been moved away. */
  reopen(): void {}

  async close(): Promise<void> {
    this.flush();
    await this.#sender?.drain(this.#options.stop_timeout * 1000);
    this.#refused += this.#pending;
    this.#pending = 0;
    this.buffer.release();
  }

  /** What became of the lines of this process: those that an earlier one left in the spool are in `counters`. */
  account(): OutputAccount {
    const counts = this.#sender?.counts();
    if (counts === undefined) {
      return { sink: this, written: 0, queued: this.#pending, dropped: { 'not opened': this.#refused }, bytes: 0 };
    }
    return senderAccount(this, counts, this.#pending);
  }

  counters(): { readonly [what: string]: number } {
    const counts = this.#sender?.counts();
    if (counts === undefined) return {};
    return senderCounters(counts);
  }
}
