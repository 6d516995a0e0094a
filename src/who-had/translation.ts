import type { Question } from './question.ts';

/** A record of a log. */
export type Fields = Readonly<Record<string, unknown>>;

/** One end of a connection; protocols such as ICMP have no ports. */
export interface End {
  readonly address: string;
  readonly port?: number;
}

/** What a connection says about the address that was asked for. */
export interface Translation {
  /** Whether the address stood for the source or for the target. */
  readonly how: 'snat' | 'dnat';
  /** What the NAT filter calls it, if it was there. */
  readonly class?: string;
  readonly protocol?: number;
  /** Who had the address. */
  readonly inside: End;
  readonly external: End;
  /** What no two connections have at once: the tuple by which the kernel knows them; undefined without ports. */
  readonly unique?: string;
  /** With whom it spoke, if the record says so. */
  readonly peer?: End;
}

const text = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined);
const number = (value: unknown): number | undefined => (Number.isFinite(value) ? (value as number) : undefined);

/** The addresses and ports of a connection in both directions, by the names that IP2STR gives them in JSON. */
export interface Tuples {
  readonly protocol: number | undefined;
  readonly source: End;
  readonly target: End;
  readonly replySource: End;
  readonly replyTarget: End;
}

/** The tuples of a connection; undefined for other records. */
export function tuplesOf(fields: Fields): Tuples | undefined {
  const end = (address: string | undefined, port: unknown): End | undefined => {
    const known = number(port);
    return address === undefined ? undefined : { address, ...(known === undefined ? {} : { port: known }) };
  };
  const source = end(text(fields.src_ip ?? fields['orig.ip.saddr.str']), fields['orig.l4.sport']);
  const target = end(text(fields.dest_ip ?? fields['orig.ip.daddr.str']), fields['orig.l4.dport']);
  const replySource = end(text(fields['reply.ip.saddr.str']), fields['reply.l4.sport']);
  const replyTarget = end(text(fields['reply.ip.daddr.str']), fields['reply.l4.dport']);
  if (!source || !target || !replySource || !replyTarget) return undefined;
  return { protocol: number(fields['orig.ip.protocol']), source, target, replySource, replyTarget };
}

/**
 * What the tuples of a connection say about the address: the reply goes to the address that the source was given, and
 * comes from the one that the target was given. `undefined` when the address was not asked for; `itself` when it was, but
 * stood for no other.
 */
export function translationOf(tuples: Tuples, fields: Fields, question: Question): Translation | 'itself' | undefined {
  const { protocol, source, target, replySource, replyTarget } = tuples;
  if (question.protocol !== undefined && protocol !== question.protocol) return undefined;
  const isIt = ({ address, port }: End) =>
    address === question.address && (question.port === undefined || port === question.port);
  if (isIt(target) && !same(target, replySource)) {
    return translationAs('dnat', replySource, target, source, fields, protocol, uniqueTuple(source, target));
  }
  if (isIt(replyTarget) && !same(source, replyTarget)) {
    const unique = uniqueTuple(replySource, replyTarget);
    return translationAs('snat', source, replyTarget, target, fields, protocol, unique);
  }
  return isIt(source) || isIt(target) ? 'itself' : undefined;
}

function translationAs(
  how: 'snat' | 'dnat',
  inside: End,
  external: End,
  peer: End,
  fields: Fields,
  protocol: number | undefined,
  unique: string | undefined,
): Translation {
  const what = text(fields['nat.class']);
  return {
    how,
    ...(what === undefined ? {} : { class: what }),
    ...(protocol === undefined ? {} : { protocol }),
    inside,
    external,
    peer,
    ...(unique === undefined ? {} : { unique }),
  };
}

/** The same from the NAT filter's own keys, for stacks without IP2STR. */
export function translationByNat(fields: Fields, question: Question): Translation | undefined {
  const inside = text(fields['nat.fixed_ip']);
  const protocol = number(fields['orig.ip.protocol']);
  const port = number(fields['nat.external_port']);
  // Packets have these keys too, and are no connections.
  if (fields['ct.event'] === undefined || inside === undefined) return undefined;
  if (fields['nat.external_ip'] !== question.address) return undefined;
  if (question.protocol !== undefined && protocol !== question.protocol) return undefined;
  if (question.port !== undefined && port !== question.port) return undefined;
  const how = fields['nat.type'] === 'snat' ? 'snat' : 'dnat';
  const what = text(fields['nat.class']);
  const insidePort = number(how === 'snat' ? fields['orig.l4.sport'] : fields['reply.l4.sport']);
  return {
    how,
    ...(what === undefined ? {} : { class: what }),
    ...(protocol === undefined ? {} : { protocol }),
    inside: { address: inside, ...(insidePort === undefined ? {} : { port: insidePort }) },
    external: { address: question.address, ...(port === undefined ? {} : { port }) },
  };
}

/** Tuples are unique (nf_conntrack_tuple_taken); what ICMP has in the place of ports is not in the records. */
const uniqueTuple = (from: End, to: End): string | undefined =>
  to.port === undefined ? undefined : `${from.address} ${from.port} ${to.address} ${to.port}`;

const same = (one: End, other: End): boolean => one.address === other.address && one.port === other.port;
