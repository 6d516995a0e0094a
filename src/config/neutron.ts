import type { OptionSpecs, OptionValues } from './option.ts';
import { quote } from './problem.ts';

const absolute = (path: string) =>
  path === '' || path.startsWith('/') ? undefined : `${quote(path)} is no absolute path`;

/** What `[neutron]` may say: it is no step of a stack, and serves all. */
export const NEUTRON_OPTIONS = {
  map: {
    type: 'string',
    default: '',
    check: absolute,
    doc: 'Path of a file that names what Neutron has: the JSON of `openstack floating ip list --long -f json`, alone or with ports, servers and logs; see docs/openstack.md. Read again when it changes.',
  },
  ovsdb: {
    type: 'string',
    default: '/run/openvswitch/db.sock',
    check: absolute,
    doc: "Unix socket of Open vSwitch's database, which knows the ids of this host's ports by interface and MAC address. None there: they come from the map alone. Empty: not asked.",
  },
} as const satisfies OptionSpecs;

/** Values of `[neutron]`. */
export type NeutronValues = OptionValues<typeof NEUTRON_OPTIONS>;
