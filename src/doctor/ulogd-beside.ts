import { namespaceOf, processes } from '../system/processes.ts';
import type { Check } from './check.ts';

/** The daemon that flowlogd takes the place of. */
export const ulogdBeside: Check = {
  name: 'ulogd',
  about: 'Whether an ulogd runs in the same namespaces.',
  look(site) {
    const ulogds = processes().filter(({ name }) => name === 'ulogd');
    return site.views.flatMap((view) => {
      const here = namespaceOf(view.path ?? '/proc/self/ns/net');
      return ulogds
        .filter((process) => namespaceOf(process) === here)
        .map(({ pid }) => ({
          severity: 'warning' as const,
          view,
          message: `ulogd runs beside flowlogd (process ${pid}): an NFLOG group that it reads flowlogd cannot read, and a file that both write has every event twice`,
          remedy: { command: ['systemctl', 'disable', '--now', 'ulogd2'], keep: `without systemd: kill ${pid}` },
        }));
    });
  },
};
