import type { NeutronValues } from '../config/neutron.ts';
import type { OptionSpecs, OptionValues } from '../config/option.ts';
import type { Clock } from '../system/clock.ts';
import type { KeySpec, KeySpecs, ReadSpecs } from './key.ts';
import type { Gap, InputLedger, OutputAccount } from './ledger.ts';
import type { Memory } from './memory.ts';
import type { Record } from './record.ts';

/** What stands in a record: a packet as bytes, a packet decoded, a connection, a sum of counters, or news of something else. */
export type Kind = 'raw' | 'packet' | 'flow' | 'sum' | 'notice';

/** The daemon's own log, never an event. A message is for the operator: name what, which and what to do. */
export interface Log {
  debug(message: string): void;
  info(message: string): void;
  notice(message: string): void;
  error(message: string): void;
  isDebug(): boolean;
}

/** Slot numbers by key, fixed for the life of a stack. */
export type Slots<Specs> = { readonly [K in keyof Specs]: number };

/** A key that reaches an output which takes every key, in ulogd's order: plugin by plugin, key by key, a repeated name once. */
export interface UpstreamKey {
  readonly name: string;
  readonly spec: KeySpec;
  readonly slot: number;
  /** Its places among the keys of all plugins upstream: several when several plugins write it. */
  readonly places: readonly number[];
}

/** What the linker gives to every plugin of a stack. */
export interface Link<Options, Reads, Writes> {
  /** Identifier in the stack line, for messages. */
  readonly id: string;
  readonly options: OptionValues<Options & OptionSpecs>;
  readonly read: Slots<Reads>;
  readonly write: Slots<Writes>;
  readonly record: Record;
  readonly memory: Memory;
  readonly log: Log;
  /** The time of the batch: an input brings it up to date when it begins one. */
  readonly clock: Clock;
  /** File of the network namespace that the stack's input listens in; undefined for the daemon's own. */
  readonly namespace: string | undefined;
  /** Give ulogd 2.0.8's exact bytes, wrong values included. */
  readonly compat: boolean;
  /** What `[neutron]` says, which serves all stacks. */
  readonly neutron: NeutronValues;
  /** True unless the key is one that nobody reads. */
  wanted(key: keyof Writes & string): boolean;
  /**
   * What stacks that name the same id have in common, such as an open file: made once, then handed to all. Who shares has
   * nothing else to close: `stop` is called for the last stack alone.
   */
  shared<T>(make: () => T): T;
}

/** What the linker gives to a filter. */
export interface FilterLink<Options, Reads, Writes> extends Link<Options, Reads, Writes> {
  /**
   * Has events wait for `wait` ms. Those that were not forgotten by then are sent on, through what follows the filter; before,
   * `due` is called with the event in the record, as it was, to write what is known now. It is `complete` when no event was lost
   * meanwhile: what would have come has come. What still waits when the input has stopped is sent on incomplete.
   */
  hold(wait: number, due: (place: number, complete: boolean) => void): HeldEvents;
}

/** Handles one event; false ends the event's way through this stack. */
export type Run = (record: Record) => boolean;

/** How the socket is that an input reads. */
export interface SocketState {
  /** Bytes of receive buffer. */
  readonly bufferSize: number;
  /** Bytes of it that are taken by what was not read yet. */
  readonly queued: number;
  /** Milliseconds for which the input has not been able to read all that was there; 0 when it keeps up. */
  readonly lag: number;
}

/** What a plugin does besides handling events; every part may be missing. */
export interface Service {
  /**
   * Opens what the plugin needs; an input goes on with what its predecessor `handOver`ed instead, if it is given that.
   * Throws with a message for the operator.
   */
  start?(inherited?: unknown): void | Promise<void>;
  /**
   * Stops reading, closes nothing, and returns what another input of the same name and options goes on with: its stacks
   * have changed, and not an event is to be lost. An input without it is stopped, and the other one started.
   */
  handOver?(): unknown;
  /** Has an input that was not started read an event of each kind, as if they had come (`rehearse`). */
  rehearse?(): void;
  /** Writes out what is buffered: called after each batch of events. */
  flush?(): void;
  /** SIGHUP: files are opened again under their name. */
  reopen?(): void;
  /** What it counts besides events, for the summary, which leaves zeros out. */
  counters?(): { readonly [what: string]: number };
  /** Hands on what the kernel holds ready for an input; not for plugins to call while they handle an event. */
  drain?(): void;
  /** How an input's socket is; asking brings what the kernel dropped into its ledger. */
  socket?(): SocketState | undefined;
  /** An output's books: what became of the events for which `run` returned true. */
  account?(): OutputAccount;
  /** Writes into the output's own stream that events are missing before what comes next. */
  gap?(gap: Gap): void;
  /** SIGUSR2, as in ulogd. */
  signal?(): void;
  /** Writes out and closes everything; harmless when called again. An input learns whether its namespace is gone. */
  stop?(isGone?: boolean): void | Promise<void>;
}

export interface Stage extends Service {
  readonly run: Run;
}

/** How an input hands on what it read. */
export interface Deliver {
  /** Sends the record that the input has filled through its stacks. */
  event(): void;
  /** Ends a batch: outputs write out. */
  batch(): void;
  /** The input's own counters, beside `received`, which `event` counts. */
  readonly ledger: InputLedger;
  /** Tells every output, once each, that events are missing. */
  gap(gap: Gap): void;
}

/**
 * Events that a filter holds back until later ones have told more of them. What is held counts as stopped by the filter for as
 * long.
 */
export interface HeldEvents {
  /** How many are held at most. */
  readonly places: number;
  /** Behind the last place that is taken. */
  readonly end: number;
  /** Keeps the event that is being handled, for which `run` then returns false: its place, or -1 where there is no room for it. */
  hold(): number;
  /** The event in this place is not sent on any more. */
  forget(place: number): void;
}

interface Declaration<Options extends OptionSpecs> {
  /** Name in stack lines, in ulogd's spelling. */
  readonly name: string;
  /** What it is for, in one sentence. */
  readonly summary: string;
  readonly options: Options;
  /** A stack line that uses it. */
  readonly example: string;
  /** What of these values hardly means what it says, by option: `flowlogd check` warns of it. */
  doubts?(options: OptionValues<OptionSpecs>): readonly { readonly option: string; readonly message: string }[];
}

export interface InputPlugin<Options extends OptionSpecs = OptionSpecs, Writes extends KeySpecs = KeySpecs>
  extends Declaration<Options> {
  readonly role: 'input';
  readonly gives: Kind;
  readonly writes: Writes;
  /** Keys that the linker writes for it when an option names a network namespace (`namespaceKeys`). */
  readonly constants?: KeySpecs;
  link(link: Link<Options, unknown, Writes>, deliver: Deliver): Service;
}

export interface FilterPlugin<
  Options extends OptionSpecs = OptionSpecs,
  Reads extends ReadSpecs = ReadSpecs,
  Writes extends KeySpecs = KeySpecs,
> extends Declaration<Options> {
  readonly role: 'filter';
  readonly accepts: readonly Kind[];
  /** What it makes of the record, if not what it was. */
  readonly gives?: Kind;
  readonly reads: Reads;
  readonly writes: Writes;
  link(link: FilterLink<Options, Reads, Writes>): Stage;
}

export interface OutputPlugin<Options extends OptionSpecs = OptionSpecs, Reads extends ReadSpecs = ReadSpecs>
  extends Declaration<Options> {
  readonly role: 'output';
  readonly accepts: readonly Kind[];
  /** Keys it reads, or `every` for all that any plugin upstream writes. */
  readonly reads: Reads | 'every';
  link(link: Link<Options, Reads, unknown> & { readonly upstream: readonly UpstreamKey[] }): Stage;
}

export type Plugin = InputPlugin | FilterPlugin | OutputPlugin;

/** Declares an input, with types for its options and keys. */
export function defineInput<const O extends OptionSpecs, const W extends KeySpecs>(
  plugin: Omit<InputPlugin<O, W>, 'role'>,
): InputPlugin<O, W> {
  return { role: 'input', ...plugin };
}

/** Declares a filter, with types for its options and keys. */
export function defineFilter<const O extends OptionSpecs, const R extends ReadSpecs, const W extends KeySpecs>(
  plugin: Omit<FilterPlugin<O, R, W>, 'role'>,
): FilterPlugin<O, R, W> {
  return { role: 'filter', ...plugin };
}

/** Declares an output, with types for its options and keys. */
export function defineOutput<const O extends OptionSpecs, const R extends ReadSpecs>(
  plugin: Omit<OutputPlugin<O, R>, 'role'>,
): OutputPlugin<O, R> {
  return { role: 'output', ...plugin };
}
