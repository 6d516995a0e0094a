// What the first events of a stack cost while V8 still compiles, with and without a rehearsal: CPU of all threads.
//     node scripts/bench/first-events.js
import { execFileSync } from 'node:child_process';
import { setTimeout } from 'node:timers/promises';
import { rehearse } from '../../dist/pipeline/rehearsal.js';
import { tuneEngine } from '../../dist/system/engine.js';
import { recording, STACKS, startStack } from './stacks.js';

const names = /** @type {const} */ (['flows to JSON', 'flows to LOGEMU']);
const EVENTS = 300_000;
const [, program = '', name, how] = process.argv;

if (name === undefined) {
  for (const stack of names)
    for (const way of ['plain', 'rehearsed', 'plain', 'rehearsed'])
      process.stdout.write(execFileSync(process.execPath, [program, stack, way], { encoding: 'utf8' }));
} else {
  tuneEngine();
  const { line, options, file, names: all } = STACKS[/** @type {typeof names[number]} */ (name)];
  const { source, socket } = await startStack(line, options, (linked) => how === 'rehearsed' && rehearse(linked));
  const events = recording(file, all);
  const begins = events.slice(0, 1);
  socket.turn(begins, 20_000); // as compare-cpu begins: connections, none of which has ended yet
  await setTimeout(1500);
  const before = process.cpuUsage();
  socket.turn(begins, EVENTS / 5);
  socket.turn(events, EVENTS - EVENTS / 5);
  await setTimeout(300); // what is still being compiled counts too
  const { user, system } = process.cpuUsage(before);
  process.stdout.write(
    `${name}, ${how}: ${((user + system) / EVENTS).toFixed(2)} us of CPU for each of the first ${EVENTS} events\n`,
  );
  await source.service.stop?.();
  process.exit(0);
}
