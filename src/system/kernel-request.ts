import { constants } from 'node:os';
import { getSystemErrorMap } from 'node:util';
import {
  align,
  HOST_LITTLE_ENDIAN,
  messageEnd,
  messageFlags,
  messagePort,
  messageType,
  NLM_F_ACK,
  NLMSG_ERROR,
  NLMSG_HEADER,
} from '../wire/netlink.ts';
import { decodeAck, NetlinkAck } from '../wire/netlink-ack.ts';
import { CUT_SHORT, type NativeSocket } from './native.ts';
import { DATAGRAM_OVERHEAD } from './wake-up.ts';

const { ENOBUFS, ETIMEDOUT } = constants.errno;
/** The kernel answers before it returns from send(): waiting this long (ms) means that the answer was lost. */
const PATIENCE = 2000;

/** What every request receives into: each is over before another one begins. */
let memory = new ArrayBuffer(0);

const ANSWER = 1;
const OTHER = 2;
const NOTHING = 0;

/** What the kernel said no to, and why. */
export class KernelError extends Error {
  override readonly name = 'KernelError';
  /** What was asked for, such as `bind NFLOG group 5`. */
  readonly operation: string;
  /** Name of the errno, such as `EPERM`. */
  readonly code: string;
  /** The kernel's own explanation (NLMSGERR_ATTR_MSG), if it gave one. */
  readonly reason: string | undefined;
  /** Where in the request the kernel found fault, in bytes (NLMSGERR_ATTR_OFFS), if it said so. */
  readonly offset: number | undefined;

  constructor(operation: string, errno: number, reason?: string, offset?: number) {
    const [code, meaning] = getSystemErrorMap().get(-errno) ?? [`errno ${errno}`, 'unknown error'];
    super(`${operation}: ${code}, ${reason ?? meaning}`);
    this.operation = operation;
    this.code = code;
    this.reason = reason;
    this.offset = offset;
  }
}

/** A datagram that came while a request waited for its answer; `length` as `NativeSocket.receive` gives it. */
export interface Waiting {
  readonly bytes: Uint8Array;
  readonly length: number;
}

/** What requests received for the pump: it takes these before it reads on. */
export class Aside {
  readonly datagrams: Waiting[] = [];
  overrun = false;

  /** Whether there is nothing to take. */
  get empty(): boolean {
    return !this.overrun && this.datagrams.length === 0;
  }
}

/**
 * Numbers the messages in `bytes` from `sequence` on and marks each as one to acknowledge; returns how many there are.
 * RangeError when the bytes are not whole messages.
 */
export function numberMessages(bytes: Uint8Array, sequence: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let count = 0;
  for (let at = 0; at < bytes.length; count++) {
    const end = messageEnd(view, at, bytes.length);
    if (end < 0) throw new RangeError(`no netlink message at byte ${at}`);
    view.setUint16(at + 6, messageFlags(view, at) | NLM_F_ACK, HOST_LITTLE_ENDIAN);
    view.setUint32(at + 8, sequence + count, HOST_LITTLE_ENDIAN);
    at += align(end - at);
  }
  return count;
}

/**
 * One round of requests and answers on a socket, as `NetlinkSocket.request` describes it. Takes over where the socket
 * receives: attach the pump's slots again afterwards.
 */
export class KernelRequest {
  readonly #socket: NativeSocket;
  readonly #operation: string;
  readonly #aside: Aside;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #length = new Uint32Array(1);
  readonly #ack = new NetlinkAck();

  constructor(socket: NativeSocket, slotSize: number, aside: Aside, operation: string) {
    if (memory.byteLength < slotSize) memory = new ArrayBuffer(slotSize);
    this.#bytes = new Uint8Array(memory, 0, slotSize);
    this.#view = new DataView(memory, 0, slotSize);
    this.#socket = socket;
    this.#operation = operation;
    this.#aside = aside;
    socket.attach(memory, 0, slotSize, 1, this.#length);
  }

  /** Sends `count` messages, numbered from `first` on, and reads until all are answered. Throws KernelError. */
  run(bytes: Uint8Array, first: number, count: number): void {
    // A full buffer refuses answers, too: empty it first. It cannot hold more than twice its size.
    let most = (this.#socket.receiveBuffer * 2) / DATAGRAM_OVERHEAD;
    while (most-- > 0 && this.#receive(0, 0) !== NOTHING);
    this.#socket.send(bytes);

    const deadline = performance.now() + PATIENCE;
    let refusal: KernelError | undefined;
    for (let answered = 0; answered < count; ) {
      const got = this.#receive(first, count);
      if (got === ANSWER) {
        answered++;
        if (this.#ack.error !== 0) refusal ??= this.#refusal();
      } else if (got === NOTHING) {
        const left = Math.ceil(deadline - performance.now());
        if (left <= 0) throw new KernelError(this.#operation, this.#aside.overrun ? ENOBUFS : ETIMEDOUT, 'no answer');
        this.#socket.wait(left);
      }
    }
    if (refusal) throw refusal;
  }

  /** Reads a datagram: an answer to the messages from `first` on, into #ack; or another, put aside. */
  #receive(first: number, count: number): typeof ANSWER | typeof OTHER | typeof NOTHING {
    const received = this.#socket.receive();
    if (received === 0) return NOTHING;
    if (received === -ENOBUFS) {
      this.#aside.overrun = true;
      return OTHER;
    }
    if (received < 0) throw new KernelError(this.#operation, -received);
    const length = this.#length[0]!;
    const size = length & ~CUT_SHORT;
    if (this.#isAnswer(size) && this.#ack.sequence >= first && this.#ack.sequence < first + count) return ANSWER;
    if (length !== 0) this.#aside.datagrams.push({ bytes: this.#bytes.slice(0, size), length });
    return OTHER;
  }

  #isAnswer(size: number): boolean {
    return (
      size >= NLMSG_HEADER &&
      messageType(this.#view, 0) === NLMSG_ERROR &&
      messagePort(this.#view, 0) === this.#socket.portId &&
      decodeAck(this.#view, 0, size, this.#ack)
    );
  }

  #refusal(): KernelError {
    const { error, messageOffset, messageLength, badAttribute } = this.#ack;
    const reason = new TextDecoder().decode(this.#bytes.subarray(messageOffset, messageOffset + messageLength));
    return new KernelError(this.#operation, error, reason || undefined, badAttribute < 0 ? undefined : badAttribute);
  }
}
