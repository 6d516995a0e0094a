import { readSync } from 'node:fs';
import { HOST_LITTLE_ENDIAN } from '../wire/netlink.ts';
import { PCAP_HEADER, PCAP_RECORD_HEADER } from '../wire/pcap.ts';

/** How to mend a file whose writer died in the middle of a record. */
export interface Mending {
  /** Bytes from the beginning that stay. */
  readonly keep: number;
  /** What comes behind them. */
  readonly append: Uint8Array;
}

/** Says how to mend an open file, `foreign` when it is not one of ours at all, or nothing when it is whole. Throws. */
export type Inspect = (fd: number, size: number) => Mending | 'foreign' | undefined;

const NEWLINE = 0x0a;
/** No line is longer. */
const LONGEST_LINE = 1 << 20;
const CHUNK = 1 << 20;
/** No packet is longer: libpcap takes none that is (MAXIMUM_SNAPLEN). */
const LONGEST_PACKET = 262144;

/** Lines: one that has no end gets it. `close` says what stands for its bytes then. */
export function linesEnd(close?: (torn: Uint8Array) => Uint8Array): Inspect {
  return (fd, size) => {
    const length = Math.min(size, LONGEST_LINE);
    if (readAt(fd, size - 1, 1)[0] === NEWLINE) return undefined;
    if (close === undefined) return { keep: size, append: Uint8Array.of(NEWLINE) };
    const bytes = readAt(fd, size - length, length);
    const torn = bytes.subarray(bytes.lastIndexOf(NEWLINE) + 1);
    return { keep: size - torn.length, append: close(torn) };
  };
}

/** Captured packets behind this header: nobody could read on behind a part of a packet, so it is cut off. */
export function captureEnd(header: Uint8Array): Inspect {
  return (fd, size) => {
    const wanted = viewOf(header);
    const found = readAt(fd, 0, PCAP_HEADER);
    if (found.length < PCAP_HEADER) return isStart(found, header) ? { keep: 0, append: header } : 'foreign';
    const link = 20; // what packets begin with; all else does not keep them from being read together
    if (viewOf(found).getUint32(0) !== wanted.getUint32(0)) return 'foreign';
    if (viewOf(found).getUint32(link) !== wanted.getUint32(link)) return 'foreign';
    for (let at = PCAP_HEADER; at < size; ) {
      const bytes = readAt(fd, at, CHUNK);
      const view = viewOf(bytes);
      let to = 0;
      while (to + PCAP_RECORD_HEADER <= bytes.length) {
        const captured = view.getUint32(to + 8, HOST_LITTLE_ENDIAN);
        if (captured > LONGEST_PACKET) return 'foreign';
        const end = to + PCAP_RECORD_HEADER + captured;
        if (end > bytes.length) break;
        to = end;
      }
      if (to === 0) return { keep: at, append: new Uint8Array() };
      at += to;
    }
    return undefined;
  };
}

const isStart = (part: Uint8Array, whole: Uint8Array): boolean => part.every((byte, i) => byte === whole[i]);
const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);

function readAt(fd: number, position: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  return bytes.subarray(0, readSync(fd, bytes, 0, length, position));
}
