import { type FSWatcher, readdirSync, readFileSync, statfsSync, statSync, watch } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { isNamespaceName, type Namespace } from '../pipeline/namespace.ts';
import { printable } from '../wire/printable-text.ts';

/** Where `ip netns` and Neutron keep the names of namespaces. */
export const NETNS = '/run/netns';
/** Type of the file system of namespaces (linux/magic.h). */
const NSFS_MAGIC = 0x6e736673;
/** The file is there first, and becomes a namespace when it is mounted: so often (ms) it is looked at, at first and later. */
const FIRST_LOOK = 2;
const SLOWEST_LOOK = 50;
/** A file that is no namespace after this (ms) is left to the scan. */
const PATIENCE = 5000;
/** Everything is looked at again so often (ms), should the kernel have missed to tell us something. */
const SCAN_INTERVAL = 30_000;

/** Names in NETNS, sorted, whatever stands behind them; none while there is no such folder: it comes with the first namespace. */
export function namespaceNames(): string[] {
  try {
    return readdirSync(NETNS).toSorted();
  } catch {
    return [];
  }
}

/** What is told of namespaces, one by one. */
export interface NamespaceListener {
  /** Whether a name is of interest. */
  matches(name: string): boolean;
  appeared(namespace: Namespace): void;
  vanished(namespace: Namespace): void;
  /** Something for the operator, once for each name. */
  report(message: string): void;
}

/** The named network namespaces of the host, as they come and go. */
export class Namespaces {
  readonly #listener: NamespaceListener;
  readonly #directory: string;
  readonly #present = new Map<string, Namespace>();
  /** Files that are no namespace yet: since when, and the next look at them. */
  readonly #waiting = new Map<string, { readonly since: number; delay: number; timer?: NodeJS.Timeout }>();
  readonly #reported = new Set<string>();
  /** It was said that mounts do not reach us. */
  #isBlind = false;
  #watcher: FSWatcher | undefined;
  /** What is watched: the directory by its inode, or, while it is not there, its parent. */
  #watched = '';
  #timer: NodeJS.Timeout | undefined;

  constructor(listener: NamespaceListener, directory = NETNS) {
    this.#listener = listener;
    this.#directory = directory;
  }

  /** Begins to watch, then tells of all that are there. */
  start(): void {
    this.scan();
    this.#timer = setInterval(() => this.scan(), SCAN_INTERVAL);
  }

  /** Tells nothing any more. */
  stop(): void {
    clearInterval(this.#timer);
    this.#watcher?.close();
    this.#watcher = undefined;
    for (const { timer } of this.#waiting.values()) clearTimeout(timer);
    this.#waiting.clear();
  }

  /** Those that are there and match. */
  get present(): readonly Namespace[] {
    return [...this.#present.values()];
  }

  /** Looks at everything; the directory is watched first, so that nothing comes unseen between. */
  scan(): void {
    this.#watch();
    const names = new Set(attempt(() => readdirSync(this.#directory)) ?? []);
    for (const name of this.#present.keys()) if (!names.has(name)) this.#look(name);
    for (const name of names) if (!this.#waiting.has(name)) this.#look(name);
  }

  #watch(): void {
    const inode = attempt(() => statSync(this.#directory).ino);
    const watched = inode === undefined ? 'parent' : `inode ${inode}`;
    if (this.#watcher !== undefined && this.#watched === watched) return;
    this.#watcher?.close();
    this.#watched = watched;
    const name = basename(this.#directory);
    this.#watcher = attempt(() =>
      inode === undefined
        ? watch(dirname(this.#directory), (_, file) => file === name && this.scan())
        : watch(this.#directory, (_, file) => (file === null ? this.scan() : this.#look(file))),
    );
    this.#watcher?.on('error', () => {
      this.#watcher = undefined; // until the next scan
    });
  }

  /** Compares what is behind a name with what was. */
  #look(name: string): void {
    if (!this.#listener.matches(name)) return;
    if (!isNamespaceName(name)) return this.#report(name, 'a name that cannot stand in a record; it is not watched');
    const path = join(this.#directory, name);
    const type = attempt(() => statfsSync(path).type);
    const file = attempt(() => statSync(path));
    const known = this.#present.get(name);
    const isSame = type === NSFS_MAGIC && file !== undefined && known?.inode === file.ino && known.device === file.dev;
    if (known !== undefined && !isSame) {
      this.#present.delete(name);
      this.#listener.vanished(known);
    }
    if (type === NSFS_MAGIC && file !== undefined) {
      this.#forget(name);
      if (isSame) return;
      const namespace = { name, path, device: file.dev, inode: file.ino };
      this.#present.set(name, namespace);
      this.#listener.appeared(namespace);
    } else if (file === undefined) this.#forget(name);
    else this.#wait(name);
  }

  /** The file is made before the namespace is mounted on it, and of the mount nobody tells (ip-netns(8), pyroute2). */
  #wait(name: string): void {
    if (this.#reported.has(name)) return; // the scan looks at it again
    const waiting = this.#waiting.get(name) ?? { since: performance.now(), delay: FIRST_LOOK };
    this.#waiting.set(name, waiting);
    clearTimeout(waiting.timer);
    if (performance.now() - waiting.since > PATIENCE) {
      this.#waiting.delete(name);
      return this.#giveUp(name);
    }
    waiting.timer = setTimeout(() => this.#look(name), waiting.delay);
    waiting.delay = Math.min(waiting.delay * 2, SLOWEST_LOOK);
  }

  #forget(name: string): void {
    clearTimeout(this.#waiting.get(name)?.timer);
    this.#waiting.delete(name);
    this.#reported.delete(name);
  }

  #report(name: string, what: string): void {
    if (this.#reported.has(name)) return;
    this.#reported.add(name);
    this.#listener.report(`${printable(join(this.#directory, name))}: ${what}`);
  }

  /** Without propagation, what is mounted by others never reaches our mount namespace: of all names this is said once. */
  #giveUp(name: string): void {
    const isPrivate = attempt(() => !/(?:shared|master):\d/.test(mountOf(this.#directory)));
    if (!isPrivate)
      return this.#report(name, 'a plain file, no network namespace: left over from one that was removed by half');
    if (this.#isBlind) this.#reported.add(name);
    else
      this.#report(
        name,
        'a plain file, no network namespace: mounts do not reach this process (in a container: mount /run/netns with rslave or shared propagation), or it was left over; of others nothing will be said',
      );
    this.#isBlind = true;
  }
}

/** The line of mountinfo(5) for the mount that a path is in: the one whose mount point is longest. */
function mountOf(path: string): string {
  const lines = readFileSync('/proc/self/mountinfo', 'utf8').split('\n').filter(Boolean);
  const pointOf = (line: string) => line.split(' ')[4] as string;
  const around = lines.filter((line) => `${path}/`.startsWith(pointOf(line) === '/' ? '/' : `${pointOf(line)}/`));
  return around.reduce((best, line) => (pointOf(line).length >= pointOf(best).length ? line : best));
}

/** Namespaces come and go while we look: what is gone is no answer. */
function attempt<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch {
    return undefined;
  }
}
