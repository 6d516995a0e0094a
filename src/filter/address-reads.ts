import type { ReadSpec, ReadSpecs } from '../pipeline/key.ts';
import type { Slots } from '../pipeline/plugin.ts';
import { ABSENT, UNREAD } from '../pipeline/record.ts';

const address = { type: 'ip', optional: true } as const satisfies ReadSpec;

/** Every address that a stack may hold: what IP2STR, IP2BIN and IP2HBIN convert, in ulogd's order. */
export const addressReads = {
  'ip.saddr': address,
  'ip.daddr': address,
  'orig.ip.saddr': address,
  'orig.ip.daddr': address,
  'reply.ip.saddr': address,
  'reply.ip.daddr': address,
  'arp.saddr': address,
  'arp.daddr': address,
} as const satisfies ReadSpecs;

/** The slot of an address, and of what is made of it. */
export interface Conversion {
  readonly key: keyof typeof addressReads;
  readonly from: number;
  readonly to: number;
}

/** The addresses of a stack whose conversions anybody reads; `nameOf` gives the key of the conversion. */
export function conversions(
  read: Slots<typeof addressReads>,
  write: Slots<Record<string, number>>,
  nameOf: (key: string) => string,
): Conversion[] {
  const keys = Object.keys(addressReads) as (keyof typeof addressReads)[];
  return keys
    .map((key) => ({ key, from: read[key], to: write[nameOf(key)] ?? UNREAD }))
    .filter(({ from, to }) => from !== ABSENT && to !== UNREAD);
}

/** Whether ulogd 2.0.8's IP2BIN and IP2HBIN convert it: they forget the last address of a connection, and know none of ARP. */
export const ulogdConverts = ({ key }: Conversion): boolean => key !== 'reply.ip.daddr' && !key.startsWith('arp.');
