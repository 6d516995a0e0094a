import type { Config } from '../config/config.ts';
import { total } from '../pipeline/ledger.ts';
import type { Snapshot } from '../pipeline/snapshot.ts';
import type { Crew } from './crew.ts';
import type { Reloader } from './reload.ts';
import { version } from './version.ts';

/** The daemon that runs in this process. */
export interface Daemon {
  readonly config: Config;
  readonly crew: Crew;
  readonly reloader: Reloader;
  /** When it was started, in ms since 1970, and by performance.now(). */
  readonly started: number;
  readonly startedAt: number;
  state: 'starting' | 'running' | 'stopping';
}

/** How a daemon is: what `flowlogd status --json` prints. */
export interface Status extends Snapshot {
  readonly version: string;
  readonly pid: number;
  readonly state: Daemon['state'];
  /** When it was started, as RFC 3339 has it. */
  readonly started: string;
  /** Seconds since then, by a clock that nobody steps. */
  readonly uptime: number;
  /** Path of its configuration. */
  readonly configuration: string;
  /** Events that are known, or by estimate, to be in no output and no filter's count. */
  readonly missing: number;
  /** Whether nothing was lost since the start, and everything runs. */
  readonly intact: boolean;
}

/** Asks every thread. */
export async function statusOf({ config, crew, started, startedAt, state }: Daemon): Promise<Status> {
  const snapshot = await crew.snapshot();
  return {
    version: version(),
    pid: process.pid,
    state,
    started: new Date(started).toISOString(),
    uptime: (performance.now() - startedAt) / 1000,
    configuration: config.file,
    missing: missingEvents(snapshot),
    intact: isIntact(snapshot),
    ...snapshot,
  };
}

function missingEvents({ inputs, outputs, past }: Snapshot): number {
  const unread = [...inputs, past].map(({ lost, lostEstimated, malformed }) => lost + lostEstimated + malformed);
  const failed = inputs.flatMap(({ stacks }) => stacks.map((stack) => total(stack.failed)));
  const dropped = outputs.map((output) => total(output.dropped));
  return [...unread, ...failed, ...dropped, past.failed, past.dropped].reduce((sum, count) => sum + count, 0);
}

/** An overrun is a loss also where its extent is not known yet. */
function isIntact(snapshot: Snapshot): boolean {
  const { inputs, imbalances, past } = snapshot;
  return (
    missingEvents(snapshot) === 0 &&
    [...inputs, past].every(({ overruns, kernelDrops }) => overruns === 0 && kernelDrops === 0) &&
    impediments(snapshot).length === 0 &&
    imbalances.length === 0
  );
}

/** Inputs and outputs that do not run, and why. */
export function impediments({ inputs, outputs }: Snapshot): string[] {
  return [...inputs, ...outputs].flatMap(({ name, failure }) => (failure === undefined ? [] : [`${name}: ${failure}`]));
}
