import { Backlog, type BacklogCounts } from './backlog.ts';
import type { Destination, Progress } from './destination.ts';
import { Laggard, type Standing } from './laggard.ts';
import { Reconnect } from './reconnect.ts';
import type { SenderSettings } from './sender-settings.ts';

/** Batches given to the destination before sockets and timers get their turn. */
const BATCHES_PER_TURN = 16;
/** Bytes that a destination which acknowledges may owe an answer for. */
const UNACKNOWLEDGED = 1 << 20;
/** Milliseconds that a peer has, when all is sent, to close its end too. */
const FAREWELL = 1000;
/** Milliseconds after which a connection is worth a message: a peer that takes it and drops it gets none. */
const STEADY = 1000;

/** Where messages for the operator go. */
export interface Reports {
  notice(message: string): void;
  error(message: string): void;
}

/** What a sender counts. */
export interface SenderCounts extends BacklogCounts {
  /** Attempts to connect after the first. */
  readonly retries: number;
  readonly connected: boolean;
}

/**
 * Brings batches to a destination in order, through a queue in memory, then a spool on disk, then a counted drop. What
 * the spool holds is older than what is queued: the queue overflows into the spool from its head, and all of it moves
 * there while there is no connection. Nothing waits: `push` returns at once, whatever the destination does.
 */
export class Sender {
  readonly #destination: Destination;
  readonly #settings: SenderSettings;
  readonly #reports: Reports;
  readonly #backlog: Backlog;
  readonly #reconnect: Reconnect;
  readonly #laggard: Laggard;
  #state: 'new' | 'connecting' | 'connected' | 'waiting' | 'stopped' = 'new';
  /** The destination takes nothing now, since when, and how long it did so before: milliseconds. */
  #full = false;
  #fullSince = 0;
  #stalled = 0;
  /** How often the destination has taken something. */
  #taken = 0;
  #turn = 0;
  #toldDown = false;
  /** All is sent, and the connection is expected to end. */
  #finishing = false;
  #timeout: NodeJS.Timeout | undefined;
  #stopping: Promise<void> | undefined;
  #onChange: (() => void) | undefined;

  constructor(destination: Destination, settings: SenderSettings, reports: Reports) {
    this.#destination = destination;
    this.#settings = settings;
    this.#reports = reports;
    this.#backlog = new Backlog(settings, destination.acknowledges);
    this.#reconnect = new Reconnect(settings.reconnect);
    this.#laggard = new Laggard(
      () => this.#standing(),
      (state) => this.#tellOf(state),
    );
  }

  /** Opens the spool and begins to connect; a destination that is not there is no error, a spool that is not is. */
  start(): void {
    if (this.#state !== 'new') return;
    this.#backlog.open((message) => this.#reports.error(message));
    this.#connect();
  }

  /** Takes bytes, which are its own from now on, that tell of so many events. */
  push(bytes: Uint8Array, events: number): void {
    this.#backlog.add(bytes, events);
    if (this.#state === 'connected') this.#pump();
    else if (this.#state !== 'stopped') this.#backlog.spillAll();
  }

  /** Goes on for `timeout` milliseconds at most; what is not sent by then stays in the spool, or is dropped and counted. */
  drain(timeout: number): Promise<void> {
    this.#stopping ??= this.#drain(timeout);
    return this.#stopping;
  }

  /** How many events are where, now. */
  counts(): SenderCounts {
    return {
      ...this.#backlog.counts(),
      retries: this.#reconnect.retries,
      connected: this.#state === 'connected',
    };
  }

  #connect(): void {
    this.#state = 'connecting';
    let live = true;
    const attempt: Progress = {
      connected: () => live && this.#up(),
      ready: () => {
        if (!live) return;
        this.#full = false;
        this.#taken++;
        this.#stalled += performance.now() - this.#fullSince;
        this.#pump();
      },
      acknowledged: (count) => live && this.#acknowledged(count),
      refused: (events) => live && this.#refused(events),
      closed: (reason) => {
        if (!live) return;
        live = false;
        this.#down(reason);
      },
    };
    this.#timeout = setTimeout(
      () => attempt.closed(`no connection within ${this.#settings.connectTimeout / 1000} s`),
      this.#settings.connectTimeout,
    );
    this.#destination.connect(attempt);
  }

  #up(): void {
    clearTimeout(this.#timeout);
    this.#state = 'connected';
    this.#full = false;
    this.#reconnect.connected();
    this.#laggard.begin();
    if (this.#toldDown) this.#timeout = setTimeout(this.#tellUp, STEADY).unref();
    this.#pump();
  }

  readonly #tellUp = (): void => {
    this.#toldDown = false;
    this.#reports.notice(`${this.#destination.name}: connected`);
  };

  #down(reason: string): void {
    clearTimeout(this.#timeout);
    this.#laggard.end();
    this.#destination.close();
    if (this.#state === 'stopped') return;
    if (!this.#toldDown && !this.#finishing) {
      this.#toldDown = true;
      this.#reports.error(`${this.#destination.name}: ${reason}; ${this.#trouble()} until it is connected again`);
    }
    this.#state = 'waiting';
    if (!this.#finishing) this.#backlog.oweAgain();
    this.#backlog.spillAll();
    if (!this.#stopping) this.#reconnect.after(() => this.#connect());
    this.#onChange?.();
  }

  #standing(): Standing {
    const { lag, dropped } = this.#backlog.counts();
    return {
      owes: this.#full || (this.#destination.acknowledges && this.#backlog.owedBytes > 0),
      taken: this.#taken,
      lag,
      dropped: dropped['queue full'] + dropped['spool full'],
    };
  }

  #tellOf(state: 'stuck' | 'slow' | 'well'): void {
    const { name } = this.#destination;
    if (state === 'well') this.#reports.notice(`${name}: has caught up`);
    else if (state === 'stuck') this.#reports.error(`${name}: is connected and takes nothing; ${this.#trouble()}`);
    else this.#reports.error(`${name}: takes less than comes; events are dropped until it has caught up`);
  }

  #trouble(): string {
    return this.#backlog.hasSpool
      ? 'events wait in memory and in the spool'
      : 'events wait in memory, and are dropped when it is full';
  }

  /** Hands over as much as the destination takes. */
  #pump(): void {
    while (this.#state === 'connected' && !this.#full) {
      if (this.#destination.acknowledges && this.#backlog.owedBytes >= UNACKNOWLEDGED) break;
      const batch = this.#backlog.head();
      if (batch === undefined) break;
      if (this.#turn >= BATCHES_PER_TURN) break; // the immediate goes on
      if (this.#turn++ === 0) setImmediate(this.#nextTurn);
      if (!this.#destination.send(batch)) {
        this.#full = true;
        this.#fullSince = performance.now();
        break;
      }
      this.#backlog.accepted(performance.now() - this.#stalled);
    }
    this.#onChange?.();
  }

  readonly #nextTurn = (): void => {
    this.#turn = 0;
    this.#pump();
  };

  #acknowledged(count: number): void {
    this.#taken++;
    for (let i = 0; i < count; i++) this.#backlog.settle();
    this.#pump();
  }

  #refused(events: number): void {
    this.#taken++;
    this.#backlog.refuse(events);
    this.#pump();
  }

  async #drain(timeout: number): Promise<void> {
    const end = performance.now() + timeout;
    if (this.#state === 'waiting' && !this.#backlog.hasSpool && !this.#backlog.isIdle) {
      this.#reconnect.stop();
      this.#connect(); // the last chance
    }
    await this.#until(() => this.#backlog.isIdle || this.#state === 'waiting' || this.#state === 'new', end);
    let delivered = false;
    if (this.#state === 'connected' && this.#backlog.isIdle) delivered = await this.#farewell(end);
    this.#state = 'stopped';
    clearTimeout(this.#timeout);
    this.#laggard.end();
    this.#reconnect.stop();
    this.#destination.close();
    this.#backlog.close(delivered);
  }

  /** Half-closes, and says whether the peer took all, as far as can be known. */
  async #farewell(end: number): Promise<boolean> {
    let finished = false;
    this.#finishing = true;
    this.#destination.finish(() => {
      finished = true;
      this.#onChange?.();
    });
    await this.#until(() => finished || this.#state !== 'connected', Math.min(end, performance.now() + FAREWELL));
    return finished;
  }

  /** Resolves when the condition holds after some change, or when it is late. */
  #until(condition: () => boolean, end: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(done, Math.max(0, end - performance.now()));
      const change = () => {
        if (condition()) done();
      };
      const over = this;
      function done() {
        clearTimeout(timer);
        over.#onChange = undefined;
        resolve();
      }
      this.#onChange = change;
      change();
    });
  }
}
