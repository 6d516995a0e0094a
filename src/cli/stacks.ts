import type { Config } from '../config/config.ts';
import { type Environment, linkSource, type Source } from '../pipeline/link.ts';
import { Memory } from '../pipeline/memory.ts';
import { type Plan, planIdentity } from '../pipeline/plan.ts';
import type { Log } from '../pipeline/plugin.ts';
import { rehearse } from '../pipeline/rehearsal.ts';
import { Runner } from '../pipeline/runner.ts';
import { Shared } from '../pipeline/shared.ts';
import type { Snapshot } from '../pipeline/snapshot.ts';
import { hasCapability } from '../system/capabilities.ts';
import { Clock } from '../system/clock.ts';
import { Namespaces, NETNS } from '../system/namespaces.ts';
import { FixedNamespaces } from './fixed-namespaces.ts';
import { type Attached, NamespaceStacks, tellEnd } from './namespace-stacks.ts';
import { followedNames } from './namespace-steps.ts';
import { summary } from './summary.ts';

/**
 * Bytes of pipeline memory. Inputs of one kind share what they receive into, a stack takes a few KB, and an output to JSON 8 KB,
 * or, when it has much to write, up to 2 MB; much more would set V8's garbage collector to work.
 */
const MEMORY = 64 << 20;

const NO_RIGHT =
  'no right to enter other namespaces (CAP_SYS_ADMIN); with -u it is kept only if an input has network_namespaces at the start: restart the daemon';

/** The stacks that one thread runs. */
export class Stacks {
  readonly #log: Log;
  readonly #environment: Environment;
  readonly #runner: Runner;
  /** What runs for each plan, by the plan's identity. */
  #sources = new Map<string, Source>();
  /** Plans that follow namespaces, by the plan's identity. */
  #following: ReadonlyMap<string, NamespaceStacks> = new Map();
  #namespaces: Namespaces | undefined;
  readonly #fixed = new FixedNamespaces((path) => void this.#renew(path));
  /** Sources that are replaced because their namespace was: one after the other. */
  #renewing: Promise<unknown> = Promise.resolve();
  #isStopped = false;
  /** Not again at a reload: other stacks are running then, into files that these may share. */
  #isRehearsed = false;

  constructor({ global, neutron }: Config, log: Log) {
    this.#log = log;
    this.#environment = {
      memory: new Memory(MEMORY),
      log,
      clock: new Clock(),
      compat: global.compat !== '',
      neutron,
      gapRecords: global.gap_records,
      shared: new Shared(),
    };
    this.#runner = new Runner(log);
  }

  /**
   * Has exactly these plans run: what runs already goes on undisturbed, what could not start is tried again. Returns how many
   * outputs of those that were started can get events.
   */
  async run(plans: readonly Plan[]): Promise<number> {
    const follows = (plan: Plan) => followedNames(plan.input.step) !== undefined;
    const followers = await this.#follow(plans.filter(follows));
    const wanted = new Map(plans.filter((plan) => !follows(plan)).map((plan) => [planIdentity(plan), plan]));
    const isKept = (identity: string, source: Source) =>
      wanted.has(identity) && this.#runner.failureOf(source) === undefined && !source.isGone();
    const kept = new Map([...this.#sources].filter(([identity, source]) => isKept(identity, source)));
    const going = [...this.#sources].filter(([identity]) => !kept.has(identity)).map(([, source]) => source);
    const coming = new Map(
      [...wanted].flatMap(([identity, plan]) =>
        kept.has(identity) ? [] : [[identity, linkSource(plan, this.#environment)] as const],
      ),
    );
    if (!this.#isRehearsed) for (const source of coming.values()) rehearse(source);
    this.#isRehearsed = true;
    this.#sources = new Map([...kept, ...coming]);
    const outputs = await this.#runner.change(going, [...coming.values()]);
    if (!this.#isStopped) this.#fixed.watch([...this.#sources.values()].flatMap(({ namespace = [] }) => namespace));
    await this.#watch();
    return outputs + followers.reduce((sum, one) => sum + one.outputs, 0);
  }

  /** Has these plans follow their namespaces, and no others; returns those that are new. */
  async #follow(plans: readonly Plan[]): Promise<NamespaceStacks[]> {
    const wanted = new Map(plans.map((plan) => [planIdentity(plan), plan]));
    const gone = [...this.#following].filter(([identity]) => !wanted.has(identity)).map(([, one]) => one);
    const kept = [...this.#following].filter(([identity]) => wanted.has(identity));
    const fresh = [...wanted].flatMap(([identity, plan]) =>
      this.#following.has(identity)
        ? []
        : [[identity, new NamespaceStacks(plan, this.#runner, this.#environment)] as const],
    );
    this.#following = new Map([...kept, ...fresh]);
    const successions = fresh.flatMap(([, one]) => {
      const before = gone.find(({ plan }) => plan.input.name === one.plan.input.name);
      return before === undefined ? [] : one.succeed(before);
    });
    const cause = 'the configuration has changed';
    await Promise.all(gone.flatMap((one) => one.list().map(({ netns }) => one.detach(netns, cause))));
    await this.#runner.change(
      successions.map(({ going }) => going),
      successions.map(({ coming }) => coming),
    );
    return fresh.map(([, one]) => one);
  }

  /** Begins, goes on or ends to watch the namespaces; resolves when those that are there are attached: then root may be given up. */
  async #watch(): Promise<void> {
    this.#namespaces?.stop();
    this.#namespaces = undefined;
    if (this.#following.size === 0 || this.#isStopped) return;
    if (!hasCapability('CAP_SYS_ADMIN')) return this.#log.error(`network_namespaces: ${NO_RIGHT}`);
    const following = [...this.#following.values()];
    const attaching = new Set<Promise<void>>();
    this.#namespaces = new Namespaces({
      matches: (name) => following.some((one) => one.matches(name)),
      appeared(namespace) {
        for (const one of following.filter(({ matches }) => matches(namespace.name))) {
          const attached = one.attach(namespace);
          attaching.add(attached);
          void attached.then(() => attaching.delete(attached));
        }
      },
      vanished({ name }) {
        for (const one of following) void one.detach(name);
      },
      report: (message) => this.#log.error(message),
    });
    this.#namespaces.start();
    for (const one of following) one.keepOnly(this.#namespaces.present);
    await Promise.all(attaching);
  }

  /** Has inputs that name this file listen in the namespace that it stands for now; while there is none, they do not run. */
  #renew(path: string): Promise<unknown> {
    this.#renewing = this.#renewing.then(async () => {
      for (const [identity, source] of this.#sources) {
        if (this.#isStopped || source.namespace !== path || !source.isGone()) continue;
        const ran = this.#runner.failureOf(source) === undefined;
        const coming = linkSource(source.plan, this.#environment);
        this.#sources.set(identity, coming);
        await this.#runner.change(
          [source],
          [coming],
          () => ran && tellEnd(source, `network namespace ${path} is gone`),
        );
        if (this.#runner.failureOf(coming) === undefined) this.#log.notice(`${coming.name}: listens in ${path} again`);
        else if (!hasCapability('CAP_SYS_ADMIN')) this.#log.error(`${coming.name}: ${NO_RIGHT}`);
      }
    });
    return this.#renewing;
  }

  /** SIGHUP: every file is opened again under its name. */
  reopen(): void {
    this.#runner.reopen();
  }

  /** What listens in namespaces that the configuration names by a pattern. */
  namespaces(): Attached[] {
    return [...this.#following.values()].flatMap((one) => one.list());
  }

  /** Attaches a namespace by name now, also where a start failed before. Returns how many inputs it matches. */
  async attach(name: string): Promise<number> {
    const following = [...this.#following.values()].filter((one) => one.matches(name));
    if (following.length > 0 && !hasCapability('CAP_SYS_ADMIN')) throw new Error(NO_RIGHT);
    this.#namespaces?.scan();
    const there = this.#namespaces?.present.find((one) => one.name === name);
    if (following.length > 0 && there === undefined) throw new Error(`there is no network namespace ${NETNS}/${name}`);
    if (there !== undefined) for (const one of following) await one.attach(there);
    return following.length;
  }

  /** Lets go of a namespace, until it is attached or comes anew. Returns how many inputs listened there. */
  async detach(name: string): Promise<number> {
    const following = [...this.#following.values()].filter((one) => one.list().some(({ netns }) => netns === name));
    await Promise.all(following.map((one) => one.detach(name, 'detached by request')));
    return following.length;
  }

  /** SIGUSR2. */
  signal(): void {
    this.#runner.signal();
  }

  snapshot(): Snapshot {
    return this.#runner.snapshot();
  }

  /** Lines with the counters of every input. */
  summary(): string[] {
    return summary(this.#runner.sources, this.#runner.past);
  }

  /** Reads what the kernel holds ready, writes it out and closes everything, for good. */
  stop(): Promise<void> {
    this.#isStopped = true;
    this.#namespaces?.stop();
    this.#fixed.stop();
    return this.#runner.stop();
  }
}
