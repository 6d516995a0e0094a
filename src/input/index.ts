import type { InputPlugin } from '../pipeline/plugin.ts';

type Load = () => Promise<{ default: InputPlugin }>;

/** Every input, loaded when a stack names it. */
export const inputs: Readonly<Record<string, Load>> = {
  FIP: (() => import('./fip.ts')) as Load,
  NFACCT: (() => import('./nfacct.ts')) as Load,
  NFCT: (() => import('./nfct.ts')) as Load,
  NFLOG: (() => import('./nflog.ts')) as Load,
  PCAPFILE: (() => import('./pcapfile.ts')) as Load,
  UNIXSOCK: (() => import('./unixsock.ts')) as Load,
  VERDICT: (() => import('./verdict.ts')) as Load,
};
