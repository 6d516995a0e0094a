// Whole stacks from a configuration, on the sockets of a FakeKernel: everything but the command line and the signals.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hasErrors, load } from '../../src/cli/load.ts';
import { summary } from '../../src/cli/summary.ts';
import { formatProblem } from '../../src/config/problem.ts';
import { linkSource, type Source } from '../../src/pipeline/link.ts';
import { Memory } from '../../src/pipeline/memory.ts';
import { Runner } from '../../src/pipeline/runner.ts';
import { Shared } from '../../src/pipeline/shared.ts';
import { Clock } from '../../src/system/clock.ts';

/** Enough for a few inputs: 32 slots of 150 KB are what NFLOG takes. */
const MEMORY = 32 << 20;

/** The daemon within a test. */
export class TestDaemon {
  /** Where the files go that the configuration names as /out/NAME. */
  readonly folder: string;
  /** Lines of the daemon's own log, with their level. */
  readonly log: string[];
  readonly sources: readonly Source[];
  readonly #runner: Runner;

  private constructor(folder: string, log: string[], sources: readonly Source[], runner: Runner) {
    this.folder = folder;
    this.log = log;
    this.sources = sources;
    this.#runner = runner;
  }

  /** Starts the stacks of a configuration; fails unless it is without error and every stack starts. */
  static async start(configuration: string, { compat = false } = {}): Promise<TestDaemon> {
    const folder = mkdtempSync(join(tmpdir(), 'flowlogd-test-'));
    const file = join(folder, 'flowlogd.conf');
    const global = compat ? '[global]\ncompat="ulogd-2.0.8"' : '[global]';
    writeFileSync(file, configuration.replace('[global]', global).replaceAll('/out/', `${folder}/`));
    const { config, plans, problems } = await load(file);
    rmSync(file);
    if (hasErrors(problems)) throw new Error(problems.map((one) => formatProblem(one, config.text)).join('\n'));

    const log: string[] = [];
    const at = (level: string) => (message: string) => void log.push(`${level}: ${message.replaceAll(folder, '/out')}`);
    const environment = {
      memory: new Memory(MEMORY),
      log: { debug() {}, info: at('info'), notice: at('notice'), error: at('error'), isDebug: () => false },
      clock: new Clock(),
      compat,
      shared: new Shared(),
    };
    const sources = plans.map((plan) => linkSource(plan, environment));
    const runner = new Runner(environment.log);
    const outputs = sources.flatMap(({ stages }) => stages.filter(({ role }) => role === 'output')).length;
    if ((await runner.change([], sources)) !== outputs) throw new Error(`a stack did not start: ${log.join('\n')}`);
    return new TestDaemon(folder, log, sources, runner);
  }

  /** What SIGUSR2 does. */
  signal(): void {
    this.#runner.signal();
  }

  /** What SIGHUP does. */
  reopen(): void {
    this.#runner.reopen();
  }

  /** Reads what is left, writes it out and closes everything; returns the lines of the summary. */
  async stop(): Promise<string[]> {
    await this.#runner.stop();
    return summary(this.sources);
  }

  /** Bytes of every file that was written, by name. */
  files(): Map<string, Buffer> {
    return new Map(
      readdirSync(this.folder)
        .sort()
        .map((name) => [name, this.file(name)]),
    );
  }

  /** Bytes of one file; none when it is not there. */
  file(name: string): Buffer {
    const path = join(this.folder, name);
    return existsSync(path) ? readFileSync(path) : Buffer.alloc(0);
  }

  /** Bytes of one file, which is empty afterwards: the outputs append to it, wherever its end is. */
  take(name: string): Buffer {
    const bytes = this.file(name);
    if (bytes.length > 0) truncateSync(join(this.folder, name));
    return bytes;
  }

  /** Removes the files. */
  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
