import type { Remedy } from './check.ts';
import type { View } from './view.ts';

const FILE = '/etc/sysctl.d/90-flowlogd.conf';

/** The command that sets a sysctl in a namespace, and how it stays. */
export function sysctlRemedy(view: View, name: string, value: number): Remedy {
  const line = `${name}=${value}`;
  return {
    command: view.words('sysctl', '-w', line),
    sysctl: { name, value, view },
    keep: view.isFirst
      ? `echo ${line} >> ${FILE}${name.includes('conntrack') ? '; echo nf_conntrack > /etc/modules-load.d/flowlogd.conf' : ''}`
      : 'a namespace begins with the settings of the kernel: run it where the namespace is made',
  };
}
