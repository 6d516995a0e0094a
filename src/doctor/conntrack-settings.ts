import type { Check, Finding, Severity } from './check.ts';
import type { Site } from './site.ts';
import { sysctlRemedy } from './sysctl.ts';
import type { View } from './view.ts';

interface Fault {
  readonly severity: Severity;
  readonly means: string;
}

/** What each value means that is not the wanted 1 (Documentation/networking/nf_conntrack-sysctl.rst). */
const FAULTS: Readonly<Record<string, Readonly<Record<string, Fault>>>> = {
  nf_conntrack_acct: {
    0: { severity: 'warning', means: 'packets and bytes are not counted, and every counter in the log is 0' },
  },
  nf_conntrack_timestamp: {
    0: {
      severity: 'warning',
      means:
        'the kernel keeps no begin and end: records have the times at which flowlogd heard of them, and no begin of connections that are older than itself',
    },
  },
  nf_conntrack_events: {
    0: { severity: 'error', means: 'the kernel reports no connection at all' },
    2: {
      severity: 'warning',
      means:
        'a connection that began while nobody listened ends without an event: its record is missing after each restart of flowlogd',
    },
  },
};

/** nf_conntrack_acct, _timestamp, _events. */
export const conntrackSettings: Check = {
  name: 'conntrack-settings',
  about: 'Whether the kernel counts, times and reports connections.',
  look: (site) => site.views.filter((view) => site.readsConnections(view)).flatMap((view) => lookInto(view, site)),
};

function lookInto(view: View, site: Site): Finding[] {
  if (view.sysctl('net.netfilter.nf_conntrack_count') === undefined) {
    return [
      {
        severity: site.config ? 'error' : 'note',
        view,
        message: 'the kernel has no connection tracking here: there are no connections to log',
        remedy: { command: ['modprobe', 'nf_conntrack'] },
      },
    ];
  }
  return Object.entries(FAULTS).flatMap(([setting, faults]): Finding[] => {
    const name = `net.netfilter.${setting}`;
    const value = view.sysctl(name);
    if (value === undefined) return [{ severity: 'unknown', view, message: `this kernel does not have ${name}` }];
    const fault = faults[value];
    if (!fault || (setting === 'nf_conntrack_events' && onlyPolls(view, site))) return [];
    const { severity, means } = fault;
    return [{ severity, view, message: `${setting} is ${value}: ${means}`, remedy: sysctlRemedy(view, name, 1) }];
  });
}

/** With pollinterval= the table is dumped, and no event is needed. */
function onlyPolls(view: View, site: Site): boolean {
  const inputs = site.inputs('NFCT', view);
  return inputs.length > 0 && inputs.every(({ options }) => (options.pollinterval as number) > 0);
}
