// A machine as an operator sees it, for what documents say to type: its own /etc, /run and /var/log, on which nothing is yet, the
// commands of the guides, and the routers of a lab under the names that Neutron gives them.
import type { ChildProcess } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Lab, until } from '../../scripts/lab.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
let made = 0;

const SETUP = `
cd "$0"
mount --make-rprivate /
mkdir netns upper work
for pair; do touch netns/\${pair%%=*}; mount --bind /run/netns/\${pair#*=} netns/\${pair%%=*}; done
mount -t tmpfs none /run
mkdir /run/netns
for pair; do touch /run/netns/\${pair%%=*}; mount --bind netns/\${pair%%=*} /run/netns/\${pair%%=*}; done
mount -t overlay none -o lowerdir=/etc,upperdir=upper,workdir=work /etc
rm -rf /etc/ulogd.conf /etc/flowlogd
mount -t tmpfs none /var/log
echo ready
exec sleep infinity`;

/** Such a machine; it goes with the lab. */
export class NetworkNode {
  readonly #lab: Lab;
  readonly #folder: string;
  readonly #holder: ChildProcess;
  /** What runs as the service. */
  #service: { readonly process: ChildProcess; readonly ended: Promise<unknown> } | undefined;
  /** What the service said on stderr. */
  said = '';

  private constructor(lab: Lab, folder: string, holder: ChildProcess) {
    this.#lab = lab;
    this.#folder = folder;
    this.#holder = holder;
  }

  /** `routers`: namespaces of the lab by the names they have on the machine. `commands`: scripts of programs that are not installed. */
  static async start(
    lab: Lab,
    routers: Readonly<Record<string, string>>,
    commands: Readonly<Record<string, string>> = {},
  ): Promise<NetworkNode> {
    const folder = join(lab.directory, `node-${made++}`);
    mkdirSync(join(folder, 'bin'), { recursive: true });
    const flowlogd = `exec '${process.execPath}' '${join(ROOT, 'dist/main.js')}' "$@"`;
    for (const [name, script] of Object.entries({ flowlogd, ...commands }))
      writeFileSync(join(folder, 'bin', name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    const pairs = Object.entries(routers).map(([name, namespace]) => `${name}=${namespace}`);
    const holder = lab.start(['unshare', '-m', 'sh', '-ec', SETUP, folder, ...pairs]);
    let told = '';
    for (const stream of [holder.stdout, holder.stderr]) {
      stream?.on('data', (text) => {
        told += text;
      });
    }
    await until('the machine stands', () => {
      if (holder.exitCode !== null) throw new Error(told);
      return told.includes('ready');
    });
    return new NetworkNode(lab, folder, holder);
  }

  #inside(command: string): string[] {
    const path = `${join(this.#folder, 'bin')}:${process.env.PATH}:/usr/sbin:/sbin`;
    return [
      'nsenter',
      '-t',
      `${this.#holder.pid}`,
      '-m',
      'env',
      '-C',
      ROOT,
      `PATH=${path}`,
      'TZ=UTC',
      'sh',
      '-ec',
      command,
    ];
  }

  /** Runs shell commands in a checkout on the machine and returns what they print; throws with stderr when they fail. */
  sh(commands: string): string {
    return this.#lab.sh('exec "$@"'.replace('"$@"', this.#inside(commands).map(quoted).join(' ')));
  }

  /** `systemctl restart flowlogd`: resolves when the service says what it reads. */
  async restart(namespace?: string): Promise<void> {
    await this.stop();
    const enter = namespace === undefined ? '' : `nsenter --net=/run/netns/${namespace} `;
    const process = this.#lab.start(this.#inside(`exec ${enter}flowlogd -v -c /etc/ulogd.conf`));
    const ended = new Promise((done) => process.once('close', done));
    this.#service = { process, ended };
    process.stderr?.on('data', (text) => {
      this.said += text;
    });
    const before = this.said.split('flowlogd runs').length;
    await until('the service runs', () => {
      if (process.exitCode !== null) throw new Error(`the service ended: ${this.said}`);
      return this.said.split('flowlogd runs').length > before;
    });
  }

  async stop(): Promise<void> {
    if (this.#service === undefined) return;
    this.#service.process.kill('SIGTERM');
    await this.#service.ended;
    this.#service = undefined;
  }

  /** The text of a file on the machine; empty when there is none. */
  read(path: string): string {
    try {
      return readFileSync(`/proc/${this.#holder.pid}/root${path}`, 'utf8');
    } catch {
      return '';
    }
  }

  /** The whole lines of a file of JSON. */
  objects(path: string): Record<string, unknown>[] {
    return this.read(path)
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  }
}

const quoted = (word: string): string => `'${word.replaceAll("'", `'\\''`)}'`;
