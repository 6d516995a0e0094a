import { statSync } from 'node:fs';
import { AddressMap } from './address-map.ts';
import { FloatingIps } from './floating-ips.ts';
import { LegacyRules } from './legacy-rules.ts';
import { NatRules, type RuleVisitor } from './nat-rules.ts';
import { Neighbours } from './neighbours.ts';
import { OwnAddresses } from './own-addresses.ts';

/** A mapping began (`holds`) or ended. `entry` is one of `FloatingIps`; `time` is in ms since 1970. */
export type MappingListener = (entry: number, holds: boolean, time: number) => void;

/** By the namespace itself: another one of the same name is another router. */
const routers = new Map<string, Router>();

/** What is known of the router that a network namespace is: its own addresses and its floating ones. Plugins of one thread share it. */
export class Router {
  /** The router of this namespace; undefined for that of the daemon. Each `open` needs a `close`. */
  static of(namespace: string | undefined): Router {
    const key = keyOf(namespace);
    const known = routers.get(key);
    if (known) return known;
    const made = new Router(namespace, key);
    routers.set(key, made);
    return made;
  }

  readonly own: OwnAddresses;
  readonly floating = new FloatingIps();
  /** Open for those who need it: see `Neighbours.open`. Closed with the router. */
  readonly neighbours: Neighbours;
  readonly #key: string;
  readonly #rules: NatRules;
  readonly #legacy: LegacyRules;
  /** External addresses of which some ports are forwarded. */
  readonly #forwards = new AddressMap();
  readonly #listeners = new Set<MappingListener>();
  #users = 0;
  #opened: Promise<void> | undefined;
  #round = 0;
  /** Nothing was read yet: what is found then has held since nobody knows when. */
  #first = true;

  private constructor(namespace: string | undefined, key: string) {
    this.#key = key;
    this.#rules = new NatRules(namespace, () => this.#read());
    this.#legacy = new LegacyRules(namespace, () => this.#read());
    this.neighbours = new Neighbours(namespace);
    this.own = new OwnAddresses(namespace, () => this.#legacy.look());
  }

  /** Subscribes to news and reads what there is; resolves when it is known. Throws ErrnoException. */
  open(): Promise<void> {
    this.#users++;
    routers.set(this.#key, this);
    this.#opened ??= this.#begin();
    return this.#opened;
  }

  close(): void {
    if (this.#users === 0 || --this.#users > 0) return;
    routers.delete(this.#key);
    this.#opened = undefined;
    this.#first = true;
    this.#rules.close();
    this.#legacy.close();
    this.own.close();
    this.neighbours.close();
  }

  /** Tells every mapping that holds, and from now on every change. */
  listen(listener: MappingListener): void {
    this.#listeners.add(listener);
    this.floating.forEach((entry) => {
      listener(entry, true, this.floating.since(entry));
    });
  }

  ignore(listener: MappingListener): void {
    this.#listeners.delete(listener);
  }

  /** Whether a rule sends some ports of this address elsewhere. */
  forwards(view: DataView, at: number, length: number): boolean {
    return this.#forwards.get(view, at, length) > 0;
  }

  /** Whether the kernel did not show the rules: what they say is then not known. */
  get rulesRefused(): boolean {
    return this.#rules.refused;
  }

  /** Reads the news that wait: an event may be read before the news of the rule that shaped it. */
  refresh(): void {
    this.#rules.refresh();
    this.own.refresh();
  }

  async #begin(): Promise<void> {
    try {
      this.#rules.open();
      this.#legacy.open();
      await this.own.open();
    } catch (error) {
      this.#users = 1;
      this.close();
      throw error;
    }
    this.#read();
    // Where nf_tables translates nothing, the rules may be those of iptables-legacy.
    if (this.floating.size === 0 && this.#forwards.size === 0) this.#legacy.look();
    this.#first = false;
  }

  #read(): void {
    const began: number[] = [];
    const now = Date.now();
    const since = this.#first ? 0 : now;
    const visitor: RuleVisitor = {
      begin: () => {
        this.#round++;
        this.#forwards.clear();
      },
      onWhole: (view, external, internal, length) => {
        const entry = this.floating.note(view, external, internal, length, since, this.#round);
        if (entry > 0) began.push(entry);
      },
      onForward: (view, external, length) => this.#forwards.set(view, external, length, 1),
    };
    if (!this.#rules.read(visitor)) return;
    this.#legacy.visit(visitor);
    const fresh = new Set(began);
    const tell = (entry: number, holds: boolean) => {
      for (const listener of this.#listeners) listener(entry, holds, since);
    };
    this.floating.retire(this.#round, now, (entry) => {
      if (!fresh.delete(entry)) tell(entry, false);
    });
    for (const entry of fresh) tell(entry, true);
  }
}

/** What the file stands for now; while that cannot be seen, its name alone. */
function keyOf(namespace: string | undefined): string {
  if (namespace === undefined) return '';
  try {
    const { dev, ino } = statSync(namespace);
    return `${namespace} ${dev} ${ino}`;
  } catch {
    return namespace;
  }
}
