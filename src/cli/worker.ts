// A worker thread of the daemon: runs the inputs it is given, and does what the main thread orders.
import { parentPort, workerData } from 'node:worker_threads';
import type { Plan } from '../pipeline/plan.ts';
import type { Log } from '../pipeline/plugin.ts';
import type { Snapshot } from '../pipeline/snapshot.ts';
import { keepCapabilities } from '../system/native.ts';
import { limitThread } from '../system/user.ts';
import { linkStacks } from './crew.ts';
import { load } from './load.ts';
import { summary } from './summary.ts';

/** What a worker is given: the configuration that the main thread has read, and which of its plans are the worker's. */
export interface WorkerData {
  readonly file: string;
  readonly text: string;
  readonly indexes: readonly number[];
  readonly debug: boolean;
}

/** What the main thread orders, and what it is answered, in turn. */
export interface Answers {
  /** How many outputs can get events. */
  start: number;
  'keep capabilities': undefined;
  'limit capabilities': undefined;
  reopen: undefined;
  signal: undefined;
  snapshot: Snapshot;
  summary: string[];
  /** The last summary. */
  stop: string[];
  end: never;
}

export type Order = keyof Answers;

/** A line for the daemon's log, or the answer to an order. */
export type FromWorker =
  | { readonly kind: 'log'; readonly level: 'debug' | 'info' | 'notice' | 'error'; readonly text: string }
  | { readonly kind: 'answer'; readonly answer: Answers[Order] };

const port = parentPort;
if (port === null) throw new Error('this file is run by worker-crew.ts');
const send = (message: FromWorker): void => port.postMessage(message);
const at = (level: 'debug' | 'info' | 'notice' | 'error') => (text: string) => send({ kind: 'log', level, text });
const { file, text, indexes, debug } = workerData as WorkerData;
const log: Log = {
  debug: at('debug'),
  info: at('info'),
  notice: at('notice'),
  error: at('error'),
  isDebug: () => debug,
};

const { config, plans } = await load(file, text);
const runner = linkStacks(
  config,
  indexes.map((index) => plans[index] as Plan),
  log,
);

const obey: { readonly [O in Order]: () => Answers[O] | Promise<Answers[O]> } = {
  start: () => runner.start(),
  'keep capabilities': () => void keepCapabilities(),
  'limit capabilities': () => void limitThread(),
  reopen: () => void runner.reopen(),
  signal: () => void runner.signal(),
  snapshot: () => runner.snapshot(),
  summary: () => summary(runner.sources),
  async stop() {
    await runner.stop();
    return summary(runner.sources);
  },
  end: () => process.exit(0), // this thread alone
};

// An order is begun when the one before is done. What fails ends the thread, and the main thread says so.
let last: Promise<void> = Promise.resolve();
port.on('message', (order: Order) => {
  last = last.then(async () => {
    const answer = await obey[order]();
    send({ kind: 'answer', answer });
  });
});
