/** Events that make V8 compile what it will compile, and events in one measured round. */
const WARM = 60_000;
const ROUND = 50_000;
const ROUNDS = 12;
/** Events between two looks at the heap: what they leave must fit the young generation. */
const COUNTED = 2000;

/** The quickest of several rounds, in nanoseconds per event: what the code costs when nobody disturbs it. @param {(times: number) => void} run */
export function best(run) {
  for (let i = 0; i < 4; i++) run(WARM);
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < ROUNDS; i++) {
    const start = process.hrtime.bigint();
    run(ROUND);
    least = Math.min(least, Number(process.hrtime.bigint() - start) / ROUND);
  }
  return least;
}

/**
 * Bytes of the JavaScript heap that an event uses up. A collection throws away code that was made for what is gone, so the
 * code is made again before anything is counted. Needs --expose-gc.
 * @param {(times: number) => void} run
 */
export function allocated(run) {
  /** @type {() => void} */ (globalThis.gc)();
  run(WARM);
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 8; i++) {
    const before = process.memoryUsage().heapUsed;
    run(COUNTED);
    const used = process.memoryUsage().heapUsed - before;
    if (used >= 0) least = Math.min(least, used / COUNTED); // less than before: a collection came between
  }
  return least;
}

/** Nanoseconds of the plain way to write one event in JavaScript: an object, JSON.stringify, a copy into a buffer. */
export function yardstick() {
  const out = Buffer.alloc(1024);
  return best((times) => {
    for (let i = 0; i < times; i++) out.write(JSON.stringify(event(i)));
  });
}

const event = (/** @type {number} */ i) => ({
  timestamp: '2026-11-21T10:00:00',
  dvc: 'Netfilter',
  'orig.ip.protocol': 17,
  'orig.l4.sport': i & 0xffff,
  'orig.l4.dport': 53,
  'orig.raw.pktlen': 64 + i,
  'orig.raw.pktcount': i,
  'ct.mark': 0,
  'ct.id': i * 77,
  'ct.event': 4,
  src_ip: '192.168.21.73',
  dest_ip: '10.5.0.8',
});
