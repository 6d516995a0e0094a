import { createSocket, type Socket } from 'node:dgram';
import { lookup } from 'node:dns';
import type { Batch } from './batch.ts';
import type { Destination, Progress } from './destination.ts';
import { bracketed, reasonOf } from './stream.ts';

/** Bytes on their way to the kernel beyond which it takes no more: the kernel's own buffer is full then. */
const IN_FLIGHT = 256 << 10;
const NEWLINE = 0x0a;

/** How a batch becomes datagrams: where the one ends that begins at `at`. */
export type Framing = (bytes: Uint8Array, at: number) => number;
/** Each line is one, with its line end. */
export const byLine: Framing = (bytes, at) => bytes.indexOf(NEWLINE, at) + 1 || bytes.length;
/** The batch is one. */
export const whole: Framing = (bytes) => bytes.length;

/**
 * UDP. Nothing says that a datagram arrived, but a host without a listener says so (ICMP): that counts as a connection
 * that ended, so that lines wait until somebody listens.
 */
export class DatagramDestination implements Destination {
  readonly name: string;
  readonly acknowledges = false;
  readonly #host: string;
  readonly #port: number;
  readonly #framing: Framing;
  #socket: Socket | undefined;
  #progress: Progress | undefined;
  #inFlight = 0;
  #waiting = false;
  #whenSent: (() => void) | undefined;

  constructor(host: string, port: number, framing: Framing) {
    this.name = `udp://${bracketed(host)}:${port}`;
    this.#host = host;
    this.#port = port;
    this.#framing = framing;
  }

  connect(progress: Progress): void {
    this.#progress = progress;
    this.#inFlight = 0;
    this.#waiting = false;
    lookup(this.#host, (error, address, family) => {
      if (this.#progress !== progress) return;
      if (error) return this.#end(error);
      const socket = createSocket(family === 6 ? 'udp6' : 'udp4');
      this.#socket = socket;
      socket.on('error', (reason) => this.#end(reason));
      socket.connect(this.#port, address, () => {
        if (this.#socket === socket) progress.connected();
      });
    });
  }

  send({ bytes }: Batch): boolean {
    if (this.#socket === undefined) return false;
    if (this.#inFlight >= IN_FLIGHT) {
      this.#waiting = true;
      return false;
    }
    for (let at = 0; at < bytes.length; ) {
      const end = this.#framing(bytes, at);
      this.#sendOne(bytes.subarray(at, end));
      at = end;
    }
    return true;
  }

  finish(done: () => void): void {
    if (this.#inFlight === 0) done();
    else this.#whenSent = done;
  }

  close(): void {
    this.#progress = undefined;
    this.#socket?.close();
    this.#socket = undefined;
  }

  #sendOne(datagram: Uint8Array): void {
    const socket = this.#socket;
    this.#inFlight += datagram.length;
    socket?.send(datagram, (error) => {
      if (this.#socket !== socket) return;
      this.#inFlight -= datagram.length;
      if (error) this.#failed(error);
      else if (this.#waiting && this.#inFlight < IN_FLIGHT) {
        this.#waiting = false;
        this.#progress?.ready();
      }
      if (this.#inFlight === 0) this.#whenSent?.();
    });
  }

  #failed(error: NodeJS.ErrnoException): void {
    // Longer than UDP can carry, or than the path: no other connection would change it.
    if (error.code === 'EMSGSIZE') this.#progress?.refused(1);
    else this.#end(error);
  }

  #end(error: Error): void {
    const progress = this.#progress;
    this.close();
    progress?.closed(reasonOf(error));
  }
}
