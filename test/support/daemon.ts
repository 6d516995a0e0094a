// The built daemon as a user runs it: dist/main.js with a configuration, a log and output files in a folder of its own.
import type { ChildProcess } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Lab, until } from '../../scripts/lab.js';

const PROGRAM = fileURLToPath(new URL('../../dist/main.js', import.meta.url));
/** What the log says when everything is open. */
const RUNS = 'flowlogd runs';
let made = 0;
const running = new Set<Run>();

/** Kills what a test that failed has left running, so that the next one is not in its way: for `afterEach`. */
export async function killRest(): Promise<void> {
  const left = [...running];
  for (const run of left) run.signal('SIGKILL');
  await Promise.all(left.map((run) => run.ended));
}

export interface RunSettings {
  readonly namespace?: string;
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Words before `node`, such as setpriv and its flags. */
  readonly before?: readonly string[];
}

/** One run of the program. */
export class Run {
  readonly process: ChildProcess;
  stdout = '';
  stderr = '';
  /** Exit code, or the name of the signal that ended it. */
  readonly ended: Promise<number | string>;
  #isOver = false;

  constructor(lab: Lab, words: readonly string[], { namespace, env, cwd, before = [] }: RunSettings = {}) {
    const command = [...before, process.execPath, PROGRAM, ...words];
    this.process = lab.start(command, namespace, {
      env: { ...process.env, TZ: 'UTC', ...env },
      ...(cwd === undefined ? {} : { cwd }),
    });
    this.process.stdout?.on('data', (text) => {
      this.stdout += text;
    });
    this.process.stderr?.on('data', (text) => {
      this.stderr += text;
    });
    running.add(this);
    this.ended = new Promise((done) => {
      this.process.once('close', (code, signal) => {
        this.#isOver = true;
        running.delete(this);
        done(code ?? signal ?? 'lost');
      });
    });
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  get pid(): number {
    return this.process.pid as number;
  }

  signal(name: NodeJS.Signals): void {
    process.kill(this.pid, name);
  }

  /** Ends it with a signal and returns its exit code. */
  async stop(name: NodeJS.Signals = 'SIGTERM'): Promise<number | string> {
    this.signal(name);
    return this.ended;
  }
}

/** A folder for a configuration, in which `/out/` stands for the folder itself and whose log is `/out/daemon.log`, and whose control
 * socket is `/out/control.sock`, unless it says otherwise. */
export class Folder {
  readonly path: string;
  readonly configuration: string;

  constructor(lab: Lab, text: string) {
    this.path = join(lab.directory, `daemon-${made++}`);
    this.configuration = join(this.path, 'flowlogd.conf');
    mkdirSync(this.path, { mode: 0o777 });
    const ours = [
      ...(/^\s*logfile/m.test(text) ? [] : ['logfile="/out/daemon.log"', 'loglevel=3']),
      ...(/^\s*control/m.test(text) ? [] : ['control="/out/control.sock"']),
    ];
    const whole = text.replace('[global]', ['[global]', ...ours].join('\n'));
    writeFileSync(this.configuration, whole.replaceAll('/out/', `${this.path}/`));
  }

  file(name: string): string {
    return join(this.path, name);
  }

  read(name: string): string {
    return existsSync(this.file(name)) ? readFileSync(this.file(name), 'utf8') : '';
  }

  /** Whole lines of a file; throws when a line has no end, as only a torn one has. */
  lines(name: string): string[] {
    const text = this.read(name);
    if (text !== '' && !text.endsWith('\n')) throw new Error(`${name} ends in half a line: ${text.slice(-80)}`);
    return text.split('\n').filter(Boolean);
  }

  /** The objects of a file of JSON lines. */
  objects(name: string): Record<string, unknown>[] {
    return this.lines(name).map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  get log(): string {
    return this.read('daemon.log');
  }
}

/** A run of the daemon on a folder of its own. */
export class Daemon extends Run {
  readonly folder: Folder;
  readonly #lab: Lab;
  readonly #settings: RunSettings;

  private constructor(lab: Lab, folder: Folder, settings: RunSettings) {
    super(lab, ['-c', folder.configuration, ...(settings.flags ?? [])], settings);
    this.folder = folder;
    this.#lab = lab;
    this.#settings = settings;
  }

  /** Starts it without waiting for anything. */
  static launch(lab: Lab, text: string, settings: RunSettings = {}): Daemon {
    return new Daemon(lab, new Folder(lab, text), settings);
  }

  /** Starts it and resolves when it runs; fails, with what it said, when it ends instead. */
  static async start(lab: Lab, text: string, settings: RunSettings = {}): Promise<Daemon> {
    const daemon = Daemon.launch(lab, text, settings);
    await daemon.logged(RUNS);
    return daemon;
  }

  /** Starts another one after it, on the same folder, and resolves when that runs: it reads, and obeys signals. */
  async next(): Promise<Daemon> {
    const times = this.log.split(RUNS).length;
    const daemon = new Daemon(this.#lab, this.folder, this.#settings);
    await daemon.logged(RUNS, times);
    return daemon;
  }

  get log(): string {
    return this.folder.log;
  }

  /** As Run.stop; fails when the daemon finds, at its end, that events are not accounted for. */
  override async stop(name: NodeJS.Signals = 'SIGTERM'): Promise<number | string> {
    const code = await super.stop(name);
    const fault = this.log.split('\n').find((line) => line.includes('the ledger does not balance'));
    if (fault !== undefined) throw new Error(fault);
    return code;
  }

  /** Resolves when the daemon's log holds this text, `times` times. */
  async logged(text: string, times = 1): Promise<void> {
    await until(`"${text}" in the log`, () => {
      if (this.log.split(text).length > times) return true;
      if (this.isOver) throw new Error(`the daemon ended: ${this.stderr}\n${this.log}`);
      return false;
    }).catch((error) => {
      throw new Error(`${(error as Error).message}; the log says:\n${this.log}${this.stderr}`);
    });
  }

  /** Resolves when a file has `count` lines or more, and returns them, without one that is being written. */
  async lines(name: string, count: number): Promise<string[]> {
    let lines: string[] = [];
    await until(`${count} lines in ${name}`, () => {
      lines = this.folder.read(name).split('\n').slice(0, -1);
      return lines.length >= count;
    }).catch((error) => {
      throw new Error(`${(error as Error).message}; it has ${lines.length}; the log says:\n${this.log}${this.stderr}`);
    });
    return lines;
  }

  /** As `lines`, of a file of JSON. */
  async objects(name: string, count: number): Promise<Record<string, unknown>[]> {
    return (await this.lines(name, count)).map((line) => JSON.parse(line) as Record<string, unknown>);
  }
}

/** Sends `count` UDP datagrams to port 9 of the namespace's own loopback, each from a port of its own. */
export function sendDatagrams(lab: Lab, namespace: string, count = 1, to = '127.0.0.1'): void {
  lab.sh(`bash -c 'for ((i = 0; i < ${count}; i++)); do echo $i > /dev/udp/${to}/9; done'`, namespace);
}

/** Logs what goes to port 9 (see `sendDatagrams`) to an NFLOG group; `options` are those of nft's log statement. */
export function logDatagrams(lab: Lab, namespace: string, group: number, options = 'prefix "test" queue-threshold 1') {
  lab.sh(
    `nft add table inet log${group}
     nft 'add chain inet log${group} out { type filter hook output priority 0; }'
     nft 'add rule inet log${group} out udp dport 9 log ${options} group ${group}'`,
    namespace,
  );
}

/** Stacks on group 5: lines to /out/packets.log, objects to /out/packets.json. */
export const PACKETS = `[global]
stack=log1:NFLOG,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,print1:PRINTPKT,emu1:LOGEMU
stack=log1:NFLOG,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,json1:JSON
[emu1]
file="/out/packets.log"
[json1]
file="/out/packets.json"
[log1]
group=5
`;

/** A stack of connections to /out/flows.json; lines that follow are options of its NFCT. */
export const FLOWS = `[global]
stack=ct1:NFCT,ip2str1:IP2STR,json1:JSON
[json1]
file="/out/flows.json"
[ct1]
`;
