import { GLOBAL_OPTIONS } from '../config/global.ts';
import { ControlServer } from '../control/server.ts';
import { listenAt, type SocketFile } from '../control/socket-file.ts';
import type { DaemonLog } from '../system/log.ts';
import type { Identity } from '../system/user.ts';
import { commandsOf } from './commands.ts';
import type { Daemon } from './daemon-status.ts';

/** Milliseconds between two looks whether a socket that could not be had is free by now. */
const LOOK = 10_000;

/**
 * What answers for the daemon while it runs, at the socket that the configuration names. Where that cannot be had the daemon
 * goes on without, and takes it when it can: in silence when nobody asked for the socket, because it may be one of several
 * daemons, or one without rights in /run.
 */
export class Control {
  readonly #server: ControlServer;
  readonly #path: string;
  readonly #owner: Identity | undefined;
  readonly #log: DaemonLog;
  #file: SocketFile | undefined;
  /** Why there is none, as the log has it. */
  #missing = '';
  #attempt: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(daemon: Daemon, owner: Identity | undefined, log: DaemonLog) {
    this.#server = new ControlServer(commandsOf(daemon));
    this.#path = daemon.config.global.control;
    this.#owner = owner;
    this.#log = log;
  }

  /** Opens the socket, unless it is open or the configuration wants none. */
  open(): Promise<void> {
    clearTimeout(this.#timer);
    this.#attempt = this.#attempt.then(() => this.#open());
    return this.#attempt;
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#timer);
    await this.#attempt;
    if (this.#file === undefined) return;
    await this.#server.close();
    this.#file.remove();
  }

  async #open(): Promise<void> {
    const { server } = this.#server;
    if (this.#file !== undefined || this.#closed || this.#path === '') return;
    try {
      this.#file = await listenAt(server, this.#path, this.#owner);
      server.on('error', (error) => this.#log.error(`the control socket ${this.#path}: ${error.message}`));
      if (this.#missing !== '') this.#log.notice(`the control socket ${this.#path} is free, and taken`);
    } catch (error) {
      this.#tell(`there is no control socket: ${(error as Error).message}`);
      if (!this.#closed) this.#timer = setTimeout(() => this.open(), LOOK).unref();
    }
  }

  #tell(missing: string): void {
    if (missing === this.#missing) return;
    this.#missing = missing;
    if (this.#path === GLOBAL_OPTIONS.control.default) this.#log.info(missing);
    else this.#log.error(missing);
  }
}
