import { GLOBAL_OPTIONS } from '../config/global.ts';
import { NEUTRON_OPTIONS } from '../config/neutron.ts';
import type { OptionSpecs } from '../config/option.ts';

/** A section of the configuration that belongs to no plugin. */
export interface ConfigSection {
  readonly name: string;
  /** What it is for, in one sentence. */
  readonly summary: string;
  readonly options: OptionSpecs;
}

/** All of them. */
export const SECTIONS = [
  { name: 'global', summary: 'Options of the whole daemon.', options: GLOBAL_OPTIONS },
  {
    name: 'neutron',
    summary: 'Where the names of what Neutron has come from; this section serves every stack.',
    options: NEUTRON_OPTIONS,
  },
] as const satisfies readonly ConfigSection[];
