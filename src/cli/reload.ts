import { isDeepStrictEqual } from 'node:util';
import { ConfigError, formatProblem } from '../config/problem.ts';
import { planIdentity } from '../pipeline/plan.ts';
import type { Log } from '../pipeline/plugin.ts';
import type { Crew } from './crew.ts';
import { hasErrors, type Loaded, load } from './load.ts';

/** What a reload has changed: names of inputs. */
export interface Reloaded {
  readonly unchanged: readonly string[];
  readonly changed: readonly string[];
  readonly added: readonly string[];
  readonly removed: readonly string[];
}

/** Reads the configuration of a daemon that runs again, and has its crew run what it says. */
export class Reloader {
  readonly #crew: Crew;
  readonly #log: Log;
  #loaded: Loaded;
  #last: Promise<unknown> = Promise.resolve();

  /** `loaded` is what the crew was started with. */
  constructor(loaded: Loaded, crew: Crew, log: Log) {
    this.#loaded = loaded;
    this.#crew = crew;
    this.#log = log;
  }

  /** Whether SIGHUP is to do it. */
  get isWanted(): boolean {
    return this.#loaded.config.global.reload;
  }

  /**
   * Changes the stacks that changed in the file. Rejects when the file has errors, which are in the log by then: everything
   * stays as it is.
   */
  reload(): Promise<Reloaded> {
    const turn = this.#last.then(() => this.#reload());
    this.#last = turn.catch(() => {});
    return turn;
  }

  async #reload(): Promise<Reloaded> {
    const { file } = this.#loaded.config;
    const fresh = await this.#read(file);
    for (const name of this.#fixedOptions(fresh)) {
      this.#log.error(`${name} has changed in ${file}: it takes a restart to count`);
    }
    const reloaded = compare(this.#loaded, fresh);
    this.#loaded = fresh;
    await this.#crew.run(fresh);
    this.#log.notice(`${file} was read again: ${sentence(reloaded)}`);
    return reloaded;
  }

  async #read(file: string): Promise<Loaded> {
    const kept = `${file} is not taken over: it has errors; what ran before runs on`;
    try {
      const fresh = await load(file);
      for (const problem of fresh.problems) {
        if (problem.severity === 'error') this.#log.error(formatProblem(problem));
        else this.#log.notice(formatProblem(problem));
      }
      if (!hasErrors(fresh.problems)) return fresh;
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      this.#log.error(error.message);
    }
    throw new Error(kept);
  }

  /** Options that have changed and cannot while the daemon runs: all of [global] but the stacks, and [neutron]. */
  #fixedOptions({ config }: Loaded): string[] {
    const before: Readonly<Record<string, unknown>> = this.#loaded.config.global;
    const changed = Object.entries(config.global).flatMap(([name, value]) =>
      LIVE.includes(name) || isDeepStrictEqual(before[name], value) ? [] : [`[global] ${name}`],
    );
    const { neutron } = this.#loaded.config;
    for (const [name, value] of Object.entries(config.neutron))
      if (neutron[name as keyof typeof neutron] !== value) changed.push(`[neutron] ${name}`);
    return changed;
  }
}

const LIVE: readonly string[] = ['stack', 'plugin', 'reload'];

function compare(before: Loaded, after: Loaded): Reloaded {
  const old = new Map(before.plans.map((plan) => [plan.input.name, planIdentity(plan)]));
  const now = new Map(after.plans.map((plan) => [plan.input.name, planIdentity(plan)]));
  const names = [...now.keys()];
  return {
    unchanged: names.filter((name) => old.get(name) === now.get(name)),
    changed: names.filter((name) => old.has(name) && old.get(name) !== now.get(name)),
    added: names.filter((name) => !old.has(name)),
    removed: [...old.keys()].filter((name) => !now.has(name)),
  };
}

function sentence({ unchanged, ...differences }: Reloaded): string {
  const parts = Object.entries(differences).flatMap(([what, names]) =>
    names.length > 0 ? [`${names.join(', ')} ${what}`] : [],
  );
  return (
    [...parts, unchanged.length > 0 && parts.length > 0 ? 'the rest as before' : ''].filter(Boolean).join('; ') ||
    'nothing has changed'
  );
}
