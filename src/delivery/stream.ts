import { connect, type NetConnectOpts, type Socket } from 'node:net';
import type { Batch } from './batch.ts';
import type { Destination, Progress } from './destination.ts';

/** Milliseconds of silence after which the kernel asks whether the peer still lives. */
const KEEP_ALIVE = 30_000;

/** A peer by its host name or address and port, or by the path of its unix socket. */
export type StreamTarget = { readonly host: string; readonly port: number } | { readonly path: string };

/** TCP and unix stream sockets. The peer says nothing of what arrived; what it sends is read and ignored. */
export class StreamDestination implements Destination {
  readonly name: string;
  readonly acknowledges = false;
  readonly #target: NetConnectOpts;
  #socket: Socket | undefined;

  constructor(target: StreamTarget) {
    this.#target = target;
    this.name = 'path' in target ? `unix:${target.path}` : `tcp://${bracketed(target.host)}:${target.port}`;
  }

  connect(progress: Progress): void {
    const socket = connect(this.#target);
    this.#socket = socket;
    let reason = 'the peer closed the connection';
    socket.on('connect', () => {
      socket.setNoDelay(true).setKeepAlive(true, KEEP_ALIVE);
      progress.connected();
    });
    socket.on('drain', () => progress.ready());
    socket.on('error', (error) => {
      reason = reasonOf(error);
    });
    socket.on('close', () => progress.closed(reason));
    socket.resume(); // what the peer says would else keep its end from being seen
  }

  send({ bytes }: Batch): boolean {
    const socket = this.#socket;
    // One batch at a time beside what the kernel holds: a peer that never reads costs no memory.
    if (socket === undefined || !socket.writable || socket.writableNeedDrain) return false;
    socket.write(bytes);
    return true;
  }

  finish(done: () => void): void {
    const socket = this.#socket;
    if (socket === undefined || socket.destroyed) return done();
    // The peer's own end says that it has read ours; not every peer says it.
    socket.once('close', (failed) => {
      if (!failed) done();
    });
    socket.end();
  }

  close(): void {
    this.#socket?.destroy();
    this.#socket = undefined;
  }
}

/** The reason of an error, also of the several of a host with several addresses. */
export function reasonOf(error: Error): string {
  if (error instanceof AggregateError) return error.errors.map(({ message }: Error) => message).join(', ');
  return error.message;
}

/** A host as it stands before a port. */
export const bracketed = (host: string): string => (host.includes(':') ? `[${host}]` : host);
