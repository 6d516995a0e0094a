import type { OptionSpecs, OptionValues } from './option.ts';
import { quote } from './problem.ts';

/** What `[neutron]` may say: it is no step of a stack, and serves all. */
export const NEUTRON_OPTIONS = {
  map: {
    type: 'string',
    default: '',
    check: (path) => (path === '' || path.startsWith('/') ? undefined : `${quote(path)} is no absolute path`),
    doc: 'Path of a file that names what Neutron has: the JSON of `openstack floating ip list --long -f json`, alone or with ports, servers and logs; see docs/openstack.md. Read again when it changes.',
  },
} as const satisfies OptionSpecs;

/** Values of `[neutron]`. */
export type NeutronValues = OptionValues<typeof NEUTRON_OPTIONS>;
