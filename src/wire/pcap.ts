import { HOST_LITTLE_ENDIAN } from './netlink.ts';

/** Files of captured packets: pcap (draft-ietf-opsawg-pcap), version 2.4. */

/** Bytes of the file's header and of that before each packet. */
export const PCAP_HEADER = 24;
export const PCAP_RECORD_HEADER = 16;
/** First word of a file whose times have microseconds, in the byte order of who wrote it; and of one with nanoseconds. */
export const PCAP_MAGIC = 0xa1b2c3d4;
export const PCAP_MAGIC_NANOSECONDS = 0xa1b23c4d;

// Link types (LINKTYPE_* of tcpdump.org/linktypes.html).
export const LINKTYPE_ETHERNET = 1;
export const LINKTYPE_RAW = 101;
export const LINKTYPE_LINUX_SLL = 113;
export const LINKTYPE_IPV4 = 228;
export const LINKTYPE_IPV6 = 229;
export const LINKTYPE_NFLOG = 239;
export const LINKTYPE_LINUX_SLL2 = 276;

/** The header of a file in the machine's byte order; `thisZone` is in seconds and 0 wherever times are UTC. */
export function pcapHeader(linkType: number, snapLength: number, thisZone: number): Uint8Array {
  const bytes = new Uint8Array(PCAP_HEADER);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, PCAP_MAGIC, HOST_LITTLE_ENDIAN);
  view.setUint16(4, 2, HOST_LITTLE_ENDIAN);
  view.setUint16(6, 4, HOST_LITTLE_ENDIAN);
  view.setInt32(8, thisZone, HOST_LITTLE_ENDIAN);
  view.setUint32(16, snapLength, HOST_LITTLE_ENDIAN);
  view.setUint32(20, linkType, HOST_LITTLE_ENDIAN);
  return bytes;
}

// A constant of this module's own, see netlink.ts on speed.
const LITTLE = HOST_LITTLE_ENDIAN;

/** Writes the header of a packet of which `captured` bytes follow, and returns the offset behind it. Numbers as `| 0`. */
export function writePcapRecord(
  view: DataView,
  at: number,
  seconds: number,
  microseconds: number,
  captured: number,
  length: number,
): number {
  view.setInt32(at, seconds, LITTLE);
  view.setInt32(at + 4, microseconds, LITTLE);
  view.setInt32(at + 8, captured, LITTLE);
  view.setInt32(at + 12, length, LITTLE);
  return at + PCAP_RECORD_HEADER;
}

/** Offset behind the packet whose header writePcapRecord has written at `at`. */
export function pcapRecordEnd(bytes: Uint8Array, at: number): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset + at);
  return at + PCAP_RECORD_HEADER + view.getUint32(8, HOST_LITTLE_ENDIAN);
}
