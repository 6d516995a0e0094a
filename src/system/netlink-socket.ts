import { constants } from 'node:os';
import { Aside, KernelRequest, numberMessages } from './kernel-request.ts';
import { type NativeSocket, NETLINK_OPTION, openNativeSocket } from './native.ts';
import { type DatagramHandler, type Pace, Pump, type Slots } from './pump.ts';

/** The most that a socket can be asked to buffer, in bytes: the kernel doubles it, and holds it in a signed 32-bit number. */
export const MAX_SOCKET_BUFFER = 0x3fff_ffff;

/** Where a socket lives, how much it buffers, and where it puts what it receives. */
export interface NetlinkSocketOptions extends Slots, Pace {
  /** NETLINK_ROUTE, NETLINK_NETFILTER, … */
  readonly protocol: number;
  /** File of the network namespace, such as `/run/netns/qrouter-…`; ours if undefined. */
  readonly namespace?: string | undefined;
  /** Bytes of receive buffer; the kernel's default if undefined. */
  readonly bufferSize?: number | undefined;
}

/** A netlink socket: requests that are answered before they return, and a pump for everything else. */
export class NetlinkSocket {
  readonly #native: NativeSocket;
  readonly #slotSize: number;
  readonly #aside = new Aside();
  readonly #pump: Pump;
  #sequence = 1;

  /** Opens a socket. Throws ErrnoException, with `syscall` open, setns, socket, bind or setsockopt. */
  static open(options: NetlinkSocketOptions): NetlinkSocket {
    const { protocol, namespace } = options;
    let native: NativeSocket;
    try {
      native = openNativeSocket(protocol, namespace);
    } catch (error) {
      if (namespace !== undefined) (error as Error).message += ` (network namespace ${namespace})`;
      throw error;
    }
    try {
      return new NetlinkSocket(native, options);
    } catch (error) {
      native.close();
      throw error;
    }
  }

  private constructor(native: NativeSocket, options: NetlinkSocketOptions) {
    this.#native = native;
    this.#slotSize = options.slotSize;
    if (options.bufferSize !== undefined) native.setReceiveBuffer(options.bufferSize);
    this.#pump = new Pump(native, options, this.#aside, options);
    for (const option of [NETLINK_OPTION.CAP_ACK, NETLINK_OPTION.EXT_ACK]) {
      try {
        native.setOption(option, 1);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).errno !== -constants.errno.ENOPROTOOPT) throw error; // Linux before 4.12
      }
    }
  }

  /** The address to which the kernel sends what is for this socket alone (nl_pid). */
  get portId(): number {
    return this.#native.portId;
  }

  /** Bytes of receive buffer. */
  get bufferSize(): number {
    return this.#pump.bufferSize;
  }

  /** Bytes that it had at first, and has again after `restoreBuffer`. */
  get firstBufferSize(): number {
    return this.#pump.firstBufferSize;
  }

  /** Undoes what overruns did to the buffer; the next one may grow it again. Throws ErrnoException. */
  restoreBuffer(): void {
    this.#pump.restoreBuffer();
  }

  /** Undoes that larger portions are read; the next overrun may have it so again. */
  restorePortions(): void {
    this.#pump.restorePortions();
  }

  /** Subscribes to a multicast group. Throws ErrnoException. */
  join(group: number): void {
    this.#native.join(group);
  }

  /** Ends a subscription. Throws ErrnoException. */
  leave(group: number): void {
    this.#native.leave(group);
  }

  /** Sets one of `NETLINK_OPTION`. Throws ErrnoException. */
  setOption(option: number, value: number): void {
    this.#native.setOption(option, value);
  }

  /** Datagrams that the kernel dropped because this socket's buffer was full, since it was opened, modulo 2³². */
  drops(): number {
    return this.#native.drops();
  }

  /** How full it is, and for how many milliseconds the pump has not kept up. */
  state(): { readonly bufferSize: number; readonly queued: number; readonly lag: number } {
    return { bufferSize: this.#pump.bufferSize, queued: this.#native.queued(), lag: this.#pump.lag };
  }

  /** Sends messages whose answers are for the pump, such as a dump request. Throws ErrnoException. */
  send(bytes: Uint8Array): void {
    this.#native.send(bytes);
  }

  /**
   * Sends messages (no dumps) and returns once the kernel has consented to all; numbers and marks them in place.
   * Throws KernelError with the first refusal; the messages behind it were carried out all the same.
   *
   * May be called at any time, also by a handler. It reads into memory of its own, because the pump may be walking the
   * slots. What is no answer is copied aside, and the pump hands it over, in order, before it reads on.
   */
  request(bytes: Uint8Array, operation: string): void {
    const first = this.#sequence;
    const count = numberMessages(bytes, first);
    this.#sequence += count;
    try {
      new KernelRequest(this.#native, this.#slotSize, this.#aside, operation).run(bytes, first, count);
    } finally {
      this.#pump.attach();
      this.#pump.takeAside();
    }
  }

  /** Hands datagrams to `handler`, as they come and with what came before. */
  start(handler: DatagramHandler): void {
    this.#pump.start(handler);
  }

  /** Hands over at once what the kernel has queued by now: the last thing to do before `close`. Not for handlers to call. */
  drain(): void {
    this.#pump.drain();
  }

  /** Hands over at once what fits a turn, the answer to a request that was just sent first of all; the rest comes by itself. */
  turn(): void {
    this.#pump.turn();
  }

  /** Ends what `start` began; called by the handler, the batch in hand is still handed over. The kernel goes on queueing. */
  stop(): void {
    this.#pump.stop();
  }

  /** Stops and closes. Harmless when called again. */
  close(): void {
    this.#pump.close();
    this.#native.close();
  }
}
