import { Worker } from 'node:worker_threads';
import type { Batch } from '../delivery/batch.ts';
import type { Destination, Progress } from '../delivery/destination.ts';
import type { Reports } from '../delivery/sender.ts';
import type { DatabaseTarget, FromThread, ToThread } from './target.ts';

const EXTENSION = import.meta.url.endsWith('.ts') ? '.ts' : '.js';
/** Milliseconds after which a reason that goes on is told again. */
const REMIND = 60_000;
/** Reasons that are kept apart. */
const MOST_REASONS = 100;

/** A database: a thread for each connection, which begins and ends with it. */
export class DatabaseDestination implements Destination {
  readonly name: string;
  readonly acknowledges = true;
  readonly #target: () => DatabaseTarget;
  readonly #selected: (keys: readonly string[]) => void;
  readonly #reports: Reports;
  readonly #reasons = new Map<string, { toldAt: number; rows: number }>();
  #thread: Worker | undefined;
  #finished: (() => void) | undefined;
  #notice = '';

  /** `target` is asked at each attempt. `selected` is told the keys that the table has columns for. */
  constructor(
    name: string,
    target: () => DatabaseTarget,
    selected: (keys: readonly string[]) => void,
    reports: Reports,
  ) {
    this.name = name;
    this.#target = target;
    this.#selected = selected;
    this.#reports = reports;
  }

  connect(progress: Progress): void {
    let target: DatabaseTarget;
    try {
      target = this.#target();
    } catch (error) {
      setImmediate(() => progress.closed((error as Error).message));
      return;
    }
    const thread = new Worker(new URL(`thread${EXTENSION}`, import.meta.url), { workerData: target });
    this.#thread = thread;
    thread.on('message', (message: FromThread) => {
      if (thread === this.#thread) this.#hear(message, progress);
    });
    let reason = 'the thread of the database ended';
    thread.on('error', (error) => {
      reason = error instanceof Error ? error.message : String(error);
    });
    thread.on('exit', () => {
      if (thread === this.#thread) progress.closed(reason);
    });
  }

  send({ bytes }: Batch): boolean {
    const copy = bytes.slice(); // the sender keeps its own: it may have to send it again
    this.#tell({ kind: 'batch', bytes: copy }, [copy.buffer as ArrayBuffer]);
    return true;
  }

  finish(done: () => void): void {
    this.#finished = done;
    this.#tell({ kind: 'finish' });
  }

  close(): void {
    const thread = this.#thread;
    this.#thread = undefined;
    thread?.terminate();
  }

  #tell(message: ToThread, transfer: ArrayBuffer[] = []): void {
    this.#thread?.postMessage(message, transfer);
  }

  #hear(message: FromThread, progress: Progress): void {
    switch (message.kind) {
      case 'connected':
        this.#selected(message.keys);
        if (message.notice !== undefined && message.notice !== this.#notice) {
          this.#notice = message.notice;
          this.#reports.notice(`${this.name}: ${message.notice}`);
        }
        progress.connected();
        break;
      case 'written':
        for (const { code, message: text, rows } of message.refusals) this.#refused(code, text, rows);
        for (const rows of message.refused) {
          if (rows > 0) progress.refused(rows);
          else progress.acknowledged(1);
        }
        break;
      case 'closed':
        progress.closed(message.reason);
        break;
      case 'finished':
        this.#finished?.();
    }
  }

  /** One line for a reason, and one more a minute while it goes on. */
  #refused(code: string, message: string, rows: number): void {
    const now = performance.now();
    const reason = this.#reasons.get(code);
    if (reason !== undefined && now - reason.toldAt < REMIND) {
      reason.rows += rows;
      return;
    }
    const all = rows + (reason?.rows ?? 0);
    if (this.#reasons.size < MOST_REASONS || reason) this.#reasons.set(code, { toldAt: now, rows: 0 });
    this.#reports.error(`${this.name}: ${all} ${all === 1 ? 'row' : 'rows'} refused: ${message}`);
  }
}
