import { type MessageSettings, MessageWriter, type Template } from '../wire/ipfix.ts';
import { LineSender } from './line-sender.ts';

/** Messages of IPFIX that go through a sender, in batches of whole messages. */
export class IpfixSink extends LineSender {
  /** Connections that the kernel has not told of, since the start. */
  lost = 0;
  readonly #messages: MessageWriter;
  readonly #interval: number;
  #timer: NodeJS.Timeout | undefined;

  /** `interval` is how often it flushes by itself, in milliseconds; 0 for never. */
  constructor(settings: MessageSettings, interval: number, ...rest: ConstructorParameters<typeof LineSender>) {
    super(...rest);
    this.#messages = new MessageWriter(this.buffer, settings);
    this.#interval = interval;
  }

  override open(): void {
    super.open();
    if (this.#interval > 0) this.#timer ??= setInterval(() => this.flush(), this.#interval);
  }

  override close(): Promise<void> {
    clearInterval(this.#timer);
    return super.close();
  }

  /** Whether a record still has room in the message that is open. */
  fits(template: Template): boolean {
    return this.#messages.fits(template);
  }

  /** Makes room for a record and returns its offset: `endLine` ends a connection, `endNote` what is none. */
  begin(template: Template, seconds: number): number {
    return this.#messages.begin(template, seconds);
  }

  /** Ends a record that stands for no event. */
  endNote(at: number): void {
    this.buffer.length = at;
  }

  override flush(): void {
    this.#messages.close();
    super.flush();
  }
}
