import type { Memory } from '../../pipeline/memory.ts';
import type { Log } from '../../pipeline/plugin.ts';
import type { ConntrackEntry } from '../../wire/conntrack.ts';
import { dumpConntrack } from '../../wire/conntrack-request.ts';
import type { ConntrackDump } from './conntrack-dump.ts';
import type { FlowFilter } from './flow-filter.ts';
import type { FlowTable } from './flow-table.ts';
import { Moment, readBegin } from './flow-times.ts';
import type { UnseenFlows } from './unseen-flows.ts';

/** A dump that is due while another runs, or that the kernel broke off, is asked for again after this. */
const RETRY_MS = 1000;

/** What Resync works with: its input's own. */
interface Parts {
  /** Of the input, for messages. */
  readonly name: string;
  readonly log: Log;
  readonly memory: Memory;
  readonly filter: FlowFilter;
  /** It compares every so often, and has no events to lose. */
  readonly polls: boolean;
  /** ulogd 2.0.8 takes the time at which it first saw a connection for its begin. */
  readonly compat: boolean;
  /** When the input last read, and what brings that up to date. */
  readonly now: Moment;
  readClock(): void;
  readonly dump: ConntrackDump;
  readonly unseen: UnseenFlows;
  /** Hands over the events that wait: what they tell was not lost, and they know more than a dump. */
  drain(): void;
  /** Ends a batch of records. */
  endBatch(): void;
}

/** What another Resync goes on with. */
export interface Unfinished {
  readonly table: FlowTable;
  readonly lostSince: Moment;
  /** A dump was not finished, or was to come. */
  readonly owesDump: boolean;
}

/** What a dump is for: to know the connections, to report those that are gone as ended, or all that was missed. */
type Purpose = 'learn' | 'compare' | 'repair';

/** Keeps the flow table as the kernel's is: by dumps, at the start, every so often, or when events were lost. */
export class Resync {
  readonly #parts: Parts;
  /** The connections that are remembered. */
  table: FlowTable;
  /** Nothing was lost up to here: the earliest end of what a dump finds gone. */
  readonly #lostSince = new Moment();
  /** The same, of the losses that are being repaired. */
  readonly #windowStart = new Moment();
  /** Begin of the connection that a dump shows. */
  readonly #start = new Moment();
  /** Connections that ended while a dump ran: it may still show them. */
  readonly #endedMeanwhile = new Set<number>();
  /** Connections that a dump showed and no event had told of, by id: their index in the table. */
  readonly #appeared = new Map<number, number>();
  #timer: NodeJS.Timeout | undefined;

  constructor(table: FlowTable, parts: Parts) {
    this.table = table;
    this.#parts = parts;
  }

  /** An event told of a connection's begin. */
  began(entry: ConntrackEntry): void {
    if (this.#appeared.size > 0) this.#appeared.delete(entry.id);
  }

  /** An event told of a connection's end. */
  ended(entry: ConntrackEntry): void {
    if (this.#parts.dump.running) this.#endedMeanwhile.add(entry.id);
    if (this.#appeared.size > 0) this.#appeared.delete(entry.id);
  }

  /** Dumps the connections into the table. */
  learn(): void {
    this.#synchronize('learn');
  }

  /** Dumps the connections, and reports those of the table that are gone as ended. */
  compare(): void {
    this.#synchronize('compare');
  }

  /** Events were lost: in `delay` ms the connections are dumped to find what they would have told. */
  lost(delay: number): void {
    const { now } = this.#parts;
    if (!this.#lostSince.known) this.#lostSince.set(now.seconds, now.microseconds);
    this.#repairLater(delay);
  }

  /** Goes on with what another one has left: a dump that it owed is due now. */
  takeOver({ table, lostSince, owesDump }: Unfinished): void {
    this.table = table;
    if (lostSince.known) this.#lostSince.set(lostSince.seconds, lostSince.microseconds);
    if (owesDump && !this.#parts.polls) this.#synchronize(lostSince.known ? 'repair' : 'learn');
  }

  /** Dumps no more; says what is left to do. */
  stop(): Unfinished {
    const owesDump = this.#parts.dump.running || this.#timer !== undefined;
    clearTimeout(this.#timer);
    return { table: this.table, lostSince: this.#lostSince, owesDump };
  }

  /** The namespace is gone, and its connections with it, of which the kernel tells nothing: reports them as ended. */
  endAll(): void {
    const { now, readClock, endBatch } = this.#parts;
    if (now.known) this.#windowStart.set(now.seconds, now.microseconds);
    readClock();
    this.table.generation++;
    this.table.forEachOlder(this.#reportEnd);
    endBatch();
  }

  #repairLater(delay: number): void {
    this.#timer ??= setTimeout(this.#repair, delay);
  }

  readonly #repair = (): void => {
    const { name, log, dump } = this.#parts;
    this.#timer = undefined;
    if (dump.running) return this.#repairLater(RETRY_MS);
    log.notice(`${name}: dumping the connections to find what was missed`);
    const { known, seconds, microseconds } = this.#lostSince;
    if (known) this.#windowStart.set(seconds, microseconds);
    this.#lostSince.known = false; // what is lost while the dump runs is for the next one to find
    this.#synchronize('repair');
  };

  #synchronize(purpose: Purpose): void {
    const { dump } = this.#parts;
    if (dump.running) return;
    if (purpose === 'repair') this.#parts.drain();
    this.table.generation++;
    this.#endedMeanwhile.clear();
    this.#appeared.clear();
    this.#parts.readClock();
    dump.begin(dumpConntrack(0), {
      onEntry: (shown, from, to) => this.#onEntry(shown, from, to, purpose),
      onEnd: (complete) => this.#onEnd(complete, purpose),
    });
  }

  #onEntry(shown: ConntrackEntry, from: number, to: number, purpose: Purpose): void {
    const { filter, memory, now, unseen, compat } = this.#parts;
    if (!filter.passes(memory.bytes, shown) || this.#endedMeanwhile.has(shown.id)) return;
    readBegin(shown, this.#start, now, compat || this.table.isComplete);
    const isNew = purpose === 'repair' && !this.#isRemembered(shown);
    const index = this.table.put(memory.view, shown, this.#start);
    if (index < 0) return;
    unseen.shown(index, from, to);
    if (isNew) this.#appeared.set(shown.id, index);
  }

  /** Whether the table has this very connection; another one with its addresses must have ended unobserved. */
  #isRemembered(shown: ConntrackEntry): boolean {
    const index = this.table.find(this.#parts.memory.view, shown);
    if (index < 0) return false;
    if (this.table.idOf(index) === shown.id) return true;
    this.#reportEnd(index);
    return false;
  }

  #onEnd(complete: boolean, purpose: Purpose): void {
    const { name, log, polls, unseen } = this.#parts;
    if (!complete) {
      log.error(`${name}: the kernel broke off a dump of the connections`);
      if (!polls) this.#repairLater(RETRY_MS);
    } else if (purpose !== 'learn') {
      // What the dump did not show because it had just ended may wait as an event: that one knows more.
      this.#parts.drain();
      this.#parts.readClock();
      this.table.forEachOlder(this.#reportEnd);
      for (const index of this.#appeared.values()) unseen.reportBegin(this.table, index);
    }
    this.#appeared.clear();
    this.table.filled ||= complete;
    this.#parts.endBatch();
  }

  readonly #reportEnd = (index: number): void => {
    const { unseen, now } = this.#parts;
    unseen.reportEnd(this.table, index, this.#windowStart, now);
    this.table.remove(index);
  };
}
