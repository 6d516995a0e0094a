import { IPV4_HEADER, IPV6_HEADER } from '../wire/ip.ts';

/** What of a packet no rule changes on its way: of the network header, and so much behind it (ports, TCP's sequence number). */
const TRANSPORT = 8;
const LONGEST = 1 + 32 + TRANSPORT;
const NO_MATCH = -1;

/** Packets by what makes each the one it is, and what is known of those that are held, by their places. */
export class JoinedPackets {
  readonly #bytes: Uint8Array;
  readonly #places: number;
  readonly #longestPrefix: number;
  /** The packet that is looked at. */
  readonly #wanted = new Uint8Array(LONGEST);
  #length = 0;
  #keys: Uint8Array | undefined;
  #prefixes: Uint8Array | undefined;
  readonly #keyLength: Uint8Array;
  readonly #prefixLength: Uint8Array;
  /** Which came first. */
  readonly #order: Float64Array;
  #next = 0;

  /** `bytes` is where packets and prefixes are; more of a prefix than the longest is cut. */
  constructor(bytes: Uint8Array, places: number, longestPrefix: number) {
    this.#bytes = bytes;
    this.#places = places;
    this.#longestPrefix = longestPrefix;
    this.#keyLength = new Uint8Array(places);
    this.#prefixLength = new Uint8Array(places);
    this.#order = new Float64Array(places);
  }

  /** Looks at a packet; false when there is too little of it to know it again. */
  see(at: number, length: number): boolean {
    const bytes = this.#bytes;
    const version = length > 0 ? bytes[at]! >> 4 : 0;
    this.#length = 0;
    if (version === 4 && length >= IPV4_HEADER) {
      const header = (bytes[at]! & 15) * 4;
      this.#add(at + 4, 2); // identification
      this.#add(at + 9, 1);
      this.#add(at + 12, 8);
      return this.#transport(at + header, length - header);
    }
    if (version !== 6 || length < IPV6_HEADER) return false;
    this.#add(at + 6, 1);
    this.#add(at + 8, 32);
    return this.#transport(at + IPV6_HEADER, length - IPV6_HEADER);
  }

  /** The packet that was seen last is held in this place now. */
  keep(place: number): void {
    this.#keys ??= new Uint8Array(this.#places * LONGEST);
    for (let i = 0; i < this.#length; i++) this.#keys[place * LONGEST + i] = this.#wanted[i]!;
    this.#keyLength[place] = this.#length;
    this.#prefixLength[place] = 0;
    this.#order[place] = this.#next++;
  }

  /** The place of the packet that was seen last; of several that are the same, the latest. -1 when it is in none. */
  find(end: number): number {
    let found = NO_MATCH;
    for (let place = 0; place < end; place++)
      if (this.#isWanted(place) && (found < 0 || this.#order[place]! > this.#order[found]!)) found = place;
    return found;
  }

  /** Nothing is held in this place any more. */
  forget(place: number): void {
    this.#keyLength[place] = 0;
  }

  /** Notes the prefix of a rule that logged the packet: the last one counts. */
  note(place: number, at: number, length: number): void {
    const size = length < this.#longestPrefix ? length : this.#longestPrefix;
    const to = place * this.#longestPrefix;
    this.#prefixes ??= new Uint8Array(this.#places * this.#longestPrefix);
    for (let i = 0; i < size; i++) this.#prefixes[to + i] = this.#bytes[at + i]!;
    this.#prefixLength[place] = size;
  }

  /** Copies the prefix that was noted; returns its length. */
  copyPrefix(place: number, to: number): number {
    const length = this.#prefixLength[place]!;
    const from = place * this.#longestPrefix;
    for (let i = 0; i < length; i++) this.#bytes[to + i] = this.#prefixes![from + i]!;
    return length;
  }

  #transport(at: number, length: number): boolean {
    if (length < TRANSPORT) return false;
    this.#add(at, TRANSPORT);
    return true;
  }

  #add(at: number, length: number): void {
    for (let i = 0; i < length; i++) this.#wanted[this.#length++] = this.#bytes[at + i]!;
  }

  #isWanted(place: number): boolean {
    if (this.#keyLength[place] !== this.#length) return false;
    // The last bytes differ most.
    for (let i = this.#length - 1, at = place * LONGEST; i >= 0; i--)
      if (this.#keys![at + i] !== this.#wanted[i]) return false;
    return true;
  }
}
