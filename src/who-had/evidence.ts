import type { Question } from './question.ts';
import type { Fields, Translation } from './translation.ts';

/** How sure it is that it was there at the time that was asked for; from the best to the least. */
export type Certainty =
  /** It was: by its begin and its end, or by a begin at that very time. */
  | 'known'
  /** It had not ended when the files end. */
  | 'open'
  /** These files tell no ends, or may have lost this one. */
  | 'end-unknown'
  /** Nobody saw when it began. */
  | 'begin-unknown';

const CERTAINTIES: readonly Certainty[] = ['known', 'open', 'end-unknown', 'begin-unknown'];

/** From when to when someone had the address; times are in ms since 1970, undefined where nobody saw them. */
export interface Interval {
  readonly begin?: number | undefined;
  readonly end?: number | undefined;
  /** It was there at `begin` when flowlogd began to look: it is older. */
  readonly older?: boolean | undefined;
  /** It ended between this and `end`, and nobody saw when. */
  readonly endAfter?: number | undefined;
}

/** A connection or a mapping of a floating IP that answers the question. */
export interface Evidence extends Interval {
  readonly kind: 'connection' | 'mapping';
  readonly certainty: Certainty;
  /** Only within the tolerance (`--within`) of the time. */
  readonly near: boolean;
  /** Router, project, server: what the records call who had it, by their keys. */
  readonly identity: Readonly<Record<string, string>>;
  readonly inside: { readonly address: string; readonly port?: number };
  /** Of a connection. */
  readonly translation?: Translation;
}

/** Keys that say whose an address is, where a stack has them. */
const IDENTITY = [
  'router.id',
  'netns.name',
  'host.name',
  'project.id',
  'server.name',
  'port.id',
  'floating_ip.id',
] as const;

/** Whose an address is, as far as a record says. Records that say the same get the same object: a million may be kept. */
export function identityOf(fields: Fields): Readonly<Record<string, string>> {
  if (last !== undefined && IDENTITY.every((key) => textOf(fields, key) === last?.[key])) return last;
  const pairs = IDENTITY.flatMap((key) => {
    const text = textOf(fields, key);
    return text === undefined ? [] : [[key, text] as const];
  });
  const name = JSON.stringify(pairs);
  last = known.get(name) ?? Object.fromEntries(pairs);
  if (known.size < MOST_KNOWN) known.set(name, last);
  return last;
}

const MOST_KNOWN = 65_536;
const known = new Map<string, Readonly<Record<string, string>>>();
let last: Readonly<Record<string, string>> | undefined;

const textOf = (fields: Fields, key: string): string | undefined => {
  const value = fields[key];
  return typeof value === 'string' && value !== '' ? value : undefined;
};

/** Whether the time lies in an interval: 'now', 'near' by the tolerance alone, or on which side it lies. */
export function relation(
  { begin, end }: Interval,
  { from, to, within }: Question,
): 'now' | 'near' | 'before' | 'after' {
  const first = begin ?? Number.NEGATIVE_INFINITY;
  const last = end ?? Number.POSITIVE_INFINITY;
  if (first <= to && last >= from) return 'now';
  if (last < from - within) return 'before';
  return first > to + within ? 'after' : 'near';
}

/** The best evidence first. */
export function compareEvidence(one: Evidence, other: Evidence): number {
  return (
    Number(one.near) - Number(other.near) ||
    CERTAINTIES.indexOf(one.certainty) - CERTAINTIES.indexOf(other.certainty) ||
    (other.begin ?? 0) - (one.begin ?? 0)
  );
}
