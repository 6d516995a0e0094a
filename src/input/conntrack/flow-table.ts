import type { ConntrackEntry } from '../../wire/conntrack.ts';
import type { Counters } from '../../wire/conntrack-parts.ts';
import type { Tuple } from '../../wire/conntrack-tuple.ts';
import {
  CTA_MARK,
  CTA_PROTO_ICMP_TYPE,
  CTA_PROTO_ICMPV6_TYPE,
  CTA_PROTO_SRC_PORT,
  CTA_TUPLE_ZONE,
  CTA_ZONE,
} from '../../wire/ctnetlink.ts';
import type { Moment } from './flow-times.ts';

/** Entries in one chunk: the table grows by chunks and is never copied. Small ones, because there may be a table for each namespace. */
const CHUNK_BITS = 7;
const CHUNK = 1 << CHUNK_BITS;
const CHUNK_MASK = CHUNK - 1;

// V8 folds constants of this module only.
const HAS_MARK = 1 << CTA_MARK;
const HAS_ZONE = 1 << CTA_ZONE;
const HAS_PORT = 1 << CTA_PROTO_SRC_PORT;
const HAS_ICMP = (1 << CTA_PROTO_ICMP_TYPE) | (1 << CTA_PROTO_ICMPV6_TYPE);

// An entry's words. The first eleven of the tuple are its key: protocol, ports or ICMP, zone, addresses.
const NEXT = 0;
const HASH = 1;
const GENERATION = 2;
const ID = 3;
const MARK = 4;
const START = 5; // seconds, microseconds; 0 when not known
const COUNTERS = 7; // packets and bytes of both directions, high and low
const PRESENT = 15; // proto attributes of orig
const PROTO_REPLY = 16; // ports of reply
const REPLY = 17; // addresses of reply
const KEY = 25; // family, protocol, address length; ports or ICMP; zone and ICMP id; addresses of orig
const WORDS = KEY + 11;
const KEY_WORDS = 11;

/** Bytes that `restore` needs for addresses. */
export const ADDRESS_BYTES = 64;

/**
 * The connections that are known to be alive: a hash table by the original tuple and zone, in typed arrays outside the
 * garbage collector's reach, 144 bytes an entry. It never holds more than it was told to.
 */
export class FlowTable {
  readonly #limit: number;
  readonly #chunks: Uint32Array[] = [];
  /** Index + 1 of the first entry of each bucket. */
  #buckets = new Int32Array(CHUNK);
  #free = -1;
  #used = 0;
  /** Connections in the table. */
  size = 0;
  /** Connections that found it full. */
  refused = 0;
  /** A dump has shown it all connections there were. */
  filled = false;
  /** Increased by every dump: entries that a dump did not show are older than it. */
  generation = 1;
  readonly #key = new Uint32Array(KEY_WORDS);

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** It has had all connections there are: what comes later also began later. */
  get isComplete(): boolean {
    return this.filled && this.refused === 0;
  }

  /** Index of the entry of this connection, or -1. */
  find(view: DataView, entry: ConntrackEntry): number {
    return this.#find(this.#keyOf(view, entry));
  }

  /**
   * Adds the connection, or brings it up to date, and returns its index; -1 when the table is full. `start` counts for a
   * connection that was not there, or is another one of the same tuple.
   */
  put(view: DataView, entry: ConntrackEntry, start: Moment): number {
    const hash = this.#keyOf(view, entry);
    let index = this.#find(hash);
    const found = index >= 0;
    if (!found) {
      index = this.#allocate(hash);
      if (index < 0) return -1;
    }
    const words = this.#chunks[index >>> CHUNK_BITS]!;
    const at = (index & CHUNK_MASK) * WORDS;
    // Loops, where a call of set or fill would allocate and cost more than these few words.
    if (!found) for (let i = 0; i < KEY_WORDS; i++) words[at + KEY + i] = this.#key[i]!;
    // With another id it is another connection: the end of the one before, with the same tuple, was lost.
    const known = found && words[at + ID] === entry.id;
    if (!known) {
      words[at + START] = start.known ? start.seconds : 0;
      words[at + START + 1] = start.microseconds;
    }
    words[at + ID] = entry.id;
    words[at + GENERATION] = this.generation;
    if ((entry.present & HAS_MARK) !== 0) words[at + MARK] = entry.mark;
    else if (!known) words[at + MARK] = 0;
    words[at + PRESENT] = entry.orig.protoPresent;
    words[at + PROTO_REPLY] = portsOf(entry.reply);
    this.#storeAddresses(view, entry.reply, words, at + REPLY);
    this.#storeCounters(entry, words, at + COUNTERS, known);
    return index;
  }

  /** The kernel's number for the connection. */
  idOf(index: number): number {
    return this.#chunks[index >>> CHUNK_BITS]![(index & CHUNK_MASK) * WORDS + ID]!;
  }

  /** The connection began then, if nothing is known yet: a dump may show it before the event of its begin is read. */
  began(index: number, start: Moment): void {
    const words = this.#chunks[index >>> CHUNK_BITS]!;
    const at = (index & CHUNK_MASK) * WORDS + START;
    if (words[at] !== 0) return;
    words[at] = start.seconds;
    words[at + 1] = start.microseconds;
  }

  /** Gives the time at which the connection began, if that is known. */
  startOf(index: number, start: Moment): void {
    const words = this.#chunks[index >>> CHUNK_BITS]!;
    const at = (index & CHUNK_MASK) * WORDS;
    start.set(words[at + START]!, words[at + START + 1]!);
    start.known = start.seconds !== 0;
  }

  remove(index: number): void {
    const words = this.#chunks[index >>> CHUNK_BITS]!;
    const at = (index & CHUNK_MASK) * WORDS;
    const bucket = words[at + HASH]! & (this.#buckets.length - 1);
    let before = -1;
    for (let i = this.#buckets[bucket]! - 1; i !== index; i = this.#next(i)) before = i;
    if (before < 0) this.#buckets[bucket] = words[at + NEXT]!;
    else this.#chunks[before >>> CHUNK_BITS]![(before & CHUNK_MASK) * WORDS + NEXT] = words[at + NEXT]!;
    words[at + GENERATION] = 0; // free
    words[at + NEXT] = this.#free + 1;
    this.#free = index;
    this.size--;
  }

  /** Calls back for every entry that the last dump did not show; it may be removed there. */
  forEachOlder(visit: (index: number) => void): void {
    for (let index = 0; index < this.#used; index++) {
      const seen = this.#chunks[index >>> CHUNK_BITS]![(index & CHUNK_MASK) * WORDS + GENERATION]!;
      if (seen !== 0 && seen !== this.generation) visit(index);
    }
  }

  /** Makes `entry` what is known of a connection; its addresses are put into the ADDRESS_BYTES of memory from `room` on. */
  restore(index: number, entry: ConntrackEntry, view: DataView, room: number): void {
    const words = this.#chunks[index >>> CHUNK_BITS]!;
    const at = (index & CHUNK_MASK) * WORDS;
    const first = words[at + KEY]!;
    const second = words[at + KEY + 1]!;
    const third = words[at + KEY + 2]!;
    entry.family = first >>> 24;
    entry.present = HAS_MARK;
    entry.id = words[at + ID]!;
    entry.mark = words[at + MARK]!;
    const { orig, reply } = entry;
    orig.protocol = reply.protocol = (first >>> 16) & 0xff;
    orig.protoPresent = reply.protoPresent = words[at + PRESENT]!;
    orig.sourcePort = second >>> 16;
    orig.destinationPort = second & 0xffff;
    orig.icmpType = (second >>> 8) & 0xff;
    orig.icmpCode = second & 0xff;
    orig.icmpId = third & 0xffff;
    reply.sourcePort = words[at + PROTO_REPLY]! >>> 16;
    reply.destinationPort = words[at + PROTO_REPLY]! & 0xffff;
    const length = first & 0xff;
    for (let i = 0; i < 8; i++) {
      view.setUint32(room + i * 4, words[at + KEY + 3 + i]!);
      view.setUint32(room + 32 + i * 4, words[at + REPLY + i]!);
    }
    pointAt(orig, room, length);
    pointAt(reply, room + 32, length);
    loadCounters(entry.origCounters, words, at + COUNTERS);
    loadCounters(entry.replyCounters, words, at + COUNTERS + 4);
  }

  /** Fills #key with the connection's key and returns its hash, signed: V8 would allocate a number beyond 31 bits. */
  #keyOf(view: DataView, entry: ConntrackEntry): number {
    const key = this.#key;
    const { orig } = entry;
    const icmp = (orig.protoPresent & HAS_ICMP) !== 0;
    key[0] = (entry.family << 24) | (orig.protocol << 16) | orig.sourceLength;
    key[1] = icmp ? (orig.icmpType << 8) | orig.icmpCode : portsOf(orig);
    key[2] = (zoneOf(entry) << 16) | (icmp ? orig.icmpId : 0);
    this.#storeAddresses(view, orig, key, 3);
    let hash = 0;
    for (let i = 0; i < KEY_WORDS; i++) {
      hash = Math.imul(hash ^ key[i]!, 0x9e3779b1);
      hash ^= hash >>> 15;
    }
    return hash;
  }

  #find(hash: number): number {
    for (let i = this.#buckets[hash & (this.#buckets.length - 1)]! - 1; i >= 0; i = this.#next(i)) {
      const words = this.#chunks[i >>> CHUNK_BITS]!;
      const at = (i & CHUNK_MASK) * WORDS;
      if ((words[at + HASH]! | 0) === hash && this.#sameKey(words, at + KEY)) return i;
    }
    return -1;
  }

  #sameKey(words: Uint32Array, at: number): boolean {
    for (let i = 0; i < KEY_WORDS; i++) if (words[at + i] !== this.#key[i]) return false;
    return true;
  }

  #next(index: number): number {
    return this.#chunks[index >>> CHUNK_BITS]![(index & CHUNK_MASK) * WORDS + NEXT]! - 1;
  }

  #allocate(hash: number): number {
    if (this.size >= this.#limit) {
      this.refused++;
      return -1;
    }
    let index = this.#free;
    if (index >= 0) this.#free = this.#next(index);
    else {
      index = this.#used++;
      if ((index & CHUNK_MASK) === 0) this.#chunks.push(new Uint32Array(CHUNK * WORDS));
    }
    this.size++;
    if (this.size > this.#buckets.length) this.#widen();
    const words = this.#chunks[index >>> CHUNK_BITS]!;
    const at = (index & CHUNK_MASK) * WORDS;
    const bucket = hash & (this.#buckets.length - 1);
    words[at + HASH] = hash;
    words[at + NEXT] = this.#buckets[bucket]!;
    this.#buckets[bucket] = index + 1;
    return index;
  }

  /** Doubles the buckets. The entry being added has no bucket yet, and is recognised by its generation of 0. */
  #widen(): void {
    const buckets = new Int32Array(this.#buckets.length * 2);
    for (let index = 0; index < this.#used; index++) {
      const words = this.#chunks[index >>> CHUNK_BITS]!;
      const at = (index & CHUNK_MASK) * WORDS;
      if (words[at + GENERATION] === 0) continue;
      const bucket = words[at + HASH]! & (buckets.length - 1);
      words[at + NEXT] = buckets[bucket]!;
      buckets[bucket] = index + 1;
    }
    this.#buckets = buckets;
  }

  #storeAddresses(view: DataView, tuple: Tuple, words: Uint32Array, at: number): void {
    const count = tuple.sourceLength >> 2;
    for (let i = 0; i < 4; i++) {
      const there = i < count && tuple.destinationLength === tuple.sourceLength;
      words[at + i] = there ? view.getUint32(tuple.sourceOffset + i * 4) : 0;
      words[at + 4 + i] = there ? view.getUint32(tuple.destinationOffset + i * 4) : 0;
    }
  }

  /** Changes are reported without counters: those of the last dump stay. */
  #storeCounters(
    { origCounters, replyCounters }: ConntrackEntry,
    words: Uint32Array,
    at: number,
    known: boolean,
  ): void {
    if (origCounters.present !== 0) storeCounters(origCounters, words, at);
    else if (!known) clear(words, at);
    if (replyCounters.present !== 0) storeCounters(replyCounters, words, at + 4);
    else if (!known) clear(words, at + 4);
  }
}

/** The zone that sets the original tuple apart: of both directions or of that one alone (nf_ct_zone_id in nf_conntrack_zones.h). */
function zoneOf({ present, zone, orig }: ConntrackEntry): number {
  if ((present & HAS_ZONE) !== 0) return zone;
  return ((orig.present >>> CTA_TUPLE_ZONE) & 1) === 1 ? orig.zone : 0;
}

/** Both ports in one word; 0 for a protocol without. */
function portsOf(tuple: Tuple): number {
  const there = (tuple.protoPresent & HAS_PORT) !== 0;
  return there ? (tuple.sourcePort << 16) | tuple.destinationPort : 0;
}

function storeCounters(counters: Counters, words: Uint32Array, at: number): void {
  words[at] = counters.packetsHigh;
  words[at + 1] = counters.packetsLow;
  words[at + 2] = counters.bytesHigh;
  words[at + 3] = counters.bytesLow;
}

function clear(words: Uint32Array, at: number): void {
  for (let i = 0; i < 4; i++) words[at + i] = 0;
}

function loadCounters(counters: Counters, words: Uint32Array, at: number): void {
  counters.present = 1;
  counters.packetsHigh = words[at]!;
  counters.packetsLow = words[at + 1]!;
  counters.bytesHigh = words[at + 2]!;
  counters.bytesLow = words[at + 3]!;
}

function pointAt(tuple: Tuple, offset: number, length: number): void {
  tuple.sourceOffset = offset;
  tuple.sourceLength = length;
  tuple.destinationOffset = offset + 16;
  tuple.destinationLength = length;
}
