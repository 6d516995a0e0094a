import { execFileSync } from 'node:child_process';
import { readFileSync, statSync } from 'node:fs';

/** A user's PATH often lacks the folders where nft and sysctl are. */
const environment = { ...process.env, PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin`, LC_ALL: 'C' };
const MOST_BYTES = 64 << 20;

/** A network namespace, seen from inside: our own, or the one of a file. */
export class View {
  /** File of the namespace; undefined for our own. */
  readonly path: string | undefined;

  constructor(path?: string) {
    this.path = path;
  }

  /** As it stands in messages and commands. */
  get name(): string {
    return this.path ?? 'own';
  }

  /** Why it cannot be entered, as the kernel says it; undefined when it can. */
  get fault(): string | undefined {
    try {
      if (this.path !== undefined) this.run('true');
      return undefined;
    } catch (error) {
      return (error as Error).message;
    }
  }

  /** Text of a file below /proc, which shows each namespace its own; undefined when there is none. */
  read(file: string): string | undefined {
    try {
      return this.path === undefined ? readFileSync(file, 'utf8') : this.run('cat', file);
    } catch {
      return undefined;
    }
  }

  /** Value of a sysctl. */
  sysctl(name: string): string | undefined {
    return this.read(`/proc/sys/${name.replaceAll('.', '/')}`)?.trim();
  }

  /** What a command prints, run in the namespace. Throws with what it said. */
  run(...words: readonly string[]): string {
    const [command, ...args] = this.words(...words) as [string, ...string[]];
    const stdio = ['ignore', 'pipe', 'pipe'] as ['ignore', 'pipe', 'pipe'];
    try {
      return execFileSync(command, args, { encoding: 'utf8', env: environment, stdio, maxBuffer: MOST_BYTES });
    } catch (error) {
      const { stderr, message } = error as Error & { stderr?: string };
      throw new Error(stderr?.trim().split('\n')[0] || message);
    }
  }

  /** A command in words, such that it acts on this namespace. */
  words(...words: readonly string[]): string[] {
    return this.path === undefined ? [...words] : ['nsenter', `--net=${this.path}`, ...words];
  }

  /** The machine's first namespace: some settings can be changed nowhere else. */
  get first(): View {
    return this.isFirst ? this : new View('/proc/1/ns/net');
  }

  /**
   * Whether it is the machine's first namespace, for which /etc/sysctl.d counts: the only one in which this setting can be
   * written (sysctl_core_net_init); older kernels show it nowhere else.
   */
  get isFirst(): boolean {
    const file = '/proc/sys/net/core/rmem_max';
    try {
      const mode =
        this.path === undefined ? statSync(file).mode : Number.parseInt(this.run('stat', '-c', '%a', file), 8);
      return (mode & 0o200) !== 0;
    } catch {
      return false;
    }
  }
}

/** Whether a program can be found. */
export function isInstalled(program: string): boolean {
  try {
    execFileSync('sh', ['-c', 'command -v "$1"', 'sh', program], { env: environment, stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
