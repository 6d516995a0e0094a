import { subsecondNanoseconds, wholeSeconds } from './nanoseconds.ts';
import { PCAP_HEADER, PCAP_MAGIC, PCAP_MAGIC_NANOSECONDS, PCAP_RECORD_HEADER } from './pcap.ts';

/** Files of captured packets, read piece by piece: pcap (draft-ietf-opsawg-pcap) and pcapng (draft-ietf-opsawg-pcapng). */

// Blocks of pcapng.
const SECTION_HEADER = 0x0a0d0d0a;
const INTERFACE_DESCRIPTION = 1;
const OBSOLETE_PACKET = 2;
const SIMPLE_PACKET = 3;
const ENHANCED_PACKET = 6;
const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
// Options of an interface.
const END_OF_OPTIONS = 0;
const IF_TSRESOL = 9;
const IF_TSOFFSET = 14;
/** Ticks in a second unless an interface says otherwise. */
const MICROSECONDS = 1_000_000;

/** More bytes are needed. */
export const MORE = 0;
/** The file is none of these, or broken here. */
export const BROKEN = -1;

/** One packet. The offset is into the view that was read. */
export class CapturedPacket {
  linkType = 0;
  seconds = 0;
  microseconds = 0;
  offset = 0;
  length = 0;
}

interface Interface {
  readonly linkType: number;
  readonly snapLength: number;
  readonly ticks: number;
  /** Seconds to add. */
  readonly offset: number;
}

/** Walks through a file from its first byte. */
export class CaptureFile {
  readonly packet = new CapturedPacket();
  /** Byte order of the file (of the section, in pcapng). */
  littleEndian = true;
  #next: (view: DataView, at: number, end: number) => number = () => BROKEN;
  #begun = false;
  #nanoseconds = false;
  #linkType = 0;
  #interfaces: Interface[] = [];
  #found = false;

  /** Reads what lies at `at`: returns the offset behind it, MORE or BROKEN. `hasPacket` then says whether it was a packet. */
  next(view: DataView, at: number, end: number): number {
    this.#found = false;
    if (!this.#begun) return this.#begin(view, at, end);
    return this.#next(view, at, end);
  }

  /** Whether what was read last is a packet, in `packet`. */
  get hasPacket(): boolean {
    return this.#found;
  }

  #begin(view: DataView, at: number, end: number): number {
    if (end - at < 4) return MORE;
    if (view.getUint32(at) === SECTION_HEADER) {
      this.#begun = true;
      this.#next = this.#nextBlock;
      return this.#nextBlock(view, at, end);
    }
    for (const little of [true, false]) {
      const magic = view.getUint32(at, little);
      if (magic !== PCAP_MAGIC && magic !== PCAP_MAGIC_NANOSECONDS) continue;
      if (end - at < PCAP_HEADER) return MORE;
      this.#begun = true;
      this.littleEndian = little;
      this.#nanoseconds = magic === PCAP_MAGIC_NANOSECONDS;
      this.#linkType = view.getUint32(at + 20, little) & 0xffff; // above: length of the frame check sequence
      this.#next = this.#nextRecord;
      return at + PCAP_HEADER;
    }
    return BROKEN;
  }

  readonly #nextRecord = (view: DataView, at: number, end: number): number => {
    if (end - at < PCAP_RECORD_HEADER) return MORE;
    const little = this.littleEndian;
    const length = view.getUint32(at + 8, little);
    const from = at + PCAP_RECORD_HEADER;
    if (length > end - from) return MORE;
    const { packet } = this;
    const fraction = view.getUint32(at + 4, little);
    packet.linkType = this.#linkType;
    packet.seconds = view.getUint32(at, little);
    packet.microseconds = this.#nanoseconds ? Math.floor(fraction / 1000) : fraction;
    packet.offset = from;
    packet.length = length;
    this.#found = true;
    return from + length;
  };

  readonly #nextBlock = (view: DataView, at: number, end: number): number => {
    if (end - at < 12) return MORE;
    const section = view.getUint32(at) === SECTION_HEADER;
    if (section) {
      this.littleEndian = view.getUint32(at + 8, true) === BYTE_ORDER_MAGIC;
      if (view.getUint32(at + 8, this.littleEndian) !== BYTE_ORDER_MAGIC) return BROKEN;
      this.#interfaces = [];
    }
    const little = this.littleEndian;
    const length = view.getUint32(at + 4, little);
    if (length < 12 || length % 4 !== 0) return BROKEN;
    if (length > end - at) return MORE;
    const to = at + length - 4;
    if (view.getUint32(to, little) !== length) return BROKEN;
    if (!section && !this.#readBlock(view, view.getUint32(at, little), at + 8, to)) return BROKEN;
    return at + length;
  };

  /** The body of a block; kinds that are not known here are skipped. */
  #readBlock(view: DataView, type: number, from: number, to: number): boolean {
    const little = this.littleEndian;
    switch (type) {
      case INTERFACE_DESCRIPTION:
        if (to - from < 8) return false;
        this.#interfaces.push(readInterface(view, from, to, little));
        return true;
      case ENHANCED_PACKET:
      case OBSOLETE_PACKET: {
        if (to - from < 20) return false;
        const at =
          this.#interfaces[type === ENHANCED_PACKET ? view.getUint32(from, little) : view.getUint16(from, little)];
        if (at === undefined) return false;
        this.#setTime(at, view.getUint32(from + 4, little), view.getUint32(from + 8, little));
        return this.#setPacket(at, from + 20, view.getUint32(from + 12, little), to);
      }
      case SIMPLE_PACKET: {
        const at = this.#interfaces[0];
        if (to - from < 4 || at === undefined) return false;
        const length = view.getUint32(from, little);
        // It has no time: that of the packet before is the best guess.
        return this.#setPacket(at, from + 4, Math.min(length, at.snapLength || length, to - from - 4), to);
      }
    }
    return true;
  }

  #setPacket({ linkType }: Interface, from: number, length: number, to: number): boolean {
    if (length > to - from) return false;
    this.packet.linkType = linkType;
    this.packet.offset = from;
    this.packet.length = length;
    this.#found = true;
    return true;
  }

  #setTime({ ticks, offset }: Interface, high: number, low: number): void {
    const { packet } = this;
    if (ticks === 1e9) {
      packet.seconds = wholeSeconds(high, low) + offset;
      packet.microseconds = Math.floor(subsecondNanoseconds(high, low) / 1000);
      return;
    }
    // Exact to the microsecond up to 2^53 ticks: the year 2255 for microseconds.
    const time = high * 0x100000000 + low;
    const seconds = Math.floor(time / ticks);
    packet.seconds = seconds + offset;
    packet.microseconds = Math.floor(((time - seconds * ticks) * MICROSECONDS) / ticks);
  }
}

function readInterface(view: DataView, from: number, to: number, little: boolean): Interface {
  let ticks = MICROSECONDS;
  let offset = 0;
  for (let at = from + 8; to - at >= 4; ) {
    const code = view.getUint16(at, little);
    const length = view.getUint16(at + 2, little);
    if (code === END_OF_OPTIONS || length > to - at - 4) break;
    if (code === IF_TSRESOL && length >= 1) {
      const resolution = view.getUint8(at + 4);
      ticks = resolution & 0x80 ? 2 ** (resolution & 0x7f) : 10 ** resolution;
    }
    if (code === IF_TSOFFSET && length >= 8) offset = Number(view.getBigInt64(at + 4, little));
    at += 4 + ((length + 3) & ~3);
  }
  return { linkType: view.getUint16(from, little), snapLength: view.getUint32(from + 4, little), ticks, offset };
}
