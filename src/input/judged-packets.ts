import type { Memory } from '../pipeline/memory.ts';
import { IPPROTO_AH, IPPROTO_DSTOPTS, IPPROTO_HOPOPTS, IPPROTO_ROUTING, IPV4_HEADER, IPV6_HEADER } from '../wire/ip.ts';
import type { Trace } from '../wire/nftrace.ts';

/** Packets whose verdict can be awaited at once: one on each processor, those that NFQUEUE holds, and those that iptables-legacy dropped. */
const PLACES = 256;
/** Most bytes of each header in a trace (NFT_TRACETYPE_*_HSIZE in nf_tables_trace.c). */
const LINK = 20;
const NETWORK = 40;
const TRANSPORT = 20;
/** Most bytes of the name of a table or chain that are kept. */
export const LONGEST_NAME = 64;
/** Where in a place the parts are. */
const PACKET = LINK;
const TABLE = PACKET + NETWORK + TRANSPORT;
const CHAIN = TABLE + LONGEST_NAME;
const PLACE = CHAIN + LONGEST_NAME;

const NUMBERS = [
  'linkLength',
  'packetLength',
  'indev',
  'indevType',
  'outdev',
  'mark',
  'connection',
  'tableLength',
  'chainLength',
  'handleHigh',
  'handleLow',
] as const;

/**
 * What is known of packets whose verdict is not: their headers, and who let them pass last. They are in the first places, so that few
 * are looked at; when all are taken, the next one takes that of another, which is then undecided.
 */
export class JudgedPackets {
  readonly #bytes: Uint8Array;
  readonly #start: number;
  readonly #ids = new Int32Array(PLACES);
  readonly #open = new Uint8Array(PLACES);
  /** When it was begun, in ms since 1970. */
  readonly #since = new Float64Array(PLACES);
  /** Behind the last place that is taken. */
  #end = 0;
  #next = 0;
  readonly linkLength = new Uint8Array(PLACES);
  readonly packetLength = new Uint8Array(PLACES);
  readonly indev = new Uint32Array(PLACES);
  readonly indevType = new Uint16Array(PLACES);
  readonly outdev = new Uint32Array(PLACES);
  readonly mark = new Uint32Array(PLACES);
  readonly connection = new Uint32Array(PLACES);
  readonly tableLength = new Uint8Array(PLACES);
  readonly chainLength = new Uint8Array(PLACES);
  readonly handleHigh = new Uint32Array(PLACES);
  readonly handleLow = new Uint32Array(PLACES);
  /** Packets of which the kernel told no verdict. */
  undecided = 0;

  constructor(memory: Memory) {
    this.#bytes = memory.bytes;
    this.#start = memory.reserve(PLACES * PLACE);
  }

  linkAt = (place: number): number => this.#start + place * PLACE;
  packetAt = (place: number): number => this.linkAt(place) + PACKET;
  tableAt = (place: number): number => this.linkAt(place) + TABLE;
  chainAt = (place: number): number => this.linkAt(place) + CHAIN;

  /** The place of a packet that awaits its verdict; -1 when we know of none. */
  find(id: number): number {
    for (let place = 0; place < this.#end; place++)
      if (this.#open[place] === 1 && this.#ids[place] === id) return place;
    return -1;
  }

  /** How many await their verdict, at most. */
  get waiting(): number {
    return this.#end;
  }

  /** When the packet in this place was begun, in ms since 1970. */
  since(place: number): number {
    return this.#since[place]!;
  }

  /** Whether one has waited since this time, in ms since 1970. */
  waitSince(time: number): boolean {
    for (let place = 0; place < this.#end; place++)
      if (this.#open[place] === 1 && this.#since[place]! <= time) return true;
    return false;
  }

  /** Hands each that has waited since this time to `judge`; those that it does not `end` are undecided. */
  overdue(time: number, judge: (place: number, since: number) => void): void {
    for (let place = this.#end - 1; place >= 0; place--) {
      if (this.#open[place] === 0 || this.#since[place]! > time) continue;
      judge(place, this.#since[place]!);
      if (this.#open[place] === 1) this.#giveUp(place);
    }
  }

  /** Keeps a packet by the message that shows its headers; `now` is in ms since 1970. */
  begin(trace: Trace, now: number): void {
    const place = this.#take(trace.id);
    this.#open[place] = 1;
    this.#ids[place] = trace.id;
    this.#since[place] = now;
    this.linkLength[place] = this.#copy(trace.linkOffset, trace.linkLength, this.linkAt(place), LINK);
    const at = this.packetAt(place);
    const length = this.#copy(trace.networkOffset, trace.networkLength, at, NETWORK);
    this.packetLength[place] = this.#isWhole(at, length)
      ? length + this.#copy(trace.transportOffset, trace.transportLength, at + length, TRANSPORT)
      : length;
    this.indev[place] = trace.indev;
    this.indevType[place] = trace.indevType;
    this.outdev[place] = trace.outdev;
    this.mark[place] = trace.mark;
    this.connection[place] = trace.connection;
    this.chainLength[place] = 0;
  }

  /** Notes who has spoken of a packet: the last word counts. */
  by(place: number, trace: Trace): void {
    this.tableLength[place] = this.#copy(trace.tableOffset, trace.tableLength, this.tableAt(place), LONGEST_NAME);
    this.chainLength[place] = this.#copy(trace.chainOffset, trace.chainLength, this.chainAt(place), LONGEST_NAME);
    this.handleHigh[place] = trace.handleHigh;
    this.handleLow[place] = trace.handleLow;
  }

  /** Its verdict is known. */
  end(place: number): void {
    this.#open[place] = 0;
    while (this.#end > 0 && this.#open[this.#end - 1] === 0) this.#end--;
  }

  /** Goes on with the packets of another one, who gets no more verdicts. */
  takeOver(other: JudgedPackets): void {
    this.#bytes.set(other.#bytes.subarray(other.#start, other.#start + PLACES * PLACE), this.#start);
    this.#ids.set(other.#ids);
    this.#open.set(other.#open);
    this.#since.set(other.#since);
    this.#end = other.#end;
    for (const name of NUMBERS) this[name].set(other[name]);
  }

  /** No verdict comes any more. */
  close(): void {
    for (let place = this.#end - 1; place >= 0; place--) if (this.#open[place] === 1) this.#giveUp(place);
  }

  #giveUp(place: number): void {
    this.undecided++;
    this.end(place);
  }

  /** A place for this one; the kernel uses numbers again. */
  #take(id: number): number {
    const same = this.find(id);
    if (same >= 0) {
      this.undecided++;
      return same;
    }
    for (let place = 0; place < this.#end; place++) if (this.#open[place] === 0) return place;
    if (this.#end < PLACES) return this.#end++;
    this.undecided++;
    this.#next = (this.#next + 1) % PLACES;
    return this.#next;
  }

  #copy(from: number, length: number, to: number, most: number): number {
    const size = length < most ? length : most;
    for (let i = 0; i < size; i++) this.#bytes[to + i] = this.#bytes[from + i]!;
    return size;
  }

  /** Whether the network header is there to its end, so that what comes behind it may follow. */
  #isWhole(at: number, length: number): boolean {
    const first = this.#bytes[at]!;
    if (length >= IPV4_HEADER && first >> 4 === 4) return (first & 15) * 4 === length;
    return length === IPV6_HEADER && first >> 4 === 6 && !isExtension(this.#bytes[at + 6]!);
  }
}

/** Whether another header of IPv6 stands before the transport's: a trace does not have room for it. */
const isExtension = (next: number): boolean =>
  next === IPPROTO_HOPOPTS || next === IPPROTO_ROUTING || next === IPPROTO_DSTOPTS || next === IPPROTO_AH;
