import { createRequire } from 'node:module';

/** Bit 31 of a received length: the datagram was longer than its slot, and only its beginning is there. */
export const CUT_SHORT = 0x8000_0000;

/** The raw netlink socket of native/. Its methods throw ErrnoException (`code`, `errno`, `syscall`). */
export interface NativeSocket {
  /** The address (nl_pid) to which the kernel sends what is for this socket alone. */
  readonly portId: number;
  /** Size of the receive buffer in bytes, in the unit that `setReceiveBuffer` takes; the kernel allows itself twice that. */
  readonly receiveBuffer: number;
  /** Subscribes to a multicast group. */
  join(group: number): void;
  /** Ends a subscription. */
  leave(group: number): void;
  /** Sets an option of level SOL_NETLINK (`NETLINK_OPTION`). */
  setOption(option: number, value: number): void;
  /** Asks for a receive buffer of `bytes` and returns the bytes obtained: without CAP_NET_ADMIN, net.core.rmem_max at most. */
  setReceiveBuffer(bytes: number): number;
  /** Datagrams that the kernel could not deliver to this socket since it was opened, modulo 2³². */
  drops(): number;
  /** Bytes that datagrams take which were not read yet, in the unit of `receiveBuffer`. */
  queued(): number;
  /** Sends bytes to the kernel. */
  send(bytes: Uint8Array): void;
  /**
   * Says where datagrams go: the i-th of a batch at `offset + i * slotSize`, its length in `lengths[i]`.
   * The memory is kept alive; it must not be transferred to another thread.
   */
  attach(memory: ArrayBuffer, offset: number, slotSize: number, slots: number, lengths: Uint32Array): void;
  /**
   * Reads what is there, without waiting, and returns the number of datagrams, or −errno. −ENOBUFS says that the kernel
   * dropped datagrams; those it did not drop are still to be read. A length with `CUT_SHORT` is that of the part which
   * fitted the slot; a length of 0 is a datagram that some process sent, not the kernel.
   */
  receive(): number;
  /** Blocks the thread until there is something to receive, a signal came (false) or `milliseconds` have passed (false). */
  wait(milliseconds: number): boolean;
  /** Calls back in every turn of the event loop that finds the socket readable; `status` < 0: it also has an error to report. */
  watch(callback: (status: number) => void): void;
  /** Ends `watch`, which may begin again. */
  unwatch(): void;
  /** Lets watching keep the process alive (it does at first). */
  ref(): void;
  /** Lets the process end although the socket is watched. */
  unref(): void;
  /** Closes the socket. Harmless when called again. */
  close(): void;
}

/** Options for `NativeSocket.setOption` (linux/netlink.h). */
export const NETLINK_OPTION = {
  BROADCAST_ERROR: 4,
  NO_ENOBUFS: 5,
  CAP_ACK: 10,
  EXT_ACK: 11,
  GET_STRICT_CHK: 12,
} as const;

interface Addon {
  Socket: new (protocol: number, namespacePath?: string) => NativeSocket;
  connectDatagram(path: string): number;
  sendLines(fd: number, bytes: Uint8Array, from: number): Promise<[at: number, errno: number]>;
  notify(path: string, text: string): boolean;
  lockFile(fd: number): number;
  localOffset(seconds: number): number;
  clockSynchronized(): boolean;
  keepCapabilities(): void;
  limitCapabilities(mask: number): void;
}

let loaded: Addon | undefined;

// Loaded when first needed: what never opens a socket (the unit tests, `flowlogd check`) runs without a compiler.
function addon(): Addon {
  if (loaded) return loaded;
  try {
    // The same way up from src/system and from dist/system.
    loaded = createRequire(import.meta.url)('../../native/build/Release/flowlogd.node') as Addon;
    return loaded;
  } catch (cause) {
    const missing = (cause as NodeJS.ErrnoException).code === 'MODULE_NOT_FOUND';
    const what = missing ? 'is not built' : `cannot be loaded (${(cause as Error).message})`;
    throw new Error(`the native addon ${what}: run npm ci (needs gcc, make, python3)`, { cause });
  }
}

type OpenSocket = (protocol: number, namespacePath?: string) => NativeSocket;

let open: OpenSocket = (protocol, namespacePath) => new (addon().Socket)(protocol, namespacePath);

/** Opens a netlink socket in this thread's network namespace or in the one that the file at `namespacePath` stands for. */
export function openNativeSocket(protocol: number, namespacePath?: string): NativeSocket {
  return open(protocol, namespacePath);
}

/** Has sockets opened by someone else: benchmarks replay recorded datagrams through whole stacks. */
export function replaceNativeSockets(opener: OpenSocket): void {
  open = opener;
}

/** Connects to the datagram socket of the unix family at `path` and returns a descriptor. Throws ErrnoException. */
export function connectDatagram(path: string): number {
  return addon().connectDatagram(path);
}

/**
 * Sends each line behind `from`, with its line end, as a datagram of its own, in a thread that waits while the peer is slow,
 * half a second at most. Resolves with where the first line begins that was not sent, and the errno that says why (0: all are).
 * `bytes` must not change, and `fd` must not be closed, before it does.
 */
export function sendLines(fd: number, bytes: Uint8Array, from: number): Promise<[at: number, errno: number]> {
  return addon().sendLines(fd, bytes, from);
}

/**
 * Sends a line such as `READY=1` to the service manager's socket at `path` (NOTIFY_SOCKET; `@` begins an abstract name).
 * False when it could not be delivered.
 */
export function notify(path: string, text: string): boolean {
  return addon().notify(path, text);
}

/**
 * Locks an open file against other processes until it is closed (fcntl(2)). Returns 0, or the id of the process that holds
 * the lock. Throws ErrnoException.
 */
export function lockFile(fd: number): number {
  return addon().lockFile(fd);
}

/** Seconds that local time is ahead of UTC at `seconds` since 1970, by the C library's rules (tzset(3)). */
export function localOffset(seconds: number): number {
  return addon().localOffset(seconds);
}

/** Whether something keeps the kernel's clock right (adjtimex(2) without STA_UNSYNC). */
export function clockSynchronized(): boolean {
  return addon().clockSynchronized();
}

/** Has this thread keep its permitted capabilities through the setuid() to come. Throws ErrnoException. */
export function keepCapabilities(): void {
  addon().keepCapabilities();
}

/**
 * Takes from this thread every capability but those in `mask` that it has, makes those effective, and hands them on to the programs
 * that it runs. Throws ErrnoException.
 */
export function limitCapabilities(mask: number): void {
  addon().limitCapabilities(mask);
}
