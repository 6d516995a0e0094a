import { crc32 } from 'node:zlib';

/** Bytes before the first record of a segment: magic, version, first event, time, CRC-32. */
export const SEGMENT_HEADER = 40;
/** Bytes before the payload of a record: mark, length, events, CRC-32 of the payload, first event, time, CRC-32. */
export const RECORD_HEADER = 36;
/** Longest payload: a length beyond is damage, and needs no memory. */
export const MAX_RECORD = 16 << 20;
const VERSION = 1;
const MAGIC = Buffer.from('FLOWLOGD SPOOL\r\n'); // the line end shows what a text-mode copy has spoilt
/** No byte of it occurs in UTF-8 text. */
export const RECORD_MARK = Buffer.from([0xf8, 0xf9, 0xfa, 0xfb]);

/** What a segment says of itself. Numbers are little-endian; those that outgrow 32 bits are doubles, exact up to 2⁵³. */
export interface SegmentHeader {
  /** Number of the first event in it, counted over the life of the spool. */
  readonly firstEvent: number;
  /** Milliseconds since 1970. */
  readonly time: number;
}

/** What a record says of its payload. */
export interface RecordHeader {
  readonly length: number;
  readonly events: number;
  readonly firstEvent: number;
  readonly time: number;
  readonly payloadCrc: number;
}

/**
 * Seed of a segment's checksums. With it, a record of another segment is no record of this one: neither in a block that
 * the file system mixed up nor in a payload that someone made to look like one.
 */
export const seedOf = (segment: number): number => crc32(`flowlogd spool segment ${segment}`);

/** File name of a segment; the order of names is that of numbers. */
export const segmentName = (segment: number): string => `${String(segment).padStart(12, '0')}.spool`;

/** Number of the segment in a file of this name. */
export function segmentNumber(name: string): number | undefined {
  return /^\d{12}\.spool$/.test(name) ? Number.parseInt(name, 10) : undefined;
}

export function encodeSegmentHeader(segment: number, { firstEvent, time }: SegmentHeader): Buffer {
  const bytes = Buffer.alloc(SEGMENT_HEADER);
  MAGIC.copy(bytes);
  bytes.writeUInt32LE(VERSION, 16);
  bytes.writeDoubleLE(firstEvent, 20);
  bytes.writeDoubleLE(time, 28);
  bytes.writeUInt32LE(crc32(bytes.subarray(0, 36), seedOf(segment)), 36);
  return bytes;
}

/** The header of a segment; undefined when it is damaged, or `version` when another flowlogd wrote it. */
export function decodeSegmentHeader(segment: number, bytes: Buffer): SegmentHeader | 'version' | undefined {
  if (bytes.length < SEGMENT_HEADER) return undefined;
  if (bytes.readUInt32LE(36) !== crc32(bytes.subarray(0, 36), seedOf(segment))) return undefined;
  if (bytes.readUInt32LE(16) !== VERSION) return 'version';
  return { firstEvent: bytes.readDoubleLE(20), time: bytes.readDoubleLE(28) };
}

/** Writes the header of a record into the first bytes of `to`. */
export function encodeRecordHeader(to: Buffer, seed: number, header: Omit<RecordHeader, 'payloadCrc'>, crc: number) {
  RECORD_MARK.copy(to);
  to.writeUInt32LE(header.length, 4);
  to.writeUInt32LE(header.events, 8);
  to.writeUInt32LE(crc, 12);
  to.writeDoubleLE(header.firstEvent, 16);
  to.writeDoubleLE(header.time, 24);
  to.writeUInt32LE(crc32(to.subarray(0, 32), seed), 32);
}

/** The header of a record at `at`; undefined when none is there or it is damaged. */
export function decodeRecordHeader(bytes: Buffer, at: number, seed: number): RecordHeader | undefined {
  if (bytes.compare(RECORD_MARK, 0, 4, at, at + 4) !== 0) return undefined;
  if (bytes.readUInt32LE(at + 32) !== crc32(bytes.subarray(at, at + 32), seed)) return undefined;
  const length = bytes.readUInt32LE(at + 4);
  if (length > MAX_RECORD) return undefined;
  return {
    length,
    events: bytes.readUInt32LE(at + 8),
    payloadCrc: bytes.readUInt32LE(at + 12),
    firstEvent: bytes.readDoubleLE(at + 16),
    time: bytes.readDoubleLE(at + 24),
  };
}

/** Checksum of a payload. */
export const payloadCrc = (payload: Uint8Array, seed: number): number => crc32(payload, seed);
