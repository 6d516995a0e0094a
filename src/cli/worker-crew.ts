import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { Config } from '../config/config.ts';
import { joinSnapshots, type Snapshot } from '../pipeline/snapshot.ts';
import type { Capability } from '../system/capabilities.ts';
import type { DaemonLog } from '../system/log.ts';
import { become, type Identity } from '../system/user.ts';
import type { Crew } from './crew.ts';
import type { Loaded } from './load.ts';
import type { Attached } from './namespace-stacks.ts';
import { placePlans } from './placement.ts';
import type { Answers, FromWorker, Order, OrderMessage, Particulars, WorkerData } from './worker.ts';

/** A thread with some of the inputs; it answers orders one after the other. */
class Hand {
  /** Names of the inputs that it runs. */
  inputs: readonly string[] = [];
  /** What it last said of its counters. */
  lines: string[] = [];
  readonly #worker: Worker;
  #waiting: { resolve(answer: unknown): void; reject(error: Error): void }[] = [];
  #over = false;

  constructor(data: WorkerData, log: DaemonLog, onDeath: (error: Error) => void) {
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
      const error = new Error(`the worker of ${this.name} died: ${reason ?? `exit code ${code}`}`);
      for (const { reject } of this.#waiting.splice(0)) reject(error);
      if (!expected) onDeath(error);
    });
  }

  /** What it is called in messages. */
  get name(): string {
    return this.inputs.join(' and ') || 'no input';
  }

  /** Rejects when the worker dies before it answers. */
  ask<O extends Order>(order: O, particulars: Particulars = {}): Promise<Answers[O]> {
    if (this.#over) return Promise.reject(new Error(`the worker of ${this.name} is gone`));
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve: resolve as (answer: unknown) => void, reject });
      this.#worker.postMessage({ order, ...particulars } satisfies OrderMessage);
    });
  }

  async stop(): Promise<void> {
    if (this.#over) return;
    const gone = once(this.#worker, 'exit');
    // One that dies meanwhile says so itself.
    this.lines = await this.ask('stop').catch(() => this.lines);
    this.#over = true;
    this.#worker.postMessage({ order: 'end' } satisfies OrderMessage);
    await gone;
  }
}

const EXTENSION = import.meta.url.endsWith('.ts') ? '.ts' : '.js';

/** Runs the stacks in worker threads: `[global] workers=N`. This thread keeps the log and the signals. */
export class WorkerCrew implements Crew {
  readonly broken: Promise<never>;
  readonly #workers: number;
  readonly #hire: () => Hand;
  readonly #hands: Hand[] = [];
  #stopped = false;

  constructor({ file, text, global }: Config, log: DaemonLog) {
    let onDeath: (error: Error) => void = () => {};
    this.broken = new Promise((_, reject) => {
      onDeath = reject;
    });
    this.broken.catch(() => {}); // it may break before anybody listens, or when nobody does any more
    this.#workers = global.workers;
    this.#hire = () => new Hand({ first: { file, text }, debug: log.isDebug() }, log, onDeath);
  }

  /** An input stays in its thread when it can; where it cannot, it ends there before it begins in another. */
  async run({ config: { file, text }, plans }: Loaded): Promise<number> {
    if (this.#stopped) return 0; // a reload that was under way: nobody would end the threads that it starts
    const nameOf = (index: number) => plans[index]?.input.name as string;
    const assigned = this.#assign(placePlans(plans, this.#workers), nameOf);
    const order = (hand: Hand, indexes: readonly number[]) => hand.ask('run', { assignment: { file, text, indexes } });
    const stays = (hand: Hand) => (assigned.get(hand) ?? []).filter((index) => hand.inputs.includes(nameOf(index)));
    const losing = this.#hands.filter((hand) => hand.inputs.length > stays(hand).length);
    const first = await Promise.all(losing.map((hand) => order(hand, stays(hand))));
    for (const hand of this.#hands) hand.inputs = (assigned.get(hand) ?? []).map(nameOf);
    const rest = await Promise.all([...assigned].map(([hand, indexes]) => order(hand, indexes)));
    return [...first, ...rest].reduce((sum, count) => sum + count, 0);
  }

  /** To each group of inputs the thread that runs one of them, else one that is free, else a new one. */
  #assign(groups: readonly number[][], nameOf: (index: number) => string): Map<Hand, number[]> {
    const assigned = new Map<Hand, number[]>();
    const isFree = (hand: Hand) => !assigned.has(hand);
    const unplaced = groups.filter((group) => {
      const hand = this.#hands.find((one) => isFree(one) && group.some((index) => one.inputs.includes(nameOf(index))));
      if (hand !== undefined) assigned.set(hand, group);
      return hand === undefined;
    });
    for (const group of unplaced) {
      let hand = this.#hands.find(isFree);
      if (hand === undefined) {
        hand = this.#hire();
        this.#hands.push(hand);
      }
      assigned.set(hand, group);
    }
    return assigned;
  }

  /** Capabilities belong to threads, users to the process: each thread keeps its own through the change. */
  async become(identity: Identity, kept: readonly Capability[]): Promise<void> {
    await Promise.all(this.#hands.map((hand) => hand.ask('keep capabilities')));
    become(identity, kept);
    await Promise.all(this.#hands.map((hand) => hand.ask('limit capabilities', { kept })));
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

  async namespaces(): Promise<Attached[]> {
    return (await Promise.all(this.#hands.map((hand) => hand.ask('namespaces')))).flat();
  }

  async attach(name: string): Promise<number> {
    const answers = await Promise.all(this.#hands.map((hand) => hand.ask('attach', { name })));
    let inputs = 0;
    for (const answer of answers) {
      if (typeof answer !== 'number') throw new Error(answer.refused);
      inputs += answer;
    }
    return inputs;
  }

  async detach(name: string): Promise<number> {
    const answers = await Promise.all(this.#hands.map((hand) => hand.ask('detach', { name })));
    return answers.reduce((sum, count) => sum + count, 0);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#hands.map((hand) => hand.stop()));
  }
}
