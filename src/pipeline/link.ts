import type { NeutronValues } from '../config/neutron.ts';
import type { OptionSpecs } from '../config/option.ts';
import type { Clock } from '../system/clock.ts';
import type { KeySpecs, ReadSpecs } from './key.ts';
import { type Gap, InputLedger } from './ledger.ts';
import type { Memory } from './memory.ts';
import { identityOf, type Node, type Plan } from './plan.ts';
import type { Deliver, InputPlugin, Link, Log, OutputPlugin, Run, Service, Stage } from './plugin.ts';
import { Program } from './program.ts';
import { Record, UNREAD } from './record.ts';
import type { Shared } from './shared.ts';

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
  /** Gives back its part of the memory; nothing of it may run any more. */
  release(): void;
}

/** Turns a plan into closures that know their slots; nothing is opened yet. */
export function linkSource(plan: Plan, whole: Environment): Source {
  const environment = { ...whole, memory: whole.memory.part() };
  const record = new Record(environment.memory, plan.slots);
  const namespace = namespaceOf(plan.input);
  const uses = plan.nodes.map((): string[] => []);
  const stages: Stage[] = plan.nodes.map((node, step) =>
    linkStage(node, record, environment, namespace, uses[step] as string[]),
  );
  const program = new Program(stages.map(runOf), subtreeEnds(plan), errorReporter(plan, environment.log));
  const flushes = stages.filter((stage) => stage.flush);
  const counts = new InputLedger();
  const reporting = stagesThatReportGaps(plan, stages, environment);
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
      for (const stage of reporting) stage.gap?.(gap);
    },
  };
  const plugin = plan.input.step.plugin as InputPlugin;
  const steps = new Map(plan.nodes.map((node, step) => [node, step]));
  const service = plugin.link(linkOf(plan.input, record, environment, namespace, []), deliver);
  return {
    name: plan.input.name,
    namespace,
    plan,
    service,
    stages: plan.nodes.map((node, step) => ({
      name: node.name,
      role: node.step.plugin.role as 'filter' | 'output',
      service: stages[step] as Stage,
      step,
      parent: steps.get(node.parent as Node),
      leave: () => leaveAll(environment.shared, uses[step] as string[]),
    })),
    program,
    counts,
    release: () => environment.memory.release(),
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

function linkStage(
  node: Node,
  record: Record,
  environment: Environment,
  namespace: string | undefined,
  uses: string[],
): Stage {
  const link = linkOf(node, record, environment, namespace, uses);
  const { plugin } = node.step;
  if (plugin.role === 'output') return (plugin as OutputPlugin).link({ ...link, upstream: node.upstream });
  if (plugin.role === 'filter') return plugin.link(link);
  throw new TypeError(`${node.name} is an input inside a stack`);
}

/** Inputs that listen in a namespace of their own say so by this option, as ulogd's do. */
function namespaceOf(input: Node): string | undefined {
  const path = input.step.options.network_namespace_path;
  return typeof path === 'string' && path !== '' ? path : undefined;
}

function linkOf(
  node: Node,
  record: Record,
  environment: Environment,
  namespace: string | undefined,
  uses: string[],
): Link<OptionSpecs, ReadSpecs, KeySpecs> {
  const { memory, log, clock, compat, neutron, shared } = environment;
  return {
    id: node.step.id,
    options: node.step.options,
    read: Object.fromEntries(node.reads),
    write: Object.fromEntries(node.writes),
    record,
    memory,
    log,
    clock,
    namespace,
    compat,
    neutron: neutron ?? { map: '' },
    wanted: (key) => node.writes.get(key) !== UNREAD,
    shared<T>(make: () => T): T {
      const name = identityOf(node.step);
      uses.push(name);
      return shared.use(name, make);
    },
  };
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
  const last = new Float64Array(plan.nodes.length).fill(Number.NEGATIVE_INFINITY);
  return (step, error) => {
    const now = performance.now();
    if (now - (last[step] as number) < 1000) return;
    last[step] = now;
    const detail = error instanceof Error ? (error.stack ?? error.message) : String(error);
    log.error(`${plan.nodes[step]?.name}: an event failed here and was counted: ${detail}`);
  };
}
