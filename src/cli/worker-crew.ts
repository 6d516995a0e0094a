import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { Config } from '../config/config.ts';
import type { Plan } from '../pipeline/plan.ts';
import { joinSnapshots, type Snapshot } from '../pipeline/snapshot.ts';
import type { DaemonLog } from '../system/log.ts';
import { become, type Identity } from '../system/user.ts';
import type { Crew } from './crew.ts';
import type { Answers, FromWorker, Order, WorkerData } from './worker.ts';

/** A thread with some of the inputs; it answers orders one after the other. */
class Hand {
  /** Inputs that it runs, for messages. */
  readonly name: string;
  /** What it last said of its counters. */
  lines: string[] = [];
  readonly #worker: Worker;
  #waiting: { resolve(answer: unknown): void; reject(error: Error): void }[] = [];
  #over = false;

  constructor(name: string, data: WorkerData, log: DaemonLog, onDeath: (error: Error) => void) {
    this.name = name;
    this.#worker = new Worker(new URL(`worker${EXTENSION}`, import.meta.url), { workerData: data });
    let reason: string | undefined;
    this.#worker.on('message', (message: FromWorker) => {
      if (message.kind === 'log') log[message.level](message.text);
      else this.#waiting.shift()?.resolve(message.answer);
    });
    this.#worker.on('error', (error) => {
      reason = error instanceof Error ? (error.stack ?? error.message) : String(error);
    });
    this.#worker.on('exit', (code) => {
      const expected = this.#over && code === 0;
      this.#over = true;
      const error = new Error(`the worker of ${name} died: ${reason ?? `exit code ${code}`}`);
      for (const { reject } of this.#waiting.splice(0)) reject(error);
      if (!expected) onDeath(error);
    });
  }

  /** Rejects when the worker dies before it answers. */
  ask<O extends Order>(order: O): Promise<Answers[O]> {
    if (this.#over) return Promise.reject(new Error(`the worker of ${this.name} is gone`));
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve: resolve as (answer: unknown) => void, reject });
      this.#worker.postMessage(order);
    });
  }

  async stop(): Promise<void> {
    if (this.#over) return;
    const gone = once(this.#worker, 'exit');
    // One that dies meanwhile says so itself.
    this.lines = await this.ask('stop').catch(() => this.lines);
    this.#over = true;
    this.#worker.postMessage('end' satisfies Order);
    await gone;
  }
}

const EXTENSION = import.meta.url.endsWith('.ts') ? '.ts' : '.js';

/** Runs the stacks in worker threads: `[global] workers=N`. This thread keeps the log and the signals. */
export class WorkerCrew implements Crew {
  readonly broken: Promise<never>;
  readonly #hands: readonly Hand[];

  /** `placement` has the plans of each thread by index. */
  constructor({ file, text }: Config, plans: readonly Plan[], placement: readonly number[][], log: DaemonLog) {
    let onDeath: (error: Error) => void = () => {};
    this.broken = new Promise((_, reject) => {
      onDeath = reject;
    });
    this.broken.catch(() => {}); // it may break before anybody listens, or when nobody does any more
    this.#hands = placement.map((indexes) => {
      const name = indexes.map((index) => (plans[index] as Plan).input.name).join(' and ');
      return new Hand(name, { file, text, indexes, debug: log.isDebug() }, log, onDeath);
    });
  }

  async start(): Promise<number> {
    const outputs = await Promise.all(this.#hands.map((hand) => hand.ask('start')));
    return outputs.reduce((sum, count) => sum + count, 0);
  }

  /** Capabilities belong to threads, users to the process: each thread keeps its own through the change. */
  async become(identity: Identity): Promise<void> {
    await Promise.all(this.#hands.map((hand) => hand.ask('keep capabilities')));
    become(identity);
    await Promise.all(this.#hands.map((hand) => hand.ask('limit capabilities')));
  }

  async reopen(): Promise<void> {
    await Promise.all(this.#hands.map((hand) => hand.ask('reopen').catch(() => {})));
  }

  signal(): void {
    for (const hand of this.#hands) void hand.ask('signal').catch(() => {});
  }

  async snapshot(): Promise<Snapshot> {
    return joinSnapshots(await Promise.all(this.#hands.map((hand) => hand.ask('snapshot'))));
  }

  async summary(): Promise<string[]> {
    const all = await Promise.all(this.#hands.map((hand) => hand.ask('summary').catch(() => hand.lines)));
    return all.flat();
  }

  async stop(): Promise<void> {
    await Promise.all(this.#hands.map((hand) => hand.stop()));
  }
}
