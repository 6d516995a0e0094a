import { hasCapability } from '../system/capabilities.ts';
import type { Check, Finding } from './check.ts';
import { sysctlRemedy } from './sysctl.ts';
import { View } from './view.ts';

/** What inputs take when netlink_socket_buffer_size says nothing. */
const DEFAULT_BYTES = 8 << 20;
const RMEM_MAX = 'net.core.rmem_max';

/** net.core.rmem_max against netlink_socket_buffer_size and _maxsize. */
export const receiveBuffer: Check = {
  name: 'receive-buffer',
  about: 'Whether the sockets can have the buffers that the configuration asks for.',
  look(site) {
    // With the capability the limit does not count (SO_RCVBUFFORCE), and without one no input reads from the kernel at all
    // but inside a user namespace.
    if (hasCapability('CAP_NET_ADMIN')) return [];
    const own = new View();
    const limit = Number(own.sysctl(RMEM_MAX) ?? own.first.sysctl(RMEM_MAX) ?? Number.NaN);
    return site.kernelInputs.flatMap(({ id, plugin, options }): Finding[] => {
      const size = options.netlink_socket_buffer_size as number | undefined;
      if (size === undefined) return [];
      const wanted = Math.max(size || DEFAULT_BYTES, options.netlink_socket_buffer_maxsize as number);
      if (!(limit < wanted)) return [];
      const message = `${id}:${plugin.name} asks for a socket buffer of ${wanted} bytes, and without CAP_NET_ADMIN gets ${limit} at most: the kernel drops events earlier`;
      return [{ severity: 'warning', message, remedy: sysctlRemedy(own.first, RMEM_MAX, wanted) }];
    });
  },
};
