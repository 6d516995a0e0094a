// For how long a process that could have run did not get a processor: what a machine that is busy with others costs it.
import { readFileSync } from 'node:fs';

/** Milliseconds between two looks. */
const INTERVAL = 5;

interface Sample {
  /** In ms since 1970. */
  readonly at: number;
  /** Ready to run and waiting for a processor so far, in ms (sched_info.run_delay), and the machine's stolen time. */
  readonly waited: number;
}

/** Looks at the main thread of a process, as the kernel keeps account of it (/proc/PID/schedstat, Documentation/scheduler/sched-stats.rst). */
export class RunQueue {
  readonly #samples: Sample[] = [];
  readonly #timer: NodeJS.Timeout;
  readonly #task: string;

  constructor(pid: number) {
    this.#task = `/proc/${pid}/task/${pid}/schedstat`;
    this.#look();
    this.#timer = setInterval(() => this.#look(), INTERVAL);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#look();
  }

  /** Milliseconds of the wait between two times, in ms since 1970; up to two looks more than there were. */
  between(from: number, to: number): number {
    const before = this.#samples.findLast(({ at }) => at <= from) ?? this.#samples[0];
    const after = this.#samples.find(({ at }) => at >= to) ?? this.#samples.at(-1);
    return (after?.waited ?? 0) - (before?.waited ?? 0);
  }

  #look(): void {
    const [, waited] = readFileSync(this.#task, 'utf8').split(' ').map(Number) as [number, number];
    // A processor that the host has taken away runs nobody, and the guest's scheduler takes it for running.
    const stolen = Number(/^cpu +(?:\d+ ){7}(\d+)/.exec(readFileSync('/proc/stat', 'utf8'))?.[1]) * 10;
    this.#samples.push({ at: Date.now(), waited: waited / 1e6 + stolen });
  }
}
