import { suggestion } from '../config/nearest.ts';
import type { Field } from '../wire/row-batch.ts';
import type { Column } from './driver.ts';

/** A column and the key that goes into it. */
export interface Bound {
  readonly column: Column;
  readonly key: string;
}

export interface ColumnRules {
  /** ulogd2 leaves out the first column: always, or when its name begins with `_`. */
  readonly skipFirst: 'always' | 'underscore' | 'never';
  /** Values go to a function by their order, so that every column must have one. */
  readonly byOrder: boolean;
}

/** The name of a key's column: unlike ulogd2's way back, it also finds keys with `_` in them. */
const columnOf = (key: string): string => key.replaceAll('.', '_');

/** The filter that gives such a key, for those that stacks often lack. */
const GIVERS: readonly (readonly [RegExp, string])[] = [
  [/^mac_|^oob_protocol$/, 'HWHDR'],
  [/_str$/, 'IP2STR'],
  [/_bin$/, 'IP2BIN'],
  [/ip_h[sd]addr$/, 'IP2HBIN'],
  [/^oob_(in|out)$/, 'IFINDEX'],
  [/^(ip|ip6|tcp|udp|sctp|icmp|icmpv6|arp)_/, 'BASE'],
];

/** Finds the key of every column. Throws, naming each column that has none. */
export function bindColumns(columns: readonly Column[], fields: readonly Field[], rules: ColumnRules): Bound[] {
  const keys = new Map(fields.map(({ name }) => [columnOf(name), name]));
  const bound: Bound[] = [];
  const missing: string[] = [];
  for (const [index, column] of columns.entries()) {
    const skipped = rules.skipFirst === 'always' || (rules.skipFirst === 'underscore' && column.name.startsWith('_'));
    if (index === 0 && skipped) continue;
    const name = column.name.toLowerCase();
    const key = keys.get(name);
    if (key !== undefined) bound.push({ column, key });
    else if (rules.byOrder || !column.automatic) missing.push(`"${column.name}"${adviceFor(name, keys.keys())}`);
  }
  if (missing.length > 0) {
    const what = missing.length === 1 ? 'column' : 'columns';
    throw new Error(`no key of the stack fits the ${what} ${missing.join(', ')}`);
  }
  if (bound.length === 0) throw new Error('the table has no column for a key');
  return bound;
}

function adviceFor(name: string, known: Iterable<string>): string {
  const giver = GIVERS.find(([names]) => names.test(name))?.[1];
  return giver === undefined ? suggestion(name, known) : ` (${giver} in the stack would give it)`;
}
