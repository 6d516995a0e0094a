import { type Evidence, type Interval, identityOf, relation } from './evidence.ts';
import type { Question } from './question.ts';
import { timeOf } from './question.ts';
import type { Fields, Translation } from './translation.ts';

const NEW = 1;
const DESTROY = 4;
/** flow.start of the begin is the time of the event, that of the end the kernel's own: they differ by the way between. */
const SAME_BEGIN_MS = 2000;
/** Ended connections that are remembered for the case that their begin is read later. */
const MOST_ENDED = 1 << 20;
/** Connections that are kept: begins alone, without their ends, would fill the memory. Some 2 KB each. */
const MOST_KEPT = 1 << 18;

interface Connection {
  readonly translation: Translation;
  identity: Readonly<Record<string, string>>;
  readonly id: unknown;
  begin: number | undefined;
  end: number | undefined;
  endAfter: number | undefined;
}

/** What is known of all records together. */
export interface Recorded {
  /** The files tell of ends. */
  readonly ends: boolean;
  /** Whether a record that was due at `from` or later may have been lost. */
  mayBeLost(from: number): boolean;
}

/** Puts the records of begin and end together, in whatever order they come, and keeps the connections of the time asked for. */
export class Connections {
  /** The last that was over before the time, and the first that began behind it. */
  before: Evidence | undefined;
  after: Evidence | undefined;
  /** Connections that were too many to keep. */
  forgotten = 0;
  readonly #question: Question;
  readonly #most: number;
  /** By the tuple that no two connections have at once. */
  readonly #byTuple = new Map<string, Connection[]>();
  readonly #ended = new Map<string, number>();

  constructor(question: Question, most = MOST_KEPT) {
    this.#question = question;
    this.#most = most;
  }

  add(fields: Fields, translation: Translation): void {
    const { protocol, how, unique, inside } = translation;
    const identity = identityOf(fields);
    const tuple = unique ?? `${inside.address} ${inside.port}`;
    const key = [how, protocol, tuple, identity['router.id'] ?? identity['netns.name']].join(' ');
    const seen = { translation, identity, id: fields['ct.id'], ...intervalOf(fields) };
    const list = this.#byTuple.get(key) ?? [];
    const known = list.find((one) => isSame(one, seen));
    if (known === undefined) {
      if (seen.end === undefined && seen.begin !== undefined && this.#hasEnded(key, seen)) return;
      if (unique !== undefined) for (const one of list) displace(one, seen);
      list.push(seen);
      this.#byTuple.set(key, list);
    } else {
      merge(known, seen);
    }
    const one = known ?? seen;
    const where = relation(one, this.#question);
    if (where === 'before') {
      this.#keepNearest(one, where);
      if (known === undefined) this.#remember(`${key} ${one.id}`, one.end as number);
    } else if (where === 'after') this.#keepNearest(one, where);
    const left = list.filter((each) => isOfTime(each, this.#question));
    if (left.length === 0) this.#byTuple.delete(key);
    else this.#byTuple.set(key, left);
    if (this.#byTuple.size > this.#most) {
      for (const forgotten of dropOldest(this.#byTuple)) this.forgotten += forgotten.length;
    }
  }

  /** The connections that there were at the time. */
  *evidence(recorded: Recorded): Generator<Evidence> {
    for (const one of [...this.#byTuple.values()].flat()) {
      yield evidenceOf(one, certaintyOf(one, recorded, this.#question), this.#question);
    }
  }

  #hasEnded(key: string, { id, begin }: Connection): boolean {
    if (this.#ended.size === 0) return false;
    const ended = this.#ended.get(`${key} ${id}`);
    return ended !== undefined && ended >= (begin as number);
  }

  #remember(key: string, end: number): void {
    this.#ended.set(key, end);
    if (this.#ended.size > MOST_ENDED) dropOldest(this.#ended);
  }

  #keepNearest(one: Connection, side: 'before' | 'after'): void {
    const best = this[side];
    const isNearer =
      best === undefined ||
      (side === 'before' ? (one.end as number) > (best.end as number) : (one.begin as number) < (best.begin as number));
    if (isNearer) this[side] = evidenceOf(one, 'known', this.#question);
  }
}

function isOfTime(one: Connection, question: Question): boolean {
  const where = relation(one, question);
  return where === 'now' || where === 'near';
}

/** Drops the eighth of a map that was put in first: one at a time, V8 would look over all that were dropped before. */
function dropOldest<Value>(map: Map<string, Value>): Value[] {
  const dropped: Value[] = [];
  const count = Math.max(1, map.size >> 3);
  for (const [key, value] of map) {
    if (dropped.length === count) break;
    map.delete(key);
    dropped.push(value);
  }
  return dropped;
}

function evidenceOf(one: Connection, certainty: Evidence['certainty'], question: Question): Evidence {
  const { translation, identity, begin, end, endAfter } = one;
  return {
    kind: 'connection',
    certainty,
    near: relation(one, question) === 'near',
    inside: translation.inside,
    translation,
    identity,
    begin,
    end,
    endAfter,
  };
}

function certaintyOf(one: Connection, recorded: Recorded, { from }: Question): Evidence['certainty'] {
  if (one.begin === undefined) return 'begin-unknown';
  if (one.begin >= from) return 'known'; // it began at the very time, whenever it ended
  if (one.endAfter !== undefined && from > one.endAfter) return 'end-unknown';
  if (one.end !== undefined) return 'known';
  return recorded.ends && !recorded.mayBeLost(one.begin) ? 'open' : 'end-unknown';
}

/** A connection with the same tuples that begins later: this one was over by then, and nobody saw its end. */
function displace(one: Connection, seen: Connection): void {
  const [early, late] = (one.begin ?? 0) <= (seen.begin ?? 0) ? [one, seen] : [seen, one];
  if (early.end !== undefined || early.begin === undefined || late.begin === undefined) return;
  early.endAfter = early.begin;
  early.end = late.begin;
}

function merge(one: Connection, seen: Connection): void {
  one.begin = earliest(one.begin, seen.begin);
  // An end that was seen is worth more than one that was concluded.
  if (seen.end !== undefined && (one.end === undefined || one.endAfter !== undefined)) {
    one.end = seen.end;
    one.endAfter = seen.endAfter;
  }
  if (one.identity !== seen.identity) one.identity = { ...one.identity, ...seen.identity };
}

const earliest = (a: number | undefined, b: number | undefined): number | undefined =>
  a === undefined || b === undefined ? (a ?? b) : Math.min(a, b);

/** Two records of one connection: begin and end, or the same record from two files. */
function isSame(a: Connection, b: Connection): boolean {
  if (a.id !== b.id && a.id !== undefined && b.id !== undefined) return false;
  const [one, other] = [a.translation.inside, b.translation.inside];
  if (one.address !== other.address || one.port !== other.port) return false;
  if (a.begin !== undefined && b.begin !== undefined) return Math.abs(a.begin - b.begin) <= SAME_BEGIN_MS;
  if (a.end !== undefined && b.end !== undefined) return Math.abs(a.end - b.end) <= SAME_BEGIN_MS;
  return (a.begin ?? b.begin ?? 0) <= (a.end ?? b.end ?? Number.POSITIVE_INFINITY) + SAME_BEGIN_MS;
}

/** Begin and end of a connection, as one record tells them. */
export function intervalOf(fields: Fields): Required<Omit<Interval, 'older'>> {
  const recorded = recordedAt(fields);
  const isEnd = fields['ct.event'] === DESTROY || fields['flow.end.sec'] !== undefined;
  const begin = momentOf(fields, 'flow.start') ?? (fields['ct.event'] === NEW ? recorded : undefined);
  return {
    begin,
    end: isEnd ? (momentOf(fields, 'flow.end') ?? recorded) : undefined,
    endAfter: fields['flow.unobserved'] === 1 ? momentOf(fields, 'flow.end.window') : undefined,
  };
}

/** The time of a record, in ms since 1970. */
export function recordedAt(fields: Fields): number | undefined {
  return (
    timeOf(fields.timestamp ?? fields['@timestamp']) ??
    momentOf(fields, 'oob.time') ??
    momentOf(fields, 'flow.end') ??
    momentOf(fields, 'flow.start')
  );
}

function momentOf(fields: Fields, name: string): number | undefined {
  const seconds = fields[`${name}.sec`];
  const microseconds = fields[`${name}.usec`];
  if (typeof seconds !== 'number') return undefined;
  return seconds * 1000 + (typeof microseconds === 'number' ? microseconds / 1000 : 0);
}
