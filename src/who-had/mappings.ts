import { recordedAt } from './connections.ts';
import { type Evidence, identityOf, relation } from './evidence.ts';
import type { Question } from './question.ts';
import type { Fields } from './translation.ts';

/** A floating IP goes from one address to another by two records, in either order. */
const ONE_MOVE_MS = 2000;

interface Change {
  readonly time: number;
  readonly maps: boolean;
  /** It was mapped already when flowlogd began to look. */
  readonly initial: boolean;
  readonly since: number | undefined;
  readonly inside: string;
  readonly identity: Readonly<Record<string, string>>;
}

interface Mapping {
  readonly inside: string;
  identity: Readonly<Record<string, string>>;
  readonly begin: number | undefined;
  /** The first and the last time at which a record says that it holds. */
  readonly firstSeen: number;
  lastSeen: number;
  end: number | undefined;
  endAfter: number | undefined;
}

/** Whose a floating IP was, by the records of the input FIP. */
export class Mappings {
  before: Evidence | undefined;
  after: Evidence | undefined;
  readonly #question: Question;
  readonly #changes: Change[] = [];

  constructor(question: Question) {
    this.#question = question;
  }

  /** Takes any record; only those about this address count. */
  add(fields: Fields): void {
    const { 'flowlogd.event': event, 'nat.floating_ip': floating, 'nat.fixed_ip': inside } = fields;
    if (event !== 'fip-map' && event !== 'fip-unmap') return;
    const time = recordedAt(fields);
    if (floating !== this.#question.address || typeof inside !== 'string' || time === undefined) return;
    const since = fields['fip.since.sec'];
    this.#changes.push({
      time,
      maps: event === 'fip-map',
      initial: fields['fip.initial'] === 1,
      since: typeof since === 'number' ? since * 1000 : undefined,
      inside,
      identity: identityOf(fields),
    });
  }

  /** The mappings that held at the time. */
  evidence(): Evidence[] {
    const question = this.#question;
    const found: Evidence[] = [];
    for (const mapping of join(this.#changes.toSorted((a, b) => a.time - b.time))) {
      const { inside, identity, begin, firstSeen, end, endAfter } = mapping;
      // What was there at the start says nothing of the time before.
      const where = relation({ begin: begin ?? firstSeen, end }, question);
      const one: Evidence = {
        kind: 'mapping',
        certainty:
          end === undefined ? 'open' : endAfter !== undefined && question.from > endAfter ? 'end-unknown' : 'known',
        near: where === 'near',
        inside: { address: inside },
        identity,
        begin: begin ?? firstSeen,
        older: begin === undefined ? true : undefined,
        end,
        endAfter,
      };
      if (where === 'before') this.before = one;
      else if (where === 'after') this.after ??= one;
      else found.push(one);
    }
    return found;
  }
}

/** Mappings from begin to end, of changes in the order of their times. */
function join(changes: readonly Change[]): Mapping[] {
  const all: Mapping[] = [];
  for (const { time, maps, initial, since, inside, identity } of changes) {
    const same = all.findLast((one) => one.inside === inside && isOneRouter(one.identity, identity));
    if (maps) {
      for (const other of all) {
        if (other.inside === inside || other.end !== undefined) continue;
        other.end = time;
        other.endAfter = other.lastSeen;
      }
      if (same !== undefined && same.end === undefined) {
        same.lastSeen = time;
        same.identity = { ...same.identity, ...identity };
      } else {
        const begin = initial ? undefined : time;
        all.push({ inside, identity, begin, firstSeen: time, lastSeen: time, end: undefined, endAfter: undefined });
      }
    } else if (same !== undefined && (same.end === undefined || Math.abs(same.end - time) <= ONE_MOVE_MS)) {
      same.end = time;
      same.endAfter = undefined;
    } else {
      const begin = since ?? time;
      all.push({ inside, identity, begin, firstSeen: begin, lastSeen: time, end: time, endAfter: undefined });
    }
  }
  return all;
}

const isOneRouter = (one: Readonly<Record<string, string>>, other: Readonly<Record<string, string>>): boolean =>
  one['router.id'] === other['router.id'] || one['router.id'] === undefined || other['router.id'] === undefined;
