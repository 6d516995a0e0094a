import type { OptionSpecs, OptionValues } from '../config/option.ts';
import { MAX_SOCKET_BUFFER, NetlinkSocket } from '../system/netlink-socket.ts';
import type { Reserve, Slots } from '../system/pump.ts';
import { NETLINK_NETFILTER } from '../wire/netlink.ts';

/** Bytes that a buffer may grow to where a configuration does not speak of buffers at all. */
const USUAL_GROWTH = 64 << 20;
/** What such buffers may grow by in all: a node has hundreds of namespaces, and what waits in a buffer is the kernel's memory. */
const reserve: Reserve = { bytes: 256 << 20 };

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
      doc: `Size up to which the buffer is doubled when it is half full and reading lags behind, or overflows; 0 means never, or ${USUAL_GROWTH >> 20} MiB if netlink_socket_buffer_size is 0, too: all such buffers share ${reserve.bytes >> 20} MiB to grow by.`,
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
  const { netlink_socket_buffer_size: size, netlink_socket_buffer_maxsize: most } = options;
  const growth = size === 0 && most === 0 ? { maxBufferSize: USUAL_GROWTH, reserve } : { maxBufferSize: most };
  const socket = NetlinkSocket.open({
    protocol: NETLINK_NETFILTER,
    namespace,
    bufferSize: size || usual,
    ...growth,
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
