import { type Batch, type DropReason, type Drops, noDrops } from './batch.ts';
import type { Position } from './position.ts';
import { Queue } from './queue.ts';
import type { SenderSettings } from './sender-settings.ts';
import { Spool } from './spool.ts';

/**
 * Milliseconds in which a peer is taken to read what it was sent. The kernels of both sides hold megabytes more than
 * `resend` after a burst (tcp_wmem, tcp_rmem); nothing tells how much of it the peer has read.
 */
const UNREAD = 1000;
/** Milliseconds between two notes of how far the spool was delivered. */
const COMMIT_INTERVAL = 100;

/** Events and bytes, counted since the start. `pushed + recovered = sent + dropped + queued + spooled` at every moment. */
export interface BacklogCounts {
  /** Events handed to the sender. */
  readonly pushed: number;
  /** Events that the spool held at the start. */
  readonly recovered: number;
  /** Of these, the ones sent by now, refused, waiting in the spool and waiting in memory. */
  readonly recoveredSent: number;
  readonly recoveredRefused: number;
  readonly recoveredSpooled: number;
  readonly recoveredQueued: number;
  /** Events given to the destination, each once; where it acknowledges, those that it has. */
  readonly sent: number;
  /** Events given to it again. */
  readonly resent: number;
  readonly dropped: Drops;
  /** Events in memory that do not count as sent. */
  readonly queued: number;
  /** Events in the spool that were not read yet. */
  readonly spooled: number;
  /** Bytes given to the destination. */
  readonly bytes: number;
  /** Damaged places of the spool. */
  readonly damaged: number;
  /** Age of the oldest event that was not sent, in milliseconds. */
  readonly lag: number;
}

/** A batch outside queue and spool. */
interface Handed extends Batch {
  /** Where it stood in the spool, if it came from there. */
  readonly position?: Position;
  /** It was given to the destination. */
  given: boolean;
  /** Its events count as sent: given, and where that is told, acknowledged. */
  sent: boolean;
  /** When, by the time in which the connection took bytes. */
  sentAt: number;
}

/**
 * What waits to be sent, and what was sent and may have to go again. In order: batches that were owed when a connection
 * ended, the one in hand, the spool, the queue. The queue overflows into the spool from its head.
 */
export class Backlog {
  readonly #settings: SenderSettings;
  readonly #acknowledged: boolean;
  readonly #queue: Queue;
  #spool: Spool | undefined;
  /** Sent, and to be sent again if the connection ends now. */
  #owed = new Queue<Handed>();
  /** What goes before all else: batches that were owed when a connection ended. */
  #again = new Queue<Handed>();
  /** Taken from queue or spool, and not accepted yet. */
  #head: Handed | undefined;
  #isClosed = false;
  /** Events never sent that the spool keeps for the next start. */
  #kept = 0;
  /** Of these, the ones that were there at the start. */
  #recoveredKept = 0;
  #committed = 0;
  #commit: Position | undefined;
  #pushed = 0;
  #recovered = 0;
  #recoveredSent = 0;
  #recoveredRefused = 0;
  /** Number of the first event in the spool that this process puts there. */
  #recoveredEnd = 0;
  #sent = 0;
  #resent = 0;
  #bytes = 0;
  readonly #dropped = noDrops();

  /** `acknowledged`: what is sent is owed until `settle` says that it arrived. */
  constructor(settings: SenderSettings, acknowledged: boolean) {
    this.#settings = settings;
    this.#acknowledged = acknowledged;
    this.#queue = new Queue(settings.queueMax);
  }

  /** Opens the spool, if there is to be one. Throws with the reason. */
  open(report: (message: string) => void): void {
    const { spool, spoolMax } = this.#settings;
    if (spool === '') return;
    this.#spool = new Spool(spool, spoolMax, report);
    this.#recovered = this.#spool.unread;
    this.#recoveredEnd = this.#spool.readUpTo + this.#recovered;
  }

  get hasSpool(): boolean {
    return this.#spool !== undefined;
  }

  /** Bytes that are owed. */
  get owedBytes(): number {
    return this.#owed.bytes;
  }

  /** Whether nothing is left to do: all is sent and, where that is told, acknowledged. */
  get isIdle(): boolean {
    const owing = this.#acknowledged && this.#owed.length > 0;
    const waiting = this.#head !== undefined || this.#again.length > 0 || this.#queue.length > 0;
    return !owing && !waiting && this.#spool?.isRead !== false;
  }

  /** Takes a batch behind all others, or drops and counts it. */
  add(bytes: Uint8Array, events: number): void {
    this.#pushed += events;
    if (this.#isClosed) return this.#drop('stopped', events);
    if (!this.#queue.fits(bytes.length)) this.#spill(bytes.length);
    if (!this.#queue.push({ bytes, events, time: Date.now() })) {
      this.#drop(this.#spool ? 'spool full' : 'queue full', events);
    }
  }

  /** Moves the whole queue to the spool, if there is one: nothing will be sent for a while. */
  spillAll(): void {
    this.#spill(Number.POSITIVE_INFINITY);
  }

  /** The batch to be sent now: the same until it is accepted. */
  head(): Batch | undefined {
    this.#head ??= this.#next();
    return this.#head;
  }

  /** The head was sent, at `now` milliseconds of the time in which the connection takes bytes. */
  accepted(now: number): void {
    const batch = this.#head;
    if (batch === undefined) return;
    this.#head = undefined;
    if (batch.given) this.#resent += batch.events;
    this.#bytes += batch.bytes.length;
    batch.given = true;
    batch.sentAt = now;
    this.#owed.push(batch);
    if (this.#acknowledged) return;
    this.#countSent(batch);
    this.#settleOld(now);
  }

  /** So many events that were sent will never be taken. */
  refuse(events: number): void {
    let refused = events;
    if (this.#acknowledged) {
      const batch = this.#owed.head;
      refused = Math.min(events, batch?.events ?? 0);
      this.settle();
      if (batch && this.#wasRecovered(batch)) {
        this.#recoveredSent -= refused;
        this.#recoveredRefused += refused;
      }
    }
    this.#sent -= refused;
    this.#drop('refused', refused);
  }

  /** The oldest batch that was owed need never go again. */
  settle(): void {
    const batch = this.#owed.shift();
    if (batch) this.#countSent(batch);
    const position = batch?.position;
    if (position === undefined) return;
    this.#commit = position;
    const now = performance.now();
    if (now - this.#committed < COMMIT_INTERVAL && !this.#spool?.isRead) return;
    this.#committed = now;
    this.#spool?.commit(position);
  }

  /** What was owed goes again, in its order, before what else there is. */
  oweAgain(): void {
    const again = this.#owed;
    if (this.#head) again.push(this.#head);
    this.#head = undefined;
    for (let batch = this.#again.shift(); batch; batch = this.#again.shift()) again.push(batch);
    this.#again = again;
    this.#owed = new Queue();
  }

  /** Ends it: `delivered` says that all that is owed arrived. What is in memory goes to the spool, or is dropped. */
  close(delivered: boolean): void {
    this.#recoveredKept = this.#recoveredSpooled();
    this.#isClosed = true;
    if (delivered) while (this.#owed.length > 0) this.settle();
    else this.oweAgain();
    if (this.#commit) this.#spool?.commit(this.#commit);
    this.#keepRest();
    this.#spool?.close();
  }

  /** How many events are where, now. */
  counts(): BacklogCounts {
    const lag = this.#lag(); // may take a batch in hand: before all else
    const dropped = { ...this.#dropped };
    dropped['spool full'] += this.#spool?.droppedFull ?? 0;
    dropped['spool corrupt'] += this.#spool?.droppedCorrupt ?? 0;
    return {
      pushed: this.#pushed,
      recovered: this.#recovered,
      recoveredSent: this.#recoveredSent,
      recoveredRefused: this.#recoveredRefused,
      recoveredSpooled: this.#recoveredSpooled(),
      recoveredQueued: this.#unsent((batch) => this.#wasRecovered(batch)),
      sent: this.#sent,
      resent: this.#resent,
      dropped,
      queued: this.#queue.events + this.#unsent(),
      spooled: this.#isClosed ? this.#kept : (this.#spool?.unread ?? 0),
      bytes: this.#bytes,
      damaged: this.#spool?.damaged ?? 0,
      lag,
    };
  }

  #next(): Handed | undefined {
    const again = this.#again.shift();
    if (again !== undefined) return again;
    const batch = this.#spool?.read() ?? this.#queue.shift();
    return batch === undefined ? undefined : { ...batch, given: false, sent: false, sentAt: 0 };
  }

  #countSent(batch: Handed): void {
    if (batch.sent) return;
    batch.sent = true;
    this.#sent += batch.events;
    if (this.#wasRecovered(batch)) this.#recoveredSent += batch.events;
  }

  /** Of what nobody acknowledges, the last `resend` bytes and the last second are owed, within `queueMax`. */
  #settleOld(now: number): void {
    const { resend, queueMax } = this.#settings;
    const owed = this.#owed;
    for (let { head } = owed; head && owed.payload - head.bytes.length >= resend; head = owed.head) {
      if (resend > 0 && now - head.sentAt < UNREAD && owed.bytes <= queueMax) return;
      this.settle();
    }
  }

  /** Moves the oldest batches of the queue to the spool, until so many bytes fit or all is moved. */
  #spill(size: number): void {
    const spool = this.#spool;
    if (spool === undefined) return;
    for (let { head } = this.#queue; head && !this.#queue.fits(size); head = this.#queue.head) {
      if (!spool.append(head)) return;
      this.#queue.shift();
    }
  }

  #drop(reason: DropReason, events: number): void {
    this.#dropped[reason] += events;
  }

  /** Events in hand, or given and not acknowledged, that do not count as sent. */
  #unsent(counts: (batch: Handed) => boolean = () => true): number {
    const head = this.#head?.sent === false && counts(this.#head) ? this.#head.events : 0;
    const unsent = (batch: Handed) => !batch.sent && counts(batch);
    return head + this.#again.eventsOf(unsent) + this.#owed.eventsOf(unsent);
  }

  #wasRecovered({ position }: Handed): boolean {
    return position !== undefined && position.event <= this.#recoveredEnd;
  }

  #recoveredSpooled(): number {
    if (this.#isClosed) return this.#recoveredKept;
    return Math.max(0, this.#recoveredEnd - (this.#spool?.readUpTo ?? this.#recoveredEnd));
  }

  #lag(): number {
    if (this.#head === undefined && !this.#isClosed) this.#head = this.#next();
    const oldest = this.#head;
    return oldest === undefined ? 0 : Math.max(0, Date.now() - oldest.time);
  }

  /** What is in memory at the end goes to the spool, or is dropped. */
  #keepRest(): void {
    const spool = this.#spool;
    this.#kept = spool?.unread ?? 0;
    this.#recoveredKept += this.#unsent((batch) => this.#wasRecovered(batch));
    for (const queue of [this.#again, this.#queue]) {
      for (let batch: Batch | undefined = queue.shift(); batch; batch = queue.shift()) {
        const { position, sent } = batch as Partial<Handed>;
        const kept = (position && spool?.holds(position)) || (spool?.fits(batch.bytes.length) && spool.append(batch));
        if (sent) continue;
        if (kept) this.#kept += batch.events;
        else this.#drop(spool ? 'spool full' : 'stopped', batch.events);
      }
    }
  }
}
