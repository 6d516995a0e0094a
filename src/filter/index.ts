import type { FilterPlugin } from '../pipeline/plugin.ts';

type Load = () => Promise<{ default: FilterPlugin }>;

/** Every filter, loaded when a stack names it. */
export const filters: Readonly<Record<string, Load>> = {
  BASE: (() => import('./base.ts')) as Load,
  HWHDR: (() => import('./hwhdr.ts')) as Load,
  IFINDEX: (() => import('./ifindex.ts')) as Load,
  IP2BIN: (() => import('./ip2bin.ts')) as Load,
  IP2HBIN: (() => import('./ip2hbin.ts')) as Load,
  IP2STR: (() => import('./ip2str.ts')) as Load,
  MARK: (() => import('./mark.ts')) as Load,
  NAT: (() => import('./nat.ts')) as Load,
  PRINTFLOW: (() => import('./printflow.ts')) as Load,
  PRINTPKT: (() => import('./printpkt.ts')) as Load,
  PWSNIFF: (() => import('./pwsniff.ts')) as Load,
  VERDICT: (() => import('./verdict.ts')) as Load,
};
