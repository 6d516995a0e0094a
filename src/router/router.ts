import { statSync } from 'node:fs';
import { AddressMap } from './address-map.ts';
import { FloatingIps } from './floating-ips.ts';
import { LegacyRules } from './legacy-rules.ts';
import { NatRules, type RuleListener } from './nat-rules.ts';
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
  /** Mappings that hold here, and that did. */
  readonly floating = new FloatingIps();
  /** Those that the rules tell as well, but whose address another router of the pair has at present. */
  readonly #elsewhere = new FloatingIps();
  /** Open for those who need it: see `Neighbours.open`. Closed with the router. */
  readonly neighbours: Neighbours;
  readonly #key: string;
  readonly #rules: NatRules;
  readonly #legacy: LegacyRules;
  /** External addresses of which some ports are forwarded: those known, and those found since reading began. */
  #forwards = new AddressMap();
  #found = this.#forwards;
  readonly #listeners = new Set<MappingListener>();
  /** Mappings of which the listeners were not told that they began. */
  readonly #untold = new Set<number>();
  /** Who opened it: who opens or closes it twice counts once. */
  readonly #users = new Set<object>();
  #report: ((message: string) => void) | undefined;
  #opened: Promise<void> | undefined;
  #onFirst: (() => void) | undefined;
  #round = 0;
  /** What is being read has held at least since this time; 0 at first, when nobody knows since when. */
  #since = 0;
  #reading = false;

  private constructor(namespace: string | undefined, key: string) {
    this.#key = key;
    this.#rules = new NatRules(namespace, this.#onRules);
    this.#legacy = new LegacyRules(
      namespace,
      () => this.#rules.read(),
      (message) => this.#report?.(message),
    );
    this.neighbours = new Neighbours(namespace);
    this.own = new OwnAddresses(namespace, {
      onAddress: (view, at, length, isHere) => this.#onAddress(view, at, length, isHere),
      onChange: () => {
        if (!this.#reading) this.#forgetOld();
        this.#legacy.look();
      },
      onReread: () => this.#rules.read(),
    });
  }

  /** Subscribes to news and reads what there is; resolves when it is known. `report` is told what cannot be read later. Throws ErrnoException. */
  open(user: object, report: (message: string) => void): Promise<void> {
    this.#users.add(user);
    this.#report = report;
    routers.set(this.#key, this);
    this.#opened ??= this.#begin();
    return this.#opened;
  }

  /** `user` is that of `open`. */
  close(user: object): void {
    if (this.#users.delete(user) && this.#users.size === 0) this.#end();
  }

  #end(): void {
    routers.delete(this.#key);
    this.#opened = undefined;
    this.#rules.close();
    this.#legacy.close();
    this.own.close();
    this.neighbours.close();
  }

  /** Tells every mapping that holds, and from now on every change. */
  listen(listener: MappingListener): void {
    this.#listeners.add(listener);
    this.floating.forEach((entry) => {
      if (!this.#untold.has(entry)) listener(entry, true, this.floating.since(entry));
    });
  }

  ignore(listener: MappingListener): void {
    this.#listeners.delete(listener);
  }

  /** Whether one address stands, or stood, for another as a whole, here or on another router of the pair. */
  knowsPair(view: DataView, external: number, internal: number, length: number): boolean {
    if (this.floating.ofPair(view, external, internal, length) > 0) return true;
    return this.#elsewhere.ofPair(view, external, internal, length) > 0;
  }

  /** Whether an address is, or was, a floating one. */
  knowsFloating(view: DataView, at: number, length: number): boolean {
    return this.floating.ofFloating(view, at, length) > 0 || this.#elsewhere.ofFloating(view, at, length) > 0;
  }

  /** The router is no more: tells that what held is over. */
  end(): void {
    this.refresh();
    const now = Date.now();
    this.floating.forEach((entry) => {
      this.floating.end(entry, now);
      if (!this.#untold.delete(entry)) this.#tell(entry, false, this.floating.until(entry));
    });
  }

  /** Whether a rule sends some ports of this address elsewhere. */
  forwards(view: DataView, at: number, length: number): boolean {
    return this.#forwards.get(view, at, length) > 0;
  }

  /** Whether an address is outside: the kernel sends to it by the device that has this external address, or by which that is reached. */
  isOutside(view: DataView, at: number, external: number, length: number): boolean {
    const outward = this.own.deviceOf(view, external, length) || this.own.deviceTowards(view, external, length);
    return outward > 0 && this.own.deviceTowards(view, at, length) === outward;
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
      this.#users.clear();
      this.#end();
      throw error;
    }
    this.#since = 0;
    await new Promise<void>((resolve) => {
      this.#onFirst = resolve;
      this.#rules.read();
    });
    // Where nf_tables translates nothing, the rules may be those of iptables-legacy.
    if (this.floating.size === 0 && this.#forwards.size === 0) this.#legacy.look();
  }

  readonly #onRules: RuleListener = {
    onReading: () => {
      this.#reading = true;
      this.#round++;
      if (this.#onFirst === undefined) this.#since = Date.now();
      this.#found = new AddressMap();
    },
    onWhole: (view, external, internal, length, isNews) => {
      const since = isNews ? Date.now() : this.#since;
      if (this.#isElsewhere(view, external, internal, length)) {
        this.#elsewhere.note(view, external, internal, length, since, this.#round);
      } else this.#note(view, external, internal, length, since);
    },
    onWholeGone: (view, external, internal, length) =>
      this.floating.doubt(view, external, internal, length, Date.now()),
    onForward: (view, external, length) => {
      this.#found.set(view, external, length, 1);
      this.#forwards.set(view, external, length, 1);
    },
    onNews: () => {
      if (!this.#reading) this.#tellBegun();
    },
    onRead: (isWhole) => this.#onRead(isWhole),
  };

  #note(view: DataView, external: number, internal: number, length: number, since: number): void {
    const entry = this.floating.note(view, external, internal, length, since, this.#round);
    if (entry > 0) this.#untold.add(entry);
  }

  /**
   * Neutron writes the rules into each router of a pair, and keepalived moves the addresses. Where no router is one of a pair, an
   * address need not be on a device (that of a distributed router never is), unless it has been and was taken away.
   */
  #isElsewhere(view: DataView, external: number, internal: number, length: number): boolean {
    if (this.own.isComplete) {
      if (this.own.has(view, external, length)) return false;
      if (this.own.isOfPair) return true;
    }
    const known = this.#elsewhere.ofPair(view, external, internal, length);
    return known > 0 && this.#elsewhere.until(known) === Number.POSITIVE_INFINITY;
  }

  /** The mappings of an address go with it, and come with it. */
  #onAddress(view: DataView, at: number, length: number, isHere: boolean): void {
    const now = Date.now();
    const from = isHere ? this.#elsewhere : this.floating;
    from.forEachOf(view, at, length, (entry) => {
      from.end(entry, now);
      const [external, internal] = [from.floatingAt(entry), from.fixedAt(entry)];
      if (isHere) return this.#note(from.view, external, internal, length, now);
      this.#elsewhere.note(from.view, external, internal, length, now, this.#round);
      if (!this.#untold.delete(entry)) this.#tell(entry, false, from.until(entry));
    });
    if (!this.#reading) this.#tellBegun();
  }

  #onRead(isWhole: boolean): void {
    if (isWhole) {
      this.#legacy.visit(this.#onRules);
      this.#forwards = this.#found;
      this.floating.retire(this.#round, this.#since || Date.now(), (entry) => {
        if (!this.#untold.delete(entry)) this.#tell(entry, false, this.floating.until(entry));
      });
    }
    if (isWhole) this.#elsewhere.retire(this.#round, this.#since, () => {});
    this.#reading = false;
    this.#tellBegun();
    this.#forgetOld();
    this.#onFirst?.();
    this.#onFirst = undefined;
  }

  /** All that began was told: entries may get other numbers. */
  #forgetOld(): void {
    this.floating.forgetOld();
    this.#elsewhere.forgetOld();
  }

  #tellBegun(): void {
    for (const entry of this.#untold) this.#tell(entry, true, this.floating.since(entry));
    this.#untold.clear();
  }

  #tell(entry: number, holds: boolean, time: number): void {
    for (const listener of this.#listeners) listener(entry, holds, time);
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
