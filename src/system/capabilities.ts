import { readFileSync } from 'node:fs';

/** Numbers of capabilities (linux/capability.h) by name: those that flowlogd can be asked for. */
export const CAPABILITY = { CAP_NET_ADMIN: 12, CAP_SYS_ADMIN: 21 } as const;

/** Name of one of them. */
export type Capability = keyof typeof CAPABILITY;

/** Whether this thread may use the capability now. */
export function hasCapability(name: Capability): boolean {
  const effective = /^CapEff:\s*([0-9a-f]+)/m.exec(readFileSync('/proc/thread-self/status', 'utf8'))?.[1] ?? '0';
  return ((BigInt(`0x${effective}`) >> BigInt(CAPABILITY[name])) & 1n) === 1n;
}
