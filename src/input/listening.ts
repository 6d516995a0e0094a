import type { Log } from '../pipeline/plugin.ts';
import type { NetlinkSocket } from '../system/netlink-socket.ts';
import type { Losses } from './losses.ts';
import type { Malformed } from './malformed.ts';
import { type Dispensable, OverloadLadder } from './overload-ladder.ts';

/** What an input itself does with what its socket brings; offsets are into the memory of the socket. */
interface Listener {
  readonly onDatagram: (start: number, end: number) => void;
  readonly onBatchEnd: () => void;
  /** Besides counting what was lost. */
  readonly onOverrun?: () => void;
}

/** Listens to a socket of events, for an input that counts all that goes wrong there, and climbs the ladder under load. */
export class Listening {
  readonly #name: string;
  readonly #log: Log;
  readonly #losses: Losses;
  readonly #malformed: Malformed;
  #ladder: OverloadLadder | undefined;

  constructor(name: string, log: Log, losses: Losses, malformed: Malformed) {
    this.#name = name;
    this.#log = log;
    this.#losses = losses;
    this.#malformed = malformed;
  }

  /** Begins to hand datagrams over; `drops` are those of the socket of which another input has told. */
  begin(socket: NetlinkSocket, drops: number, listener: Listener, dispensable?: Dispensable): void {
    const losses = this.#losses;
    const ladder = new OverloadLadder(this.#name, this.#log, socket, dispensable);
    this.#ladder = ladder;
    losses.begin(socket, drops);
    socket.start({
      onDatagram: listener.onDatagram,
      onBatchEnd: listener.onBatchEnd,
      onOverrun() {
        losses.overrun();
        ladder.overrun();
        listener.onOverrun?.();
      },
      onGrown: () => ladder.grown(),
      onCoalesce: () => ladder.coalesced(),
      onTruncated: () => this.#malformed.add(),
    });
  }

  /** Tells of the last losses, and takes up what was given up: the socket is still open, and nobody will read it here again. */
  end(): void {
    this.#losses.end();
    this.#ladder?.stop();
  }

  /** Times that the dispensable was given up. */
  get givenUp(): number {
    return this.#ladder?.steps.givenUp ?? 0;
  }

  /** What the summary says of it (Service.counters). */
  counters() {
    return {
      'times the socket buffer grew': this.#ladder?.steps.grown ?? 0,
      'times events came in larger portions': this.#ladder?.steps.coalesced ?? 0,
    };
  }
}
