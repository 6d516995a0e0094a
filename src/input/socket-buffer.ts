import type { OptionSpecs } from '../config/option.ts';
import { MAX_SOCKET_BUFFER } from '../system/netlink-socket.ts';

/** Options of an input's receive buffer, which has `usual` bytes, whole MiB, where a configuration does not say. */
export function socketBufferOptions(usual: number) {
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
