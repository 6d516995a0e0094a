// A kernel that is not there: sockets that answer requests, and bring the datagrams that a test gives them.
//
//     vi.mock('../../src/system/native.ts', async (original) => ({
//       ...(await original<object>()),
//       openNativeSocket: (await import('../support/fake-netlink.ts')).openFakeSocket,
//     }));
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { NativeSocket } from '../../src/system/native.ts';
import { CONNTRACK_DESTROY, CONNTRACK_NEW, CONNTRACK_UPDATE } from '../../src/wire/conntrack.ts';
import {
  CTA_STATS_GLOBAL_ENTRIES,
  CTA_STATS_GLOBAL_MAX_ENTRIES,
  IPCTNL_MSG_CT_DELETE,
  IPCTNL_MSG_CT_GET,
  IPCTNL_MSG_CT_GET_CTRZERO,
  IPCTNL_MSG_CT_GET_STATS,
} from '../../src/wire/ctnetlink.ts';
import { MessageBuilder } from '../../src/wire/message-builder.ts';
import {
  align,
  messageEnd,
  messageFlags,
  messageSequence,
  messageType,
  NETLINK_ROUTE,
  NLM_F_ACK,
  NLM_F_CAPPED,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_EXCL,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSG_HEADER,
} from '../../src/wire/netlink.ts';
import { NFNL_SUBSYS_ACCT } from '../../src/wire/nfacct.ts';
import { beginRequest, NFNL_SUBSYS_CTNETLINK, NFNL_SUBSYS_ULOG } from '../../src/wire/nfnetlink.ts';
import { RTM_GETLINK, RTM_NEWLINK } from '../../src/wire/rtnetlink.ts';

const IFLA_IFNAME = 3;
/** As in src/system/native.ts, which stands behind the mock. */
const CUT_SHORT = 0x8000_0000;
/** The multicast group of each kind of event (nfnetlink_conntrack.h). */
const GROUP = { [CONNTRACK_NEW]: 1, [CONNTRACK_UPDATE]: 2, [CONNTRACK_DESTROY]: 3 } as const;

let current: FakeKernel | undefined;

/** What `openNativeSocket` is replaced with: a socket of the FakeKernel made last. */
export function openFakeSocket(protocol: number, namespace?: string): FakeSocket {
  if (current === undefined) throw new Error('a socket is opened before there is a FakeKernel');
  return current.open(protocol, namespace);
}

/** Devices, connections and sockets. Each test makes its own. */
export class FakeKernel {
  /** Names of network devices by index. */
  readonly links = new Map<number, string>();
  /** Messages that a dump of the connections shows. */
  table: readonly Uint8Array[] = [];
  /** Messages that a dump of the nfacct counters shows. */
  counters: readonly Uint8Array[] = [];
  readonly sockets: FakeSocket[] = [];
  /** Connections that there are and may be. */
  totals: readonly [entries: number, most: number] = [0, 0];

  constructor() {
    current = this;
  }

  /** The errno with which a request is refused; 0 to consent. */
  refusal: (request: Request) => number = () => 0;

  open(protocol: number, namespace: string | undefined): FakeSocket {
    const socket = new FakeSocket(this, protocol, namespace, 4000 + this.sockets.length);
    this.sockets.push(socket);
    return socket;
  }

  /** Sends a datagram to every socket bound to an NFLOG group. Returns how many there were. */
  log(datagram: Uint8Array): number {
    return this.#send(datagram, (socket) => socket.bound);
  }

  /** Sends a datagram to every socket that listens to conntrack events of its kind; a broken one to all that listen. */
  event(datagram: Uint8Array): number {
    const group = groupOf(datagram);
    return this.#send(datagram, ({ protocol, groups }) =>
      protocol === NETLINK_ROUTE ? false : group === undefined ? groups.size > 0 : groups.has(group),
    );
  }

  /** Tells of a device that is new, or has a new name. */
  news(index: number, name: string): number {
    return this.#send(linkMessage(index, name), ({ protocol }) => protocol === NETLINK_ROUTE);
  }

  /** Has the next read of every socket that listens to netfilter fail with this errno, and counts datagrams as dropped. */
  fail(errno: number, dropped = 0): void {
    for (const socket of this.sockets) {
      if (socket.protocol !== NETLINK_ROUTE && (socket.bound || socket.groups.size > 0)) {
        socket.dropped += dropped;
        socket.bring(errno);
      }
    }
  }

  /** Resolves when every socket was read empty. `sleep` is called while a pump waits for the clock. */
  async idle(sleep: () => void = () => {}): Promise<void> {
    for (;;) {
      await nextTurn();
      const busy = this.sockets.filter((socket) => socket.pending);
      if (busy.length === 0) return;
      if (!busy.some((socket) => socket.watched)) sleep();
    }
  }

  /** Has every socket read empty at once. */
  drain(): void {
    for (const socket of this.sockets) socket.wake();
  }

  #send(datagram: Uint8Array, hears: (socket: FakeSocket) => boolean): number {
    const listeners = this.sockets.filter((socket) => !socket.closed && hears(socket));
    for (const socket of listeners) socket.bring(datagram);
    return listeners.length;
  }
}

/** A message that was sent to the kernel, behind its header. */
export interface Request {
  readonly type: number;
  readonly flags: number;
  readonly body: Buffer;
}

/** A socket of the FakeKernel. */
export class FakeSocket implements NativeSocket {
  readonly protocol: number;
  readonly namespace: string | undefined;
  readonly portId: number;
  /** What was asked for, in order. */
  readonly requests: Request[] = [];
  /** Options that were set, by number. */
  readonly options = new Map<number, number>();
  readonly groups = new Set<number>();
  /** An NFLOG group was asked for. */
  bound = false;
  closed = false;
  /** Nobody is woken by what comes: it waits until this is false again, or until somebody asks. */
  held = false;
  receiveBuffer = 212992;
  /** What the kernel says that it could not deliver. */
  dropped = 0;
  readonly #kernel: FakeKernel;
  #queue: (Uint8Array | number)[] = [];
  #callback: ((status: number) => void) | undefined;
  #memory = new Uint8Array(0);
  #slotSize = 0;
  #lengths: Uint32Array = new Uint32Array(0);

  constructor(kernel: FakeKernel, protocol: number, namespace: string | undefined, portId: number) {
    this.#kernel = kernel;
    this.protocol = protocol;
    this.namespace = namespace;
    this.portId = portId;
  }

  /** Something waits to be read. */
  get pending(): boolean {
    return !this.closed && !this.held && this.#queue.length > 0;
  }

  get watched(): boolean {
    return this.#callback !== undefined;
  }

  /** Queues a datagram, or an errno. */
  bring(what: Uint8Array | number): void {
    this.#queue.push(what);
    void nextTurn().then(() => this.wake());
  }

  wake(): void {
    while (this.pending && this.#callback !== undefined) this.#callback(0);
  }

  join(group: number): void {
    this.groups.add(group);
  }

  leave(group: number): void {
    this.groups.delete(group);
  }

  setOption(option: number, value: number): void {
    this.options.set(option, value);
  }

  setReceiveBuffer(bytes: number): number {
    this.receiveBuffer = bytes;
    return bytes;
  }

  drops(): number {
    return this.dropped >>> 0;
  }

  queued(): number {
    return this.#queue.reduce<number>((sum, one) => sum + (typeof one === 'number' ? 0 : one.length), 0);
  }

  send(bytes: Uint8Array): void {
    if (this.closed) throw Object.assign(new Error('EBADF: bad file descriptor, send'), { code: 'EBADF' });
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    for (let at = 0; at < bytes.length; ) {
      const end = messageEnd(view, at, bytes.length);
      if (end < 0) throw new Error(`no netlink message at byte ${at} of a request`);
      this.#answer(view, at, end);
      at += align(end - at);
    }
  }

  attach(memory: ArrayBuffer, offset: number, slotSize: number, slots: number, lengths: Uint32Array): void {
    this.#memory = new Uint8Array(memory, offset, slotSize * slots);
    this.#slotSize = slotSize;
    this.#lengths = lengths;
  }

  receive(): number {
    const slots = this.#memory.length / this.#slotSize;
    let count = 0;
    while (count < slots && this.#queue.length > 0) {
      const next = this.#queue[0] as Uint8Array | number;
      if (typeof next === 'number') {
        if (count > 0) break;
        this.#queue.shift();
        return -next;
      }
      this.#queue.shift();
      const fits = next.subarray(0, this.#slotSize);
      this.#memory.set(fits, count * this.#slotSize);
      this.#lengths[count++] = fits.length === next.length ? next.length : fits.length | CUT_SHORT;
    }
    return count;
  }

  wait(): boolean {
    return this.#queue.length > 0;
  }

  watch(callback: (status: number) => void): void {
    this.#callback = callback;
    if (this.pending) void nextTurn().then(() => this.wake());
  }

  unwatch(): void {
    this.#callback = undefined;
  }

  ref(): void {}

  unref(): void {}

  close(): void {
    this.closed = true;
    this.#callback = undefined;
  }

  #answer(view: DataView, at: number, end: number): void {
    const type = messageType(view, at);
    const flags = messageFlags(view, at);
    const sequence = messageSequence(view, at);
    const body = Buffer.from(
      Buffer.from(view.buffer as ArrayBuffer, view.byteOffset + at, end - at).subarray(NLMSG_HEADER),
    );
    const request = { type, flags, body };
    this.requests.push(request);
    const errno = this.#kernel.refusal(request);
    if (type >> 8 === NFNL_SUBSYS_ULOG) this.bound = true;
    if ((flags & NLM_F_DUMP) === NLM_F_DUMP) {
      if (errno !== 0) return this.bring(this.#refuse(view, at, sequence, errno));
      for (const message of this.#dump(type)) this.bring(message);
      this.bring(this.#message(NLMSG_DONE, sequence, new Uint8Array(4)));
    } else if (type === IPCTNL_MSG_CT_GET_STATS) {
      const message = beginRequest(new MessageBuilder(), type, 0, sequence, 0);
      const [entries, most] = this.#kernel.totals;
      this.bring(message.be32(CTA_STATS_GLOBAL_ENTRIES, entries).be32(CTA_STATS_GLOBAL_MAX_ENTRIES, most).finish());
      this.bring(this.#refuse(view, at, sequence, errno));
    } else if ((flags & NLM_F_ACK) !== 0) {
      this.bring(this.#refuse(view, at, sequence, errno));
    }
  }

  /** The error, 0 to consent, then the header of the request (netlink_ack in af_netlink.c, capped). */
  #refuse(view: DataView, at: number, sequence: number, errno: number): Uint8Array {
    const body = new Uint8Array(4 + NLMSG_HEADER);
    new DataView(body.buffer).setInt32(0, -errno, true);
    body.set(new Uint8Array(view.buffer, view.byteOffset + at, NLMSG_HEADER), 4);
    return this.#message(NLMSG_ERROR, sequence, body, NLM_F_CAPPED);
  }

  #dump(type: number): readonly Uint8Array[] {
    if (type === IPCTNL_MSG_CT_GET || type === IPCTNL_MSG_CT_GET_CTRZERO) return this.#kernel.table;
    if (type >> 8 === NFNL_SUBSYS_ACCT) return this.#kernel.counters;
    if (type !== RTM_GETLINK) throw new Error(`the fake kernel knows no dump of type ${type}`);
    return [...this.#kernel.links].map(([index, name]) => linkMessage(index, name));
  }

  #message(type: number, sequence: number, body: Uint8Array, flags = 0): Uint8Array {
    const message = new MessageBuilder().message(type, 0, sequence).raw(body).finish();
    const view = new DataView(message.buffer);
    view.setUint16(6, flags, true);
    view.setUint32(12, this.portId, true);
    return message;
  }
}

function linkMessage(index: number, name: string): Uint8Array {
  const header = new Uint8Array(16); // struct ifinfomsg
  new DataView(header.buffer).setInt32(4, index, true);
  return new MessageBuilder().message(RTM_NEWLINK, 0, 0).raw(header).string(IFLA_IFNAME, name).finish();
}

function groupOf(datagram: Uint8Array): number | undefined {
  if (datagram.length < NLMSG_HEADER) return undefined;
  const view = new DataView(datagram.buffer, datagram.byteOffset, datagram.length);
  const type = messageType(view, 0);
  if (type >> 8 !== NFNL_SUBSYS_CTNETLINK) return undefined;
  if (type === IPCTNL_MSG_CT_DELETE) return GROUP[CONNTRACK_DESTROY];
  return (messageFlags(view, 0) & (NLM_F_CREATE | NLM_F_EXCL)) !== 0 ? GROUP[CONNTRACK_NEW] : GROUP[CONNTRACK_UPDATE];
}
