import { byLine, DatagramDestination } from '../delivery/datagram.ts';
import type { DeliveryOptions } from '../delivery/options.ts';
import { StreamDestination } from '../delivery/stream.ts';
import type { OutputAccount } from '../pipeline/ledger.ts';
import type { Log } from '../pipeline/plugin.ts';
import type { LineBuffer } from '../wire/line-buffer.ts';
import { LineSender } from './line-sender.ts';

/** Where an output's lines go. Renderers write into `buffer` and call `endLine`. */
export interface LineSink {
  readonly buffer: LineBuffer;
  /** Opens what it needs; may be called by each stack that shares it. Throws with a message for the operator. */
  open(): void;
  /** Ends a line, with its line end, that was rendered up to `at`. */
  endLine(at: number): void;
  /** Writes a line of the daemon's own, which is no event. */
  note(text: string): void;
  /** Hands on what is buffered. */
  flush(): void;
  /** SIGHUP. */
  reopen(): void;
  /** Hands on what it can and closes; harmless when called again. */
  close(): void | Promise<void>;
  account(): OutputAccount;
  /** What it counts besides. */
  counters?(): { readonly [what: string]: number };
}

/** The options that name a peer. */
export interface PeerOptions extends DeliveryOptions {
  readonly mode: 'tcp' | 'udp' | 'unix';
  readonly file: string;
  readonly host: string;
  readonly port: string;
}

/** Makes room for a line of up to `size` bytes, where memory is short by handing on what came before. Throws RangeError. */
export function makeRoom(sink: LineSink, size: number): void {
  const { buffer } = sink;
  if (buffer.has(size)) return;
  try {
    buffer.ensure(size);
  } catch (error) {
    if (buffer.length === 0) throw error;
    sink.flush();
    buffer.ensure(size);
  }
}

/** The sink for a network peer. `name` is that of the output, for messages. */
export const peerSink = (options: PeerOptions, name: string, log: Log, buffer?: LineBuffer): LineSink =>
  new LineSender(() => destinationOf(options), options, name, log, buffer);

function destinationOf({ mode, file, host, port }: PeerOptions) {
  if (mode === 'unix') return new StreamDestination({ path: file });
  const fault = portFault(port);
  if (fault !== undefined) throw new Error(`port: ${fault}`);
  const number = Number(port);
  return mode === 'udp' ? new DatagramDestination(host, number, byLine) : new StreamDestination({ host, port: number });
}

/** What is wrong with the text of a port, or undefined. */
export function portFault(text: string): string | undefined {
  const number = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  return number >= 1 && number <= 65535 ? undefined : `"${text}" is no port number (1-65535)`;
}
