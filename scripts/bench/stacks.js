import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadPlugin } from '../../dist/cli/registry.js';
import { linkSource } from '../../dist/pipeline/link.js';
import { Memory } from '../../dist/pipeline/memory.js';
import { planStacks } from '../../dist/pipeline/plan.js';
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

/** @type {import('../../dist/pipeline/plugin.js').Log} */
const silent = { debug() {}, info() {}, notice() {}, error: (text) => process.stderr.write(`${text}\n`), isDebug: () => false };

/** Links a stack line over a replaying socket and starts it. @param {string} line @param {Record<string, Record<string, string | number | boolean>>} options */
export async function startStack(line, options) {
  /** @type {ReplaySocket[]} */
  const sockets = [];
  replaceNativeSockets(() => {
    const socket = new ReplaySocket();
    sockets.push(socket);
    return /** @type {import('../../dist/system/native.js').NativeSocket} */ (/** @type {unknown} */ (socket));
  });
  const steps = await Promise.all(
    line.split(',').map(async (word, column) => {
      const [id = '', name = ''] = word.split(':');
      const plugin = await loadPlugin(name);
      if (!plugin) throw new Error(`no plugin ${name}`);
      const defaults = Object.fromEntries(Object.entries(plugin.options).map(([key, spec]) => [key, spec.default]));
      return { id, plugin, options: { ...defaults, ...options[id] }, line: 1, column };
    }),
  );
  /** @type {import('../../dist/config/problem.js').Problem[]} */
  const problems = [];
  const [plan] = planStacks([steps], 'bench', [], problems);
  if (!plan || problems.some(({ severity }) => severity === 'error')) throw new Error(JSON.stringify(problems));
  const source = linkSource(plan, { memory: new Memory(), log: silent, compat: false, shared: new Map() });
  for (const stage of source.stages.toReversed()) await stage.service.start?.();
  const before = sockets.length;
  await source.service.start?.();
  const socket = /** @type {ReplaySocket} */ (sockets[before]);
  return { source, socket };
}
