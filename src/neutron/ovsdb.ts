import { existsSync } from 'node:fs';
import { createConnection, type Socket } from 'node:net';
import { Reconnect } from '../delivery/reconnect.ts';
import { JsonStream } from '../wire/json-stream.ts';
import { type OvsPort, OvsPorts } from './ovs-ports.ts';

/** Milliseconds between two attempts, at most. */
const MOST_DELAY = 30_000;
/** Tens of thousands of interfaces. */
const LARGEST = 32 << 20;
/** No Open vSwitch here, or none that runs any more: nothing to say. */
const ABSENT = ['ENOENT', 'ENOTDIR', 'ECONNREFUSED', 'ECONNRESET', 'EPIPE'];
const MONITOR = 1;

const databases = new Map<string, Ovsdb>();

interface Message {
  readonly id?: unknown;
  readonly method?: unknown;
  readonly params?: unknown;
  readonly result?: unknown;
  readonly error?: unknown;
}

/**
 * The ports of Neutron on this host, followed in Open vSwitch's database over its unix socket (RFC 7047). While the database
 * is away, what it last said holds: a port's name is made from its id, and neither changes.
 */
export class Ovsdb {
  /** The database at this socket, which the plugins of a thread share; undefined when there is none. Each `open` needs a `close`. */
  static of(path: string): Ovsdb | undefined {
    if (path === '') return undefined;
    const known = databases.get(path) ?? new Ovsdb(path);
    databases.set(path, known);
    return known;
  }

  readonly #path: string;
  readonly #ports = new OvsPorts();
  readonly #reconnect = new Reconnect(MOST_DELAY);
  #socket: Socket | undefined;
  readonly #onThere = new Set<() => void>();
  /** Who follows it, by what they are told with: who opens or closes it twice counts once. */
  readonly #users = new Set<(message: string) => void>();
  #report: (message: string) => void = () => {};
  #said = '';
  /** Changes with the ports; 0 before there are any. */
  version = 0;

  private constructor(path: string) {
    this.#path = path;
  }

  /** Whether there is a socket now. */
  get isThere(): boolean {
    return existsSync(this.#path);
  }

  /** Has `listener` called whenever the database is reached, and now if it seems to be there: what only it makes use of can wait. */
  whenThere(listener: () => void): void {
    this.#onThere.add(listener);
    if (this.isThere) listener();
  }

  /** Ends what `whenThere` began. */
  forget(listener: () => void): void {
    this.#onThere.delete(listener);
  }

  /** The port that is the interface of this name. */
  portOf(name: string): OvsPort | undefined {
    return this.#ports.ofName(name);
  }

  /** The one port with this MAC address, a number of 48 bits. */
  portOfMac(mac: number): OvsPort | undefined {
    return this.#ports.ofMac(mac);
  }

  /** Follows the database from now on; `report` is told, once for each cause, when one is there that cannot be read. */
  open(report: (message: string) => void): void {
    const isFirst = this.#users.size === 0;
    this.#users.add(report);
    if (!isFirst) return;
    this.#report = report;
    databases.set(this.#path, this);
    this.#connect();
  }

  /** `report` is that of `open`. */
  close(report: (message: string) => void): void {
    if (!this.#users.delete(report) || this.#users.size > 0) return;
    databases.delete(this.#path);
    this.#reconnect.stop();
    this.#socket?.destroy();
    this.#socket = undefined;
  }

  #connect(): void {
    const socket = createConnection(this.#path);
    const stream = new JsonStream(LARGEST);
    this.#socket = socket;
    socket.unref();
    socket.on('connect', () => {
      this.#reconnect.connected();
      for (const listener of this.#onThere) listener();
      const columns = { Interface: { columns: ['name', 'external_ids'] } };
      socket.write(JSON.stringify({ id: MONITOR, method: 'monitor', params: ['Open_vSwitch', null, columns] }));
    });
    socket.on('data', (bytes) => {
      try {
        for (const text of stream.push(bytes)) this.#onMessage(socket, JSON.parse(text) as Message);
      } catch (error) {
        socket.destroy(error as Error);
      }
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (!ABSENT.includes(error.code ?? '')) this.#complain(error.message);
    });
    socket.on('close', () => {
      if (this.#socket === socket) this.#reconnect.after(() => this.#connect());
    });
  }

  #onMessage(socket: Socket, { id, method, params, result, error }: Message): void {
    // The server asks whether we live, and hangs up when nothing comes back (section 4.1.11).
    if (method === 'echo') socket.write(JSON.stringify({ id, result: params, error: null }));
    else if (method === 'update' && Array.isArray(params)) this.#take(params[1]);
    else if (id === MONITOR) {
      if (error) throw new Error(`refuses to be followed: ${JSON.stringify(error)}`);
      this.#ports.clear();
      this.#take(result);
    }
  }

  #take(tables: unknown): void {
    this.#ports.update(tables);
    this.version++;
    this.#said = '';
  }

  #complain(message: string): void {
    if (message === this.#said) return;
    this.#said = message;
    this.#report(`[neutron] ovsdb: ${this.#path}: ${message}; ids of ports are known as far as they were before`);
  }
}
