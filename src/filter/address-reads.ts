import type { ReadSpec, ReadSpecs } from '../pipeline/key.ts';

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
