import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { loadPlugin } from '../../dist/cli/registry.js';
import { linkSource } from '../../dist/pipeline/link.js';
import { Memory } from '../../dist/pipeline/memory.js';
import { planStacks } from '../../dist/pipeline/plan.js';
import { Shared } from '../../dist/pipeline/shared.js';
import { Clock } from '../../dist/system/clock.js';
import { replaceNativeSockets } from '../../dist/system/native.js';
import { ReplaySocket } from './replay-socket.js';

const vectors = join(import.meta.dirname, '../../test/unit/wire/vectors');

/** Recorded datagrams by name. @param {string} file @param {readonly string[]} names @returns {Uint8Array[]} */
export function recording(file, names) {
  /** @type {{ name: string, hex: string }[]} */
  const all = JSON.parse(readFileSync(join(vectors, `${file}.json`), 'utf8'));
  return names.map((name) => {
    const found = all.find((vector) => vector.name === name);
    if (!found) throw new Error(`no recording ${name} in ${file}.json`);
    return Uint8Array.from(Buffer.from(found.hex, 'hex'));
  });
}

const flows = { file: 'conntrack', names: ['udp with a mark: new 14', 'udp with a mark: destroy 16'] };
const packets = { file: 'nflog', names: ['marked by a rule', 'over IPv6'] };
/** The device of the recorded packets. */
const DEVICE = 2;
const to = { file: '/dev/null' };
const events = { ct1: { hash_enable: false }, json1: to, emu1: to };
const PACKETS = 'log1:NFLOG,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR';

/** Whole stacks, by what they read and write. */
export const STACKS = {
  'flows to JSON': { line: 'ct1:NFCT,ip2str1:IP2STR,json1:JSON', options: events, ...flows },
  'flows with NAT to JSON': { line: 'ct1:NFCT,nat1:NAT,ip2str1:IP2STR,json1:JSON', options: events, ...flows },
  'flows to LOGEMU': { line: 'ct1:NFCT,ip2str1:IP2STR,print1:PRINTFLOW,emu1:LOGEMU', options: events, ...flows },
  'remembered flows to JSON': { line: 'ct1:NFCT,ip2str1:IP2STR,json1:JSON', options: { json1: to }, ...flows },
  'packets to JSON': { line: `${PACKETS},mac2str1:HWHDR,json1:JSON`, options: events, ...packets },
  'packets to LOGEMU': { line: `${PACKETS},print1:PRINTPKT,emu1:LOGEMU`, options: events, ...packets },
};

/** A recorded device, under the number that the recorded packets know. */
function links() {
  const found = recording('rtnetlink', ['a new device']);
  for (const link of found) new DataView(link.buffer).setInt32(20, DEVICE, true); // ifi_index in struct ifinfomsg
  return found;
}

/** @type {import('../../dist/pipeline/plugin.js').Log} */
const silent = {
  debug() {},
  info() {},
  notice() {},
  error: (text) => process.stderr.write(`${text}\n`),
  isDebug: () => false,
};

/**
 * Links a stack line over a replaying socket and starts it. @param {string} line @param {Record<string, Record<string, string | number | boolean>>} options
 * @param {(source: import('../../dist/pipeline/link.js').Source) => void} [prepare]
 */
export async function startStack(line, options, prepare) {
  /** @type {ReplaySocket[]} */
  const sockets = [];
  replaceNativeSockets(() => {
    const socket = new ReplaySocket(links());
    sockets.push(socket);
    return /** @type {import('../../dist/system/native.js').NativeSocket} */ (/** @type {unknown} */ (socket));
  });
  const steps = await Promise.all(
    line.split(',').map(async (word, column) => {
      const [id = '', name = ''] = word.split(':');
      const plugin = await loadPlugin(name, column === 0);
      if (!plugin) throw new Error(`no plugin ${name}`);
      const defaults = Object.fromEntries(Object.entries(plugin.options).map(([key, spec]) => [key, spec.default]));
      return { id, plugin, options: { ...defaults, ...options[id] }, line: 1, column };
    }),
  );
  /** @type {import('../../dist/config/problem.js').Problem[]} */
  const problems = [];
  const [plan] = planStacks([steps], 'bench', [], problems);
  if (!plan || problems.some(({ severity }) => severity === 'error')) throw new Error(JSON.stringify(problems));
  const source = linkSource(plan, {
    memory: new Memory(8 << 20),
    log: silent,
    clock: new Clock(),
    compat: false,
    shared: new Shared(),
  });
  prepare?.(source);
  for (const stage of source.stages.toReversed()) await stage.service.start?.();
  const before = sockets.length;
  await source.service.start?.();
  await setImmediate(); // the dump that NFCT begins with has ended
  const socket = /** @type {ReplaySocket} */ (sockets[before]);
  return { source, socket };
}

/** Each filter and output alone, on the record that the stack before it makes of one event. */
export async function plugins() {
  /** @type {Map<string, (times: number) => void>} */
  const found = new Map();
  for (const { line, options, file, names } of Object.values(STACKS)) {
    const { source, socket } = await startStack(line, options);
    const kept = keepRecord(source);
    socket.turn(recording(file, names.slice(-1)), 1);
    for (const { name, service } of source.stages) {
      const plugin = /** @type {string} */ (name.split(':')[1]);
      const { run, flush } = /** @type {import('../../dist/pipeline/plugin.js').Stage} */ (service);
      found.set(`plugin ${plugin}`, (times) => {
        for (let i = 0; i < times; i++) run(kept.record);
        flush?.();
      });
    }
  }
  return [...found].map(([name, run]) => ({ name, run }));
}

/** Has the next record stay as it is after its event. @param {import('../../dist/pipeline/link.js').Source} source */
function keepRecord(source) {
  /** @type {{ record: import('../../dist/pipeline/record.js').Record }} */
  const kept = { record: /** @type {never} */ (undefined) };
  const { program } = source;
  const run = program.run.bind(program);
  program.run = (record) => {
    run(record);
    kept.record = record;
    record.clear = () => {};
  };
  return kept;
}
