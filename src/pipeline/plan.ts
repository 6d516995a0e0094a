import type { OptionSpecs, OptionValues } from '../config/option.ts';
import type { Problem } from '../config/problem.ts';
import { Secret } from '../config/secret.ts';
import type { KeySpec, KeySpecs } from './key.ts';
import type { Kind, Plugin, UpstreamKey } from './plugin.ts';
import { ABSENT, FIRST_SLOT, firstConstantSlot, UNREAD } from './record.ts';

/** One word of a stack line, its plugin found and its options read. */
export interface Step {
  readonly id: string;
  readonly plugin: Plugin;
  readonly options: OptionValues<OptionSpecs>;
  readonly line: number;
  readonly column: number;
  /** Keys that this input writes besides its plugin's, the same in every event. */
  readonly constants?: KeySpecs;
}

/** Tells a step from another one: by its name and the values of its options, wherever it stands in the file. */
export function identityOf({ id, plugin, options }: Step): string {
  const values = Object.entries(options).map(([key, value]) => [key, value instanceof Secret ? value.identity : value]);
  return `${id}:${plugin.name} ${JSON.stringify(values)}`;
}

/** Tells a plan from another one: two of the same identity do the same with the same. */
export function planIdentity({ input, nodes }: Plan): string {
  return JSON.stringify([input, ...nodes].map(({ step, children }) => [identityOf(step), children.length]));
}

/** A step with its place among the stacks: stacks with the same beginning share it. */
export class Node {
  readonly step: Step;
  readonly parent: Node | undefined;
  readonly children: Node[] = [];
  /** The first child of each name: stacks with the same beginning share it. */
  readonly named = new Map<string, Node>();
  /** Slot of each key that it reads, by key. */
  readonly reads = new Map<string, number>();
  /** Slot of each key that it writes, by key. */
  readonly writes = new Map<string, number>();
  /** All keys from above, for an output that reads every key. */
  upstream: readonly UpstreamKey[] = [];

  constructor(step: Step, parent: Node | undefined) {
    this.step = step;
    this.parent = parent;
  }

  /** `id:PLUGIN`, as in the stack line. */
  get name(): string {
    return `${this.step.id}:${this.step.plugin.name}`;
  }
}

/** An input with everything that hangs on it. */
export interface Plan {
  readonly input: Node;
  /** Filters and outputs, each before what depends on it. */
  readonly nodes: readonly Node[];
  readonly slots: number;
  /** Those from here on hold constants. */
  readonly firstConstant: number;
}

/**
 * Resolves the keys of all stacks: which plugin writes what each one reads, and which slot holds it. `catalog` is every
 * plugin there is, to name the one that could give a missing key. Problems are added to `problems`, all of them.
 */
export function planStacks(
  stacks: readonly (readonly Step[])[],
  file: string,
  catalog: readonly Plugin[],
  problems: Problem[],
): Plan[] {
  const inputs = new Map<string, Node>();
  const misplaced = new Set<Step>();
  for (const steps of stacks) {
    for (const step of checkShape(steps, file, catalog, problems)) misplaced.add(step);
    let node: Node | undefined;
    for (const step of steps) node = grow(node, step, inputs);
  }
  return [...inputs.values()].map((input) => resolveKeys(input, file, catalog, misplaced, problems));
}

function grow(parent: Node | undefined, step: Step, inputs: Map<string, Node>): Node {
  const node = new Node(step, parent);
  const siblings = parent ? parent.named : inputs;
  const twin = siblings.get(node.name);
  // A stack line given twice is two outputs, as in ulogd; everything before the output is shared.
  if (twin && step.plugin.role !== 'output') return twin;
  if (!twin) siblings.set(node.name, node);
  parent?.children.push(node);
  return node;
}

/** Returns the steps that cannot work where they stand: which keys they lack there is of no interest. */
function checkShape(steps: readonly Step[], file: string, catalog: readonly Plugin[], problems: Problem[]): Step[] {
  const misplaced: Step[] = [];
  const report = (step: Step, message: string, severity: Problem['severity'] = 'error') =>
    problems.push({ file, line: step.line, column: step.column, message, severity });
  let kind: Kind | undefined;
  let before: Step | undefined;
  for (const [index, step] of steps.entries()) {
    const { plugin } = step;
    const name = `${step.id}:${plugin.name}`;
    if (index === 0 && plugin.role !== 'input') {
      report(step, `a stack begins with an input, and ${name} is ${article(plugin.role)}`);
    }
    if (index > 0 && plugin.role === 'input')
      report(step, `${name} is an input: it can only begin a stack, as in ${plugin.example}`);
    if (index === steps.length - 1 && plugin.role !== 'output') {
      report(step, `a stack ends with an output, and ${name} is ${article(plugin.role)}`);
    }
    if (index < steps.length - 1 && plugin.role === 'output')
      report(step, `${name} is an output: it can only end a stack`);
    if (kind && before && plugin.role !== 'input' && !plugin.accepts.includes(kind)) {
      // ulogd runs a stack whose packet is not decoded yet, and says so; a packet where a flow belongs cannot work.
      const near = isPacket(kind) && plugin.accepts.some(isPacket);
      const message = `type mismatch: ${before.id}:${before.plugin.name} gives a ${kind}, ${name} takes ${plugin.accepts.join(' or ')}`;
      if (near) report(step, message, 'warning');
      else {
        report(step, message + counterpart(plugin, kind, catalog));
        misplaced.push(step);
      }
    }
    if (plugin.role === 'filter' || (plugin.role === 'input' && index === 0)) kind = plugin.gives ?? kind;
    before = step;
  }
  return misplaced;
}

/** The filter that writes the same key for events of that kind, as PRINTFLOW does for PRINTPKT. */
function counterpart(plugin: Plugin, kind: Kind, catalog: readonly Plugin[]): string {
  if (plugin.role !== 'filter') return '';
  const other = catalog.find(
    (one) =>
      one.role === 'filter' &&
      one.accepts.includes(kind) &&
      Object.keys(one.writes).some((key) => key in plugin.writes),
  );
  return other === undefined ? '' : `; for a ${kind} there is ${other.name}`;
}

const isPacket = (kind: Kind): boolean => kind === 'raw' || kind === 'packet';
const article = (role: Plugin['role']): string => (role === 'filter' ? 'a filter' : `an ${role}`);

function resolveKeys(
  input: Node,
  file: string,
  catalog: readonly Plugin[],
  misplaced: ReadonlySet<Step>,
  problems: Problem[],
): Plan {
  const nodes = preorder(input);
  const writers = new Map<Node, Map<string, Node>>();
  const wanted = new Map<Node, Set<string>>(nodes.map((node) => [node, new Set()]));
  for (const node of nodes) {
    const found = new Map<string, Node>();
    writers.set(node, found);
    for (const key of readNames(node)) {
      const writer = nearestWriter(node, key);
      if (writer) {
        found.set(key, writer);
        wanted.get(writer)?.add(key);
      }
    }
    if (!misplaced.has(node.step)) checkReads(node, found, file, catalog, problems);
  }
  let slots = FIRST_SLOT;
  const isConstant = (node: Node, key: string) => node.step.constants !== undefined && key in node.step.constants;
  for (const node of nodes) {
    for (const key of Object.keys(writesOf(node))) {
      if (!isConstant(node, key)) node.writes.set(key, wanted.get(node)?.has(key) ? slots++ : UNREAD);
    }
  }
  const firstConstant = firstConstantSlot(slots);
  let next = firstConstant;
  for (const key of Object.keys(input.step.constants ?? {})) {
    input.writes.set(key, wanted.get(input)?.has(key) ? next++ : UNREAD);
  }
  if (next > firstConstant) slots = next;
  for (const node of nodes) {
    const found = writers.get(node);
    for (const key of readNames(node)) node.reads.set(key, found?.get(key)?.writes.get(key) ?? ABSENT);
    if (readsEvery(node)) {
      const places = placesOfKeys(node);
      node.upstream = [...(found ?? [])].map(([name, writer]) => ({
        name,
        spec: writesOf(writer)[name] as KeySpec,
        slot: node.reads.get(name) ?? ABSENT,
        places: places.get(name) ?? [],
      }));
    }
  }
  return { input, nodes: nodes.slice(1), slots, firstConstant };
}

/** Each node before its children; without recursion, for a stack may be as long as its author likes. */
function preorder(root: Node): Node[] {
  const nodes: Node[] = [];
  const waiting = [root];
  for (let node = waiting.pop(); node; node = waiting.pop()) {
    nodes.push(node);
    for (let i = node.children.length - 1; i >= 0; i--) waiting.push(node.children[i]!);
  }
  return nodes;
}

const writesOf = ({ step: { plugin, constants } }: Node): KeySpecs =>
  plugin.role === 'output' ? {} : constants === undefined ? plugin.writes : { ...plugin.writes, ...constants };
const readsEvery = (node: Node): boolean => node.step.plugin.role === 'output' && node.step.plugin.reads === 'every';

/** The keys a node reads; for an output that reads every key, all names from above in ulogd's order. */
function readNames(node: Node): string[] {
  const { plugin } = node.step;
  if (plugin.role === 'input') return [];
  if (plugin.reads !== 'every') return Object.keys(plugin.reads);
  const names = new Set<string>();
  for (const above of path(node)) for (const key of Object.keys(writesOf(above))) names.add(key);
  return [...names];
}

/** Where each key stands among the keys of all plugins above a node. */
function placesOfKeys(node: Node): Map<string, number[]> {
  const places = new Map<string, number[]>();
  let place = 0;
  for (const above of path(node)) {
    for (const key of Object.keys(writesOf(above))) {
      const known = places.get(key);
      if (known) known.push(place++);
      else places.set(key, [place++]);
    }
  }
  return places;
}

function path(node: Node): Node[] {
  const above: Node[] = [];
  for (let at = node.parent; at; at = at.parent) above.push(at);
  return above.reverse();
}

function nearestWriter(node: Node, key: string): Node | undefined {
  for (let at = node.parent; at; at = at.parent) if (key in writesOf(at)) return at;
  return undefined;
}

function checkReads(
  node: Node,
  found: ReadonlyMap<string, Node>,
  file: string,
  catalog: readonly Plugin[],
  problems: Problem[],
): void {
  const { plugin, line, column } = node.step;
  if (plugin.role === 'input' || plugin.reads === 'every') return;
  const missing = new Map<string, string[]>();
  for (const [key, read] of Object.entries(plugin.reads)) {
    const writer = found.get(key);
    if (!writer) {
      if (read.optional) continue;
      const writing = catalog.filter(
        (other) => other.role !== 'output' && key in other.writes && !passesOn(other, key),
      );
      // A stack has its input already: a filter can be put into it.
      const filters = writing.filter((other) => other.role === 'filter');
      const givers = (filters.length > 0 ? filters : writing).map((other) => other.name);
      const advice = givers.length ? `${givers.join(' or ')} gives` : 'no plugin gives';
      missing.set(advice, [...(missing.get(advice) ?? []), key]);
      continue;
    }
    const written = writesOf(writer)[key] as KeySpec;
    if (written.type !== read.type) {
      const message = `${node.name} reads ${key} as ${read.type}, but ${writer.name} writes it as ${written.type}`;
      problems.push({ file, line, column, message, severity: 'error' });
    }
  }
  for (const [advice, keys] of missing) {
    const it = keys.length === 1 ? 'key' : 'keys';
    const message = `${node.name} needs the ${it} ${listed(keys)}, which nothing before it in the stack writes; ${advice} ${keys.length === 1 ? 'it' : 'them'}`;
    problems.push({ file, line, column, message, severity: 'error' });
  }
}

/** Whether a plugin only changes what another one has written. */
const passesOn = (plugin: Plugin, key: string): boolean => plugin.role === 'filter' && key in plugin.reads;

/** The first few of many: who gives them says the rest. */
const listed = (keys: readonly string[]): string =>
  keys.length > 5 ? `${keys.slice(0, 4).join(', ')} and ${keys.length - 4} more` : keys.join(', ');
