import type { NeutronValues } from '../config/neutron.ts';
import type { OptionSpecs } from '../config/option.ts';
import type { Clock } from '../system/clock.ts';
import { namespaceOf } from '../system/processes.ts';
import { Seldom } from '../system/seldom.ts';
import { HELD_BYTES, HeldBack, type Holding } from './held-events.ts';
import { isBytes, type KeySpec, type KeySpecs, type ReadSpecs } from './key.ts';
import { type Gap, InputLedger } from './ledger.ts';
import type { Memory } from './memory.ts';
import { fillIn, type Namespace, type NamespaceValues, namespaceValues } from './namespace.ts';
import { identityOf, type Node, type Plan, type Step } from './plan.ts';
import type { Deliver, FilterLink, InputPlugin, Link, Log, OutputPlugin, Run, Service, Stage } from './plugin.ts';
import { Program } from './program.ts';
import { Record, UNREAD } from './record.ts';
import type { Shared } from './shared.ts';

/** Between two lines of the log on plugins that throw. */
const ERROR_INTERVAL_MS = 1000;

type Hold = FilterLink<OptionSpecs, ReadSpecs, KeySpecs>['hold'];

/** What all linked stacks of the daemon have in common. */
export interface Environment {
  readonly memory: Memory;
  readonly log: Log;
  readonly clock: Clock;
  readonly compat: boolean;
  /** What `[neutron]` says; nothing unless given. */
  readonly neutron?: NeutronValues;
  /** Have outputs write where events are missing; true unless said otherwise, and never with `compat`. */
  readonly gapRecords?: boolean;
  /** Things that plugins of the same id and options share. */
  readonly shared: Shared;
}

/** What all plugins of a source have in common. */
interface Common extends Environment {
  readonly record: Record;
  readonly namespace: string | undefined;
}

/** A filter or output as it runs. */
export interface LinkedStage {
  readonly name: string;
  readonly role: 'filter' | 'output';
  readonly service: Service;
  /** Position in the program's counters. */
  readonly step: number;
  /** Step that hands events to it: undefined when the input does. */
  readonly parent: number | undefined;
  /** Gives up what it shares with other stages; false while one of them still uses it. */
  leave(): boolean;
}

/** An input with its stacks, ready to start. */
export interface Source {
  readonly name: string;
  /** File of the network namespace that it listens in; undefined for the daemon's own. */
  readonly namespace: string | undefined;
  readonly plan: Plan;
  readonly service: Service;
  readonly stages: readonly LinkedStage[];
  readonly program: Program;
  readonly counts: InputLedger;
  /** Whether another namespace than the one that it was linked for, or none, is behind its name now. */
  isGone(): boolean;
  /** Has every output that can write it, once each, into its own stream. */
  tell(gap: Gap): void;
  /** Sends on what filters still hold: its input reads no more. */
  settle(): void;
  /** Gives back its part of the memory; nothing of it may run any more. */
  release(): void;
}

/**
 * Turns a plan into closures that know their slots; nothing is opened yet. With a namespace, its input listens there instead of where its options say.
 */
export function linkSource(plan: Plan, whole: Environment, where?: Namespace): Source {
  const log = where === undefined ? whole.log : logOf(where, whole.log);
  const memory = whole.memory.part();
  const record = new Record(memory, plan.slots, plan.firstConstant);
  const place = placeOf(plan.input, where);
  const namespace = place?.path;
  const common = { ...whole, log, memory, record, namespace };
  const values = place === undefined ? undefined : namespaceValues(place);
  if (plan.input.step.constants !== undefined) writeConstants(plan.input, values ?? {}, record, memory);
  const uses = plan.nodes.map((): string[] => []);
  const holding = (node: Node, step: number): Holding => ({
    record,
    slots: slotsBefore(node),
    scratch: memory.slots('held events', 1, HELD_BYTES).offset,
    drain: () => service.drain?.(),
    losses() {
      service.socket?.(); // brings what the kernel dropped into the ledger
      return counts.lost + counts.lostEstimated + counts.kernelDrops + counts.overruns;
    },
    resume() {
      program.resume(record, step);
      record.clear();
    },
    flush: () => deliver.batch(),
  });
  const held: HeldBack[] = [];
  const stages: Stage[] = plan.nodes.map((node, step) =>
    linkStage(filledIn(node, values), node, common, uses[step] as string[], (wait, due) => {
      const made = new HeldBack(holding(node, step), wait, due);
      held.push(made);
      return made;
    }),
  );
  const program = new Program(stages.map(runOf), subtreeEnds(plan), errorReporter(plan, log));
  const flushes = stages.filter((stage) => stage.flush);
  const counts = new InputLedger();
  const reporting = stagesThatReportGaps(plan, stages, whole);
  const netns = values?.['netns.name'];
  const tell = (gap: Gap) => {
    const told = typeof netns === 'string' ? { ...gap, netns } : gap;
    for (const stage of reporting) stage.gap?.(told);
  };
  const deliver: Deliver = {
    event() {
      counts.received++;
      program.run(record);
      record.clear();
    },
    batch() {
      for (const stage of flushes) stage.flush?.();
    },
    ledger: counts,
    gap(gap: Gap) {
      counts.gaps++;
      tell(gap);
    },
  };
  const plugin = plan.input.step.plugin as InputPlugin;
  const steps = new Map(plan.nodes.map((node, step) => [node, step]));
  const service = plugin.link(linkOf(plan.input.step, plan.input, common, []), deliver);
  return {
    name: where === undefined ? plan.input.name : `${plan.input.name}@${where.name}`,
    namespace,
    plan,
    service,
    tell,
    isGone: () => place !== undefined && namespaceOf(place.path) !== place.inode,
    stages: plan.nodes.map((node, step) => ({
      name: node.name,
      role: node.step.plugin.role as 'filter' | 'output',
      service: stages[step] as Stage,
      step,
      parent: steps.get(node.parent as Node),
      leave: () => leaveAll(whole.shared, uses[step] as string[]),
    })),
    program,
    counts,
    settle() {
      for (const one of held) one.close();
    },
    release: () => memory.release(),
  };
}

/** True when nobody uses any of it any more, or nothing was shared. */
function leaveAll(shared: Shared, names: string[]): boolean {
  return names
    .splice(0)
    .map((name) => shared.leave(name))
    .every(Boolean);
}

const runOf = (stage: Stage): Run => stage.run;

/** Outputs that are told of gaps: two of the same name share a destination, which is told once. */
function stagesThatReportGaps(plan: Plan, stages: readonly Stage[], { compat, gapRecords }: Environment): Stage[] {
  if (compat || gapRecords === false) return [];
  const first = new Map<string, Stage>();
  for (const [step, node] of plan.nodes.entries()) {
    const stage = stages[step] as Stage;
    if (stage.gap && !first.has(node.name)) first.set(node.name, stage);
  }
  return [...first.values()];
}

function linkStage(step: Step, node: Node, common: Common, uses: string[], hold: Hold): Stage {
  const link = linkOf(step, node, common, uses);
  const { plugin } = node.step;
  if (plugin.role === 'output') return (plugin as OutputPlugin).link({ ...link, upstream: node.upstream });
  if (plugin.role === 'filter') return plugin.link({ ...link, hold });
  throw new TypeError(`${node.name} is an input inside a stack`);
}

/** Inputs that listen in a namespace of their own say so by this option, as ulogd's do. */
function placeOf(
  input: Node,
  where: Namespace | undefined,
): { readonly path: string; readonly inode?: number } | undefined {
  if (where !== undefined) return where;
  const path = input.step.options.network_namespace_path;
  if (typeof path !== 'string' || path === '') return undefined;
  const inode = namespaceOf(path); // unknown: to open it will say why
  return { path, ...(inode === undefined ? {} : { inode }) };
}

/** Messages of an input that there are many of say which one it is. */
function logOf({ name }: Namespace, log: Log): Log {
  const say = (message: string) => `netns ${name}: ${message}`;
  return {
    debug: (message) => log.debug(say(message)),
    info: (message) => log.info(say(message)),
    notice: (message) => log.notice(say(message)),
    error: (message) => log.error(say(message)),
    isDebug: () => log.isDebug(),
  };
}

/** Written once: `Record.clear` leaves them alone. */
function writeConstants(input: Node, values: NamespaceValues, record: Record, memory: Memory): void {
  for (const [key, value] of Object.entries(values)) {
    const slot = input.writes.get(key) ?? UNREAD;
    if (slot === UNREAD) continue;
    if (typeof value === 'number') record.setNumber(slot, value);
    else {
      const text = Buffer.from(value);
      const at = memory.reserve(text.length);
      memory.bytes.set(text, at);
      record.setBytes(slot, at, text.length);
    }
  }
}

/** An output whose file is named by the namespace has one for each. */
function filledIn({ step }: Node, values: NamespaceValues | undefined): Step {
  const { file } = step.options;
  if (values === undefined || step.plugin.role !== 'output' || typeof file !== 'string') return step;
  return { ...step, options: { ...step.options, file: fillIn(file, values) } };
}

/** `uses` gets the names of what the plugin shares. */
function linkOf(step: Step, node: Node, common: Common, uses: string[]): Link<OptionSpecs, ReadSpecs, KeySpecs> {
  const { record, memory, log, clock, namespace, compat, neutron, shared } = common;
  return {
    id: step.id,
    options: step.options,
    read: Object.fromEntries(node.reads),
    write: Object.fromEntries(node.writes),
    record,
    memory,
    log,
    clock,
    namespace,
    compat,
    neutron: neutron ?? { map: '', ovsdb: '' },
    wanted: (key) => node.writes.get(key) !== UNREAD,
    shared<T>(make: () => T): T {
      const name = identityOf(step);
      uses.push(name);
      return shared.use(name, make);
    },
  };
}

/** What the plugins before a node write and somebody reads; the constants stay by themselves. */
function slotsBefore(node: Node): Holding['slots'] {
  const slots: Holding['slots'][number][] = [];
  for (let at = node.parent; at; at = at.parent) {
    const { plugin, constants = {} } = at.step;
    for (const [key, slot] of at.writes) {
      if (slot === UNREAD || key in constants || plugin.role === 'output') continue;
      slots.push({ slot, isBytes: isBytes(plugin.writes[key] as KeySpec) });
    }
  }
  return slots;
}

/** For each node, the index of the first node that does not depend on it. Nodes are in preorder. */
function subtreeEnds(plan: Plan): number[] {
  const sizes = new Map<Node, number>();
  for (const node of plan.nodes.toReversed()) {
    sizes.set(
      node,
      node.children.reduce((sum, child) => sum + (sizes.get(child) as number), 1),
    );
  }
  return plan.nodes.map((node, index) => index + (sizes.get(node) as number));
}

/** Tells of a plugin that threw, at most once a second each: the event is counted, the daemon goes on. */
function errorReporter(plan: Plan, log: Log): (step: number, error: unknown) => void {
  const saying = plan.nodes.map(() => new Seldom(ERROR_INTERVAL_MS));
  return (step, error) => {
    if (!saying[step]?.isTime()) return;
    const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
    log.error(`${plan.nodes[step]?.name}: an event failed here and was counted: ${detail}`);
  };
}
