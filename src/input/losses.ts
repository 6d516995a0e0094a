import type { Deliver, Log, SocketState } from '../pipeline/plugin.ts';
import type { Clock } from '../system/clock.ts';

/** Shortest time between two lines of the log, and between two gap records, in ms. */
const INTERVAL = 1000;

/** What Losses asks of a socket. */
interface LossySocket {
  readonly bufferSize: number;
  drops(): number;
  state(): SocketState;
}

/**
 * What an input lost in the kernel: counts it, says it at most once a second, and has the outputs write where it is
 * missing. Where the kernel numbers events, their numbers tell (`missed`); elsewhere its count of what did not fit the
 * socket does.
 */
export class Losses {
  readonly #name: string;
  readonly #what: string;
  readonly #numbered: boolean;
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #deliver: Deliver;
  readonly #isRetried: () => boolean;
  #socket: LossySocket | undefined;
  /** Overruns that were not said yet; the one that was said with a line of its own is none of them. */
  #unsaid = 0;
  #speaking: NodeJS.Timeout | undefined;
  /** The kernel's count of drops, modulo 2³², when it was last read. */
  #drops = 0;
  /** Second of the clock in which it was last read. */
  #asked = 0;
  /** Drops that the gaps in the numbers have shown so far. */
  #shown = 0;
  /** Something may have been dropped since the count was last read. */
  #stirred = false;
  #pending = 0;
  #exact = true;
  #reporting: NodeJS.Timeout | undefined;
  #reported = Number.NEGATIVE_INFINITY;
  /** When the last batch without a loss ended, in seconds and microseconds. */
  #seconds = 0;
  #microseconds = 0;

  /**
   * `what` is what is lost, such as `events`; `numbered` says that the kernel numbers them, `isRetried` that it now delivers
   * later what it could not: that is dropped, but not lost.
   */
  constructor(
    name: string,
    what: string,
    numbered: boolean,
    log: Log,
    clock: Clock,
    deliver: Deliver,
    isRetried: () => boolean = () => false,
  ) {
    this.#name = name;
    this.#what = what;
    this.#numbered = numbered;
    this.#log = log;
    this.#clock = clock;
    this.#deliver = deliver;
    this.#isRetried = isRetried;
  }

  /** Begins to watch a socket; `drops` are those of which somebody else has told. */
  begin(socket: LossySocket, drops = 0): void {
    this.#socket = socket;
    this.#drops = drops;
    this.#clock.update();
    this.#remember();
  }

  /** The kernel says that the socket's buffer was full. */
  overrun(): void {
    this.#deliver.ledger.overruns++;
    this.#stirred = true;
    if (this.#speaking !== undefined) {
      this.#unsaid++;
      return;
    }
    this.#log.error(
      `${this.#name}: the kernel dropped ${this.#what}: the socket buffer of ${this.#socket?.bufferSize} bytes was full`,
    );
    this.#speaking = setTimeout(this.#sayMore, INTERVAL).unref();
  }

  /** The numbers of two events that followed each other differ by `count` more than 1. */
  missed(count: number): void {
    const { ledger } = this.#deliver;
    this.#readDrops();
    // Where nothing was dropped, somebody has begun to count anew; nor can half of all numbers be missing.
    if ((ledger.kernelDrops === 0 && ledger.overruns === 0) || count >= 0x8000_0000) return;
    this.#shown = ledger.kernelDrops;
    ledger.lost += count;
    this.#pending += count;
  }

  /**
   * A batch was read: what was lost before it is reported now, or as soon as the last report is a second old. The kernel's
   * count is read in every second at least once, so that the ledger is never older.
   */
  endBatch(): void {
    if (this.#clock.seconds !== this.#asked) this.#update();
    else if (this.#stirred && !this.#numbered) this.#estimate();
    if (this.#pending > 0) this.#report();
    else this.#remember();
  }

  /** Brings the ledger up to date with the kernel, and says how the socket is; undefined when none is open. */
  look(): SocketState | undefined {
    this.#update();
    return this.#socket?.state();
  }

  /** Reports what is left, and also what only the next event would have shown. */
  end(): void {
    clearTimeout(this.#speaking);
    clearTimeout(this.#reporting);
    if (this.#socket === undefined) return;
    this.#clock.update();
    if (this.#unsaid > 0) this.#say();
    // The kernel says that the buffer was full with the next read, and there may have been none.
    if (this.#numbered) this.#estimateTail();
    else this.#estimate();
    if (this.#pending > 0) this.#write();
    this.#socket = undefined;
  }

  /** Without numbers, every datagram that was dropped is one event. */
  #estimate(): void {
    const dropped = this.#readDrops();
    // The kernel drops on until the buffer is empty: watched until nothing was dropped between two looks.
    this.#stirred = dropped > 0;
    if (dropped === 0 || this.#isRetried()) return;
    this.#exact = false;
    this.#deliver.ledger.lostEstimated += dropped;
    this.#pending += dropped;
  }

  /** What was dropped behind the last event that came: as many to a datagram as in those that are known. */
  #estimateTail(): void {
    const { ledger } = this.#deliver;
    this.#readDrops();
    const datagrams = ledger.kernelDrops - this.#shown;
    if (datagrams <= 0) return;
    const each = this.#shown > 0 ? ledger.lost / this.#shown : 1;
    const lost = Math.max(1, Math.round(datagrams * each));
    this.#exact = false;
    ledger.lostEstimated += lost;
    this.#pending += lost;
  }

  /** Counts what was dropped by now, before the next event can show it. */
  #update(): void {
    this.#asked = this.#clock.seconds;
    if (this.#numbered) this.#readDrops();
    else {
      this.#estimate();
      this.#stirred = true; // between now and the next batch more may be dropped
    }
  }

  #readDrops(): number {
    if (this.#socket === undefined) return 0;
    const now = this.#socket.drops();
    const more = (now - this.#drops) >>> 0;
    this.#drops = now;
    this.#deliver.ledger.kernelDrops += more;
    return more;
  }

  #remember(): void {
    this.#seconds = this.#clock.seconds;
    this.#microseconds = this.#clock.microseconds;
  }

  #report(): void {
    if (this.#reporting !== undefined) return;
    const rest = this.#reported + INTERVAL - performance.now();
    if (rest <= 0) this.#write();
    else this.#reporting = setTimeout(this.#write, rest);
  }

  readonly #write = (): void => {
    this.#reporting = undefined;
    this.#reported = performance.now();
    const { seconds, microseconds } = this.#clock;
    this.#deliver.gap({
      input: this.#name.slice(0, this.#name.indexOf(':')),
      from: this.#seconds * 1000 + this.#microseconds / 1000,
      to: seconds * 1000 + microseconds / 1000,
      lost: this.#pending,
      exact: this.#exact,
      cause: 'socket overrun',
    });
    this.#pending = 0;
    this.#exact = true;
    this.#remember();
  };

  readonly #sayMore = (): void => {
    this.#speaking = undefined;
    if (this.#unsaid === 0) return;
    this.#say();
    this.#speaking = setTimeout(this.#sayMore, INTERVAL).unref();
  };

  #say(): void {
    this.#update();
    const { overruns, kernelDrops } = this.#deliver.ledger;
    this.#log.error(
      `${this.#name}: the kernel dropped ${this.#what} ${this.#unsaid} more times, ${overruns} so far, ${kernelDrops} datagrams in all: the socket buffer of ${this.#socket?.bufferSize} bytes was full`,
    );
    this.#unsaid = 0;
  }
}
