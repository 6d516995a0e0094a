// A worker thread of the daemon: runs the inputs it is given, and does what the main thread orders.
import { parentPort, workerData } from 'node:worker_threads';
import type { Plan } from '../pipeline/plan.ts';
import type { Log } from '../pipeline/plugin.ts';
import type { Snapshot } from '../pipeline/snapshot.ts';
import type { Capability } from '../system/capabilities.ts';
import { keepCapabilities } from '../system/native.ts';
import { limitThread } from '../system/user.ts';
import { load } from './load.ts';
import type { Attached } from './namespace-stacks.ts';
import { Stacks } from './stacks.ts';

/** What a worker is to run: the configuration that the main thread has read, and which of its plans are the worker's. */
export interface Assignment {
  readonly file: string;
  readonly text: string;
  readonly indexes: readonly number[];
}

export interface WorkerData {
  /** The configuration that the daemon started with. */
  readonly first: Omit<Assignment, 'indexes'>;
  readonly debug: boolean;
}

/** What the main thread orders, and what it is answered, in turn. */
export interface Answers {
  /** How many outputs of those that were started can get events. */
  run: number;
  'keep capabilities': undefined;
  'limit capabilities': undefined;
  reopen: undefined;
  signal: undefined;
  snapshot: Snapshot;
  summary: string[];
  namespaces: Attached[];
  /** How many inputs, or why not. */
  attach: number | { readonly refused: string };
  detach: number;
  /** The last summary. */
  stop: string[];
  end: never;
}

export type Order = keyof Answers;

/** What some orders take. */
export interface Particulars {
  readonly assignment?: Assignment;
  /** Of a namespace. */
  readonly name?: string;
  /** Capabilities to keep. */
  readonly kept?: readonly Capability[];
}

/** An order as it is sent. */
export interface OrderMessage extends Particulars {
  readonly order: Order;
}

/** A line for the daemon's log, or the answer to an order. */
export type FromWorker =
  | { readonly kind: 'log'; readonly level: 'debug' | 'info' | 'notice' | 'error'; readonly text: string }
  | { readonly kind: 'answer'; readonly answer: Answers[Order] };

const port = parentPort;
if (port === null) throw new Error('this file is run by worker-crew.ts');
const send = (message: FromWorker): void => port.postMessage(message);
const at = (level: 'debug' | 'info' | 'notice' | 'error') => (text: string) => send({ kind: 'log', level, text });
const { first, debug } = workerData as WorkerData;
const log: Log = {
  debug: at('debug'),
  info: at('info'),
  notice: at('notice'),
  error: at('error'),
  isDebug: () => debug,
};

const { config } = await load(first.file, first.text);
const stacks = new Stacks(config, log);

async function run({ file, text, indexes }: Assignment): Promise<number> {
  const { plans } = await load(file, text);
  return stacks.run(indexes.map((index) => plans[index] as Plan));
}

const obey: { readonly [O in Order]: (message: OrderMessage) => Answers[O] | Promise<Answers[O]> } = {
  run: ({ assignment }) => run(assignment as Assignment),
  'keep capabilities': () => void keepCapabilities(),
  'limit capabilities': ({ kept = [] }) => void limitThread(kept),
  reopen: () => void stacks.reopen(),
  signal: () => void stacks.signal(),
  snapshot: () => stacks.snapshot(),
  summary: () => stacks.summary(),
  namespaces: () => stacks.namespaces(),
  attach: ({ name = '' }) => stacks.attach(name).catch(({ message }: Error) => ({ refused: message })),
  detach: ({ name = '' }) => stacks.detach(name),
  async stop() {
    await stacks.stop();
    return stacks.summary();
  },
  end: () => process.exit(0), // this thread alone
};

// An order is begun when the one before is done. What fails ends the thread, and the main thread says so.
let last: Promise<void> = Promise.resolve();
port.on('message', (message: OrderMessage) => {
  last = last.then(async () => {
    const answer = await obey[message.order](message);
    send({ kind: 'answer', answer });
  });
});
