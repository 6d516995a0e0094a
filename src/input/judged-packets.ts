import type { Memory } from '../pipeline/memory.ts';
import { IPPROTO_AH, IPPROTO_DSTOPTS, IPPROTO_HOPOPTS, IPPROTO_ROUTING, IPV4_HEADER, IPV6_HEADER } from '../wire/ip.ts';
import type { Trace } from '../wire/nftrace.ts';

/** Packets whose verdict can be awaited at once: the kernel has one on each processor, and those that NFQUEUE holds. */
const PLACES = 128;
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
 * What is known of packets whose verdict is not: their headers, and who let them pass last. A packet's place is that of its trace's
 * number, so that nothing is looked for; who comes to a place that is taken takes it, and the one before is undecided.
 */
export class JudgedPackets {
  readonly #bytes: Uint8Array;
  readonly #start: number;
  readonly #ids = new Int32Array(PLACES);
  readonly #open = new Uint8Array(PLACES);
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
    const place = id & (PLACES - 1);
    return this.#open[place] === 1 && this.#ids[place] === id ? place : -1;
  }

  /** Keeps a packet by the message that shows its headers. */
  begin(trace: Trace): void {
    const place = trace.id & (PLACES - 1);
    if (this.#open[place] === 1) this.undecided++;
    this.#open[place] = 1;
    this.#ids[place] = trace.id;
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
  }

  /** Goes on with the packets of another one, who gets no more verdicts. */
  takeOver(other: JudgedPackets): void {
    this.#bytes.set(other.#bytes.subarray(other.#start, other.#start + PLACES * PLACE), this.#start);
    this.#ids.set(other.#ids);
    this.#open.set(other.#open);
    for (const name of NUMBERS) this[name].set(other[name]);
  }

  /** No verdict comes any more. */
  close(): void {
    for (let place = 0; place < PLACES; place++) {
      this.undecided += this.#open[place]!;
      this.#open[place] = 0;
    }
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
