// npm run bench: what an event costs in JavaScript, without the kernel: decoding, each plugin, whole stacks, from recorded
// datagrams. Times depend on the machine, so each is also given as a multiple of a yardstick measured in the same run; those
// are compared with scripts/bench/baseline.json. --check fails on a regression, --record writes a new baseline.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { tuneEngine } from '../dist/system/engine.js';
import { decoders } from './bench/decoders.js';
import { allocated, best, yardstick } from './bench/measure.js';
import { plugins, recording, STACKS, startStack } from './bench/stacks.js';

/** More than any noise seen, less than any regression worth the name. */
const TOLERANCE = 1.8;
/**
 * Bytes an event may leave to the garbage collector: two numbers beyond 31 bits, which V8 puts on the heap or not, from one run
 * to the next, as it happens to inline. A view, a closure or a string is more.
 */
const GARBAGE = 40;
/** A case that looks worse is measured so often before it counts: somebody else may have had the processor. */
const TRIES = 3;

const baselineFile = join(import.meta.dirname, 'bench', 'baseline.json');
/** @type {Record<string, number>} */
const baseline = JSON.parse(readFileSync(baselineFile, 'utf8'));
/** @type {{ name: string, ns: number, bytes: number }[]} */
const results = [];

tuneEngine();
const unit = yardstick();
for (const { name, run } of decoders()) measure(name, run);
for (const [name, { line, options, file, names }] of Object.entries(STACKS)) {
  const { source, socket } = await startStack(line, options);
  const datagrams = recording(file, names);
  measure(`stack ${name}`, (times) => socket.turn(datagrams, times));
  await source.service.stop?.();
}
for (const { name, run } of await plugins()) measure(name, run);

const width = Math.max(...results.map(({ name }) => name.length));
process.stdout.write(`${'case'.padEnd(width)}   ns/event  bytes  of yardstick  baseline\n`);
let bad = 0;
for (const { name, ns, bytes } of results) {
  const ratio = ns / unit;
  const before = baseline[name];
  const slow = before !== undefined && ratio > before * TOLERANCE;
  const verdict = slow ? '  SLOWER' : bytes > GARBAGE ? '  ALLOCATES' : before === undefined ? '  new' : '';
  if (verdict.trim() !== '' && verdict !== '  new') bad++;
  const shown = [ns.toFixed(0).padStart(9), bytes.toFixed(1).padStart(6), ratio.toFixed(3).padStart(12)];
  process.stdout.write(`${name.padEnd(width)} ${shown.join(' ')}  ${before?.toFixed(3) ?? ''}${verdict}\n`);
}
process.stdout.write(`the yardstick (JSON.stringify of one event into a buffer) took ${unit.toFixed(0)} ns\n`);

if (process.argv.includes('--record')) {
  const ratios = results.map(({ name, ns }) => [name, Math.round((ns / unit) * 1000) / 1000]);
  writeFileSync(baselineFile, `${JSON.stringify(Object.fromEntries(ratios), null, 2)}\n`);
} else if (process.argv.includes('--check') && bad > 0) {
  process.stderr.write(`${bad} cases are worse than scripts/bench/baseline.json allows\n`);
  process.exitCode = 1;
}

/** @param {string} name @param {(times: number) => void} run */
function measure(name, run) {
  const limit = (baseline[name] ?? Number.POSITIVE_INFINITY) * TOLERANCE * unit;
  let [ns, bytes] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  for (let i = 0; i < TRIES && (ns > limit || bytes > GARBAGE); i++) {
    ns = Math.min(ns, best(run));
    bytes = Math.min(bytes, allocated(run));
  }
  results.push({ name, ns, bytes });
}
