/** Milliseconds between two looks. */
const INTERVAL = 5000;

/** How it stands with a destination that is connected. */
export interface Standing {
  /** Something that was given to it is not taken yet. */
  readonly owes: boolean;
  /** How often it has taken something. */
  readonly taken: number;
  /** Age of the oldest event that was not given to it, in milliseconds. */
  readonly lag: number;
  /** Events that were dropped because there was no room for them. */
  readonly dropped: number;
}

/** Notices that a destination which is connected takes nothing, or less than comes, and when it has caught up. */
export class Laggard {
  readonly #look: () => Standing;
  readonly #tell: (state: 'stuck' | 'slow' | 'well') => void;
  #timer: NodeJS.Timeout | undefined;
  #last: Standing | undefined;
  #isTold = false;

  /** `tell` is called when the state changes; a destination is well when it is connected. */
  constructor(look: () => Standing, tell: (state: 'stuck' | 'slow' | 'well') => void) {
    this.#look = look;
    this.#tell = tell;
  }

  /** The destination is connected. */
  begin(): void {
    this.#last = this.#look();
    this.#timer = setInterval(() => this.#compare(), INTERVAL).unref();
  }

  /** It is no longer: that is told elsewhere. */
  end(): void {
    clearInterval(this.#timer);
    this.#isTold = false;
  }

  #compare(): void {
    const last = this.#last as Standing;
    const now = this.#look();
    this.#last = now;
    const isStuck = last.owes && now.owes && now.taken === last.taken;
    const isSlow = now.dropped > last.dropped;
    // Between two bursts of drops it is not well yet: one line for all of them.
    const changes = this.#isTold ? !isStuck && !isSlow && now.lag < INTERVAL : isStuck || isSlow;
    if (!changes) return;
    this.#isTold = !this.#isTold;
    this.#tell(isStuck ? 'stuck' : isSlow ? 'slow' : 'well');
  }
}
