import { type CAPABILITY, hasCapability } from '../system/capabilities.ts';
import type { Check, Finding } from './check.ts';

type Capability = keyof typeof CAPABILITY;

/** CAP_NET_ADMIN, and CAP_SYS_ADMIN for other namespaces. */
export const capabilities: Check = {
  name: 'capabilities',
  about: 'Whether who looks has the rights that this configuration needs.',
  look({ config, kernelInputs, views, closed }) {
    const needed: Capability[] = [];
    if (config === undefined || kernelInputs.length > 0) needed.push('CAP_NET_ADMIN');
    const follows = kernelInputs.some(({ options }) => Boolean(options.network_namespaces));
    if (follows || closed.length > 0 || views.some(({ path }) => path !== undefined)) needed.push('CAP_SYS_ADMIN');
    return needed.filter((name) => !hasCapability(name)).map((name) => missing(name, needed, config?.file));
  },
};

const PURPOSE: Readonly<Record<Capability, string>> = {
  CAP_NET_ADMIN: 'reads packets and connections',
  CAP_SYS_ADMIN: 'listens in another namespace',
};

/** The command is for root: whoever lacks a capability cannot take it. */
function missing(name: Capability, needed: readonly Capability[], file = '/etc/ulogd.conf'): Finding {
  const sets = ['-all', ...needed.map((one) => `+${one.slice('CAP_'.length).toLowerCase()}`)].join(',');
  const limits = [`--inh-caps=${sets}`, `--ambient-caps=${sets}`, `--bounding-set=${sets}`];
  return {
    severity: 'warning',
    message: `this process has no ${name}, which the kernel asks of whoever ${PURPOSE[name]}: flowlogd started like this could not`,
    remedy: {
      command: ['setpriv', '--reuid=flowlogd', '--regid=flowlogd', '--init-groups', ...limits, 'flowlogd', '-c', file],
      keep: 'to be run by root; etc/flowlogd.service does the same',
    },
  };
}
