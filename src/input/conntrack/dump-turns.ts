const waiting: (() => void)[] = [];
let isBusy = false;

/**
 * Begins a dump: at once, or, where others are begun now too, when it is its turn, one in each turn of the event loop. The
 * kernel walks through its whole table for every namespace, for milliseconds; the sockets of all others come first.
 */
export function dumpInTurn(begin: () => void): void {
  if (isBusy) {
    waiting.push(begin);
    return;
  }
  isBusy = true;
  setImmediate(next);
  begin();
}

function next(): void {
  const begin = waiting.shift();
  isBusy = begin !== undefined;
  if (begin === undefined) return;
  setImmediate(next);
  begin();
}
