// Throw-away network namespaces: what the demo, the kernel tests and the differential tests run in.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

// Outlives this process however it dies, SIGKILL included: its input ends with us, and then it removes what it was told of.
const JANITOR = `
while read -r name; do names="$name $names"; done
for name in $names; do
  for pid in $(ip netns pids "$name" 2>/dev/null); do kill -KILL "$pid"; done
  ip netns del "$name"
done
rm -rf "$0"`;

/** A set of namespaces, processes and files that vanish together, also on Ctrl-C, a crash or SIGKILL. */
export class Lab {
  /** @type {string[]} */ #namespaces = [];
  /** @type {Set<import('node:child_process').ChildProcess>} */ #processes = new Set();
  #closed = false;
  /** A folder of its own, removed with the lab. */
  directory = mkdtempSync(join(tmpdir(), 'flowlogd-lab-'));
  #janitor = spawn('sh', ['-c', JANITOR, this.directory], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });

  constructor() {
    this.#janitor.unref();
    /** @type {import('node:net').Socket} */ (this.#janitor.stdin).unref();
    process.once('exit', () => this.close());
    for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
      process.once(signal, () => {
        this.close();
        process.exit(130);
      });
    }
  }

  /** Creates a namespace with loopback up. Names are unique unless `exact`. @param {string} name */
  namespace(name, { exact = false } = {}) {
    const full = exact ? name : `${name}-${process.pid}-${this.#namespaces.length}`;
    if (existsSync(`/run/netns/${full}`)) throw new Error(`namespace ${full} exists already`);
    // Ours from here on: a Ctrl-C that stops `ip` half-way must not leave it behind.
    this.#namespaces.push(full);
    this.#janitor.stdin.write(`${full}\n`);
    execFileSync('ip', ['netns', 'add', full]);
    execFileSync('ip', ['-n', full, 'link', 'set', 'lo', 'up']);
    return full;
  }

  /** Joins two namespaces by a veth pair, both ends up. @param {[namespace: string, device: string]} a @param {[namespace: string, device: string]} b */
  cable([aNamespace, aDevice], [bNamespace, bDevice]) {
    this.sh(`ip -n ${aNamespace} link add ${aDevice} type veth peer name ${bDevice} netns ${bNamespace}`);
    this.sh(`ip -n ${aNamespace} link set ${aDevice} up; ip -n ${bNamespace} link set ${bDevice} up`);
  }

  /** Runs shell commands (in a namespace, if named) and returns what they print; throws with stderr on failure. @param {string} commands @param {string} [namespace] */
  sh(commands, namespace) {
    const [command, ...args] = [...(namespace ? ['ip', 'netns', 'exec', namespace] : []), 'sh', '-ec', commands];
    return execFileSync(/** @type {string} */ (command), args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  }

  /**
   * Starts a process that the lab ends when it closes, and the kernel ends if this process dies first.
   * @param {string[]} command @param {string} [namespace] @param {import('node:child_process').SpawnOptions} [options]
   */
  start(command, namespace, options = {}) {
    const args = ['--pdeathsig', 'KILL', ...(namespace ? ['ip', 'netns', 'exec', namespace] : []), ...command];
    const child = spawn('setpriv', args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
    this.#processes.add(child);
    child.once('exit', () => this.#processes.delete(child));
    return child;
  }

  /** Ends every process that was started here, and waits for its end. */
  async endProcesses() {
    const ends = [...this.#processes].map((child) => once(child, 'exit'));
    for (const child of this.#processes) child.kill('SIGKILL');
    await Promise.all(ends);
  }

  /** Ends every process, removes every namespace and file. Harmless when called again. */
  close() {
    if (this.#closed) return;
    this.#closed = true;
    for (const child of this.#processes) child.kill('SIGKILL');
    for (const name of this.#namespaces.reverse()) {
      try {
        const left = execFileSync('ip', ['netns', 'pids', name], {
          encoding: 'utf8',
          stdio: ['ignore', 'pipe', 'ignore'],
        });
        for (const pid of left.split('\n').filter(Boolean)) process.kill(Number(pid), 'SIGKILL');
      } catch {} // a process that ended by itself meanwhile
      try {
        execFileSync('ip', ['netns', 'del', name], { stdio: 'ignore' });
      } catch {} // removed by the test itself
    }
    rmSync(this.directory, { recursive: true, force: true });
    // Whatever a second Ctrl-C kept us from removing is the janitor's.
    if (!this.#namespaces.some((name) => existsSync(`/run/netns/${name}`))) this.#janitor.kill('SIGKILL');
  }
}

/** Resolves once `condition` gives a truthy value, and returns it; rejects with `what` after `seconds`. @template T @param {string} what @param {() => T | Promise<T>} condition */
export async function until(what, condition, seconds = 30) {
  const end = performance.now() + seconds * 1000;
  for (;;) {
    const value = await condition();
    if (value) return value;
    if (performance.now() > end) throw new Error(`waited ${seconds} s in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
