import type { OptionSpecs, OptionValues } from '../config/option.ts';
import { MAX_SOCKET_BUFFER, NetlinkSocket } from '../system/netlink-socket.ts';
import type { Slots } from '../system/pump.ts';
import { NETLINK_NETFILTER } from '../wire/netlink.ts';

/** Options of an input's socket, whose buffer has `usual` bytes, whole MiB, where a configuration does not say. */
export function eventSocketOptions(usual: number) {
  return {
    netlink_socket_buffer_size: {
      type: 'int',
      default: 0,
      max: MAX_SOCKET_BUFFER,
      unit: 'bytes',
      doc: `Receive buffer of the socket; 0 means ${usual >> 20} MiB.`,
    },
    netlink_socket_buffer_maxsize: {
      type: 'int',
      default: 0,
      max: MAX_SOCKET_BUFFER,
      unit: 'bytes',
      doc: 'Size up to which the buffer is doubled when it is half full and reading lags behind, or overflows.',
    },
  } as const satisfies OptionSpecs;
}

/**
 * Opens the socket that an input gets its events by; `subscribe` has the kernel send them. Throws as NetlinkSocket.open, or
 * what `subscribe` throws.
 */
export function openEventSocket(
  options: OptionValues<ReturnType<typeof eventSocketOptions>>,
  usual: number,
  namespace: string | undefined,
  slots: Slots,
  subscribe: (socket: NetlinkSocket) => void,
): NetlinkSocket {
  const socket = NetlinkSocket.open({
    protocol: NETLINK_NETFILTER,
    namespace,
    bufferSize: options.netlink_socket_buffer_size || usual,
    maxBufferSize: options.netlink_socket_buffer_maxsize,
    ...slots,
  });
  try {
    subscribe(socket);
    return socket;
  } catch (error) {
    socket.close();
    throw error;
  }
}
