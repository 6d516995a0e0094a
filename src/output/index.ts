import type { OutputPlugin } from '../pipeline/plugin.ts';

type Load = () => Promise<{ default: OutputPlugin }>;

/** Every output, loaded when a stack names it. */
export const outputs: Readonly<Record<string, Load>> = {
  JSON: (() => import('./json.ts')) as Load,
  LOGEMU: (() => import('./logemu.ts')) as Load,
};
