import { type Environment, linkSource, type Source } from '../pipeline/link.ts';
import { type Namespace, namespaceMatcher } from '../pipeline/namespace.ts';
import type { Plan } from '../pipeline/plan.ts';
import type { Runner } from '../pipeline/runner.ts';
import { followedNames } from './namespace-steps.ts';

/** What runs in a namespace. */
interface Instance {
  readonly namespace: Namespace;
  readonly source: Source;
  /** When it was attached, in ms since 1970. */
  readonly since: number;
}

/** What a reload ends in a namespace, and what goes on in its place. */
export interface Succession {
  readonly going: Source;
  readonly coming: Source;
}

/** A namespace as `flowlogd netns` shows it: one line for each input that listens there. */
export interface Attached {
  readonly netns: string;
  readonly inode: number;
  readonly input: string;
  /** As RFC 3339 has it. */
  readonly since: string;
  readonly events: number;
  /** Events lost in the kernel, estimates included. */
  readonly lost: number;
  /** Why it does not run. */
  readonly failure?: string;
}

/** A plan whose input follows namespaces: linked once for each that is there. */
export class NamespaceStacks {
  readonly plan: Plan;
  /** Whether its input is to listen in a namespace of this name. */
  readonly matches: (name: string) => boolean;
  readonly #runner: Runner;
  readonly #environment: Environment;
  readonly #instances = new Map<string, Instance>();

  constructor(plan: Plan, runner: Runner, environment: Environment) {
    this.plan = plan;
    this.matches = namespaceMatcher(followedNames(plan.input.step) ?? '');
    this.#runner = runner;
    this.#environment = environment;
  }

  /** Outputs that its events will reach. */
  get outputs(): number {
    return this.plan.nodes.filter(({ step }) => step.plugin.role === 'output').length;
  }

  /** Begins to listen in a namespace; what did not start there before is tried again. */
  async attach(namespace: Namespace): Promise<void> {
    let before = this.#instances.get(namespace.name);
    if (before !== undefined && before.namespace.inode !== namespace.inode) {
      void this.detach(namespace.name); // another one of the same name
      before = undefined;
    }
    if (before !== undefined && this.#runner.failureOf(before.source) === undefined) return;
    const { log } = this.#environment;
    try {
      const source = linkSource(this.plan, this.#environment, namespace);
      const instance = { namespace, source, since: Date.now() };
      this.#instances.set(namespace.name, instance);
      await this.#runner.change(before === undefined ? [] : [before.source], [source]);
      instance.since = Date.now();
      if (this.#runner.failureOf(source) === undefined) log.info(`${source.name}: attached`);
    } catch (error) {
      log.error(`netns ${namespace.name}: ${(error as Error).message}`);
    }
  }

  /**
   * Has everything that runs for another plan of the same input, where this one is to listen too, replaced by what is returned: for
   * the runner, so that sockets are handed over.
   */
  succeed(old: NamespaceStacks): Succession[] {
    return [...old.#instances.values()].flatMap(({ namespace, source: going, since }) => {
      if (!this.matches(namespace.name)) return [];
      try {
        const coming = linkSource(this.plan, this.#environment, namespace);
        old.#instances.delete(namespace.name);
        this.#instances.set(namespace.name, { namespace, source: coming, since });
        return [{ going, coming }];
      } catch (error) {
        this.#environment.log.error(`netns ${namespace.name}: ${(error as Error).message}`);
        return [];
      }
    });
  }

  /** Reads what is left, writes a last record, and lets go of the namespace: with an open socket it would live on. */
  async detach(name: string, cause = `network namespace ${name} is gone`): Promise<void> {
    const instance = this.#instances.get(name);
    if (instance === undefined) return;
    this.#instances.delete(name);
    const { source } = instance;
    await this.#runner.change([source], [], () => tellEnd(source, cause));
    this.#environment.log.info(`${source.name}: detached, ${source.counts.received} events`);
  }

  /** Lets go of all others: their end was not told. */
  keepOnly(present: readonly Namespace[]): void {
    const names = new Set(present.map(({ name }) => name));
    for (const name of this.#instances.keys()) if (!names.has(name)) void this.detach(name);
  }

  /** What is attached. */
  list(): Attached[] {
    return [...this.#instances.values()].map(({ namespace, source, since }) => {
      const failure = this.#runner.failureOf(source);
      return {
        netns: namespace.name,
        inode: namespace.inode,
        input: this.plan.input.name,
        since: new Date(since).toISOString(),
        events: source.counts.received,
        lost: source.counts.lost + source.counts.lostEstimated,
        ...(failure === undefined ? {} : { failure }),
      };
    });
  }
}

/** Has the outputs of a source say that nothing more comes of it. */
export function tellEnd(source: Source, cause: string): void {
  const now = Date.now();
  source.tell({ end: true, input: source.plan.input.step.id, from: now, to: now, lost: 0, exact: true, cause });
}
