import type { JudgedPackets } from './judged-packets.ts';

/** Milliseconds after which nobody speaks of a packet any more: the kernel is done with it in microseconds. */
const PATIENCE = 500;
/** For so long (ms) what is known of the rules of a namespace holds. */
const HOLDS = 10_000;

/** What is asked of the one whose packets they are. */
export interface SilenceListener {
  /** Reads what the kernel has told by now. */
  drain(): void;
  /** Messages that were lost, so far. */
  drops(): number;
  /** Whether the namespace has rules of iptables-legacy. */
  hasLegacyRules(): Promise<boolean>;
  /** A rule of iptables-legacy has dropped this one. */
  onDropped(place: number): void;
  /** No more for now. */
  onEnd(): void;
}

/**
 * Packets of which nobody speaks any more. The kernel traces no rules of iptables-legacy, so of what they drop this silence is all there
 * is. It counts as a drop only where there are such rules, and where no message was lost since the packet was seen.
 */
export class Silence {
  readonly #packets: JudgedPackets;
  readonly #listener: SilenceListener;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;
  #hasLegacy = false;
  #asked = Number.NEGATIVE_INFINITY;
  #drops = 0;
  /** Nothing was lost after this, in ms since 1970. */
  #lossBefore = 0;

  constructor(packets: JudgedPackets, listener: SilenceListener) {
    this.#packets = packets;
    this.#listener = listener;
    this.#drops = listener.drops();
  }

  /** Has those that await their verdict looked at later. */
  watch(): void {
    if (this.#timer !== undefined || this.#stopped || this.#packets.waiting === 0) return;
    this.#timer = setTimeout(() => void this.#look(), PATIENCE);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  async #look(): Promise<void> {
    const before = Date.now() - PATIENCE;
    if (this.#packets.waitSince(before) && before > this.#asked + HOLDS) {
      this.#hasLegacy = await this.#listener.hasLegacyRules();
      this.#asked = before;
    }
    if (this.#stopped) return;
    this.#timer = undefined;
    this.#listener.drain();
    this.#noteLoss();
    this.#packets.overdue(before, (place, since) => {
      if (this.#hasLegacy && since > this.#lossBefore) this.#listener.onDropped(place);
    });
    this.#listener.onEnd();
    this.watch();
  }

  #noteLoss(): void {
    const drops = this.#listener.drops();
    if (drops !== this.#drops) this.#lossBefore = Date.now();
    this.#drops = drops;
  }
}
