import { createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Commands, carryOut } from './command.ts';
import { type Answer, MAX_REQUEST, NEWLINE, parseRequest } from './protocol.ts';

/** Clients at a time; whoever comes beyond is turned away. */
const CLIENTS = 16;
/** Milliseconds that a client may be silent, or leave its answer unread. */
const PATIENCE = 30_000;
/** Milliseconds between an answer and the client's next request: one that asks without end leaves the daemon its time. */
const PAUSE = 10;

/**
 * Answers whoever connects to the control socket. Nothing that a client sends or leaves undone costs more than a request's
 * memory: its next request is read when it was handed the answer to the last.
 */
export class ControlServer {
  readonly server: Server;
  readonly #commands: Commands;
  readonly #clients = new Set<Socket>();

  constructor(commands: Commands) {
    this.#commands = commands;
    // Half open: `echo … | nc -U` ends its side before it reads.
    this.server = createServer({ allowHalfOpen: true }, (socket) => void this.#serve(socket));
    this.server.maxConnections = CLIENTS;
  }

  /** Sends all clients away, and removes the socket. */
  close(): Promise<void> {
    for (const socket of this.#clients) socket.destroy();
    return new Promise((done) => this.server.close(() => done()));
  }

  async #serve(socket: Socket): Promise<void> {
    this.#clients.add(socket);
    socket.on('error', () => {}); // a client that is gone; the loop ends by it, too
    socket.on('timeout', () => socket.destroy());
    socket.setTimeout(PATIENCE);
    try {
      let rest = Buffer.alloc(0);
      for await (const chunk of socket) {
        rest = Buffer.concat([rest, chunk as Buffer]);
        for (let end = rest.indexOf(NEWLINE); end >= 0 && end <= MAX_REQUEST; end = rest.indexOf(NEWLINE)) {
          await this.#answer(socket, rest.subarray(0, end));
          rest = rest.subarray(end + 1);
          await sleep(PAUSE);
        }
        if (rest.length > MAX_REQUEST) {
          await send(socket, refusal(`the request is longer than ${MAX_REQUEST} bytes`));
          break;
        }
      }
      socket.end();
    } catch {
      socket.destroy();
    } finally {
      this.#clients.delete(socket);
    }
  }

  async #answer(socket: Socket, line: Uint8Array): Promise<void> {
    socket.setTimeout(0); // the command takes the time that it takes
    let answer: string;
    try {
      const result = (await carryOut(this.#commands, parseRequest(line))) ?? null;
      answer = JSON.stringify({ ok: true, result } satisfies Answer);
    } catch (error) {
      answer = refusal(error instanceof Error ? error.message : String(error));
    }
    socket.setTimeout(PATIENCE);
    await send(socket, answer);
  }
}

const refusal = (error: string): string => JSON.stringify({ ok: false, error } satisfies Answer);

/** Resolves when the kernel has the bytes. */
function send(socket: Socket, answer: string): Promise<void> {
  return new Promise((done, fail) => {
    socket.write(`${answer}\n`, (error) => (error ? fail(error) : done()));
  });
}
