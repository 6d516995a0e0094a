import { setFlagsFromString } from 'node:v8';

/**
 * Sets V8 up for what this program does: the same few functions for every event, and nothing allocated for any. To be
 * called before the stacks run; docs/performance.md has what each setting gains.
 */
export function tuneEngine(): void {
  // A stack is a chain of small functions. The default budget for building one into the next (920) ends halfway down it.
  setFlagsFromString('--max-inlined-bytecode-size-cumulative=4000');
  // Some MB of heap are marked in one pause of about 6 ms, seldom. In steps it takes longer, and starts V8's memory reducer:
  // two or three full collections more, 8 s after each, that find nothing.
  setFlagsFromString('--no-incremental-marking');
  // What is made at the start stays: V8 would take its nursery for too small, and with hundreds of namespaces grow it to 32 MB.
  setFlagsFromString('--semi-space-growth-factor=1');
}

/** What the start needed is there: from now on objects that stay are a sign of work, and the nursery may grow as V8 sees fit. */
export function endStart(): void {
  setFlagsFromString('--semi-space-growth-factor=2');
}
