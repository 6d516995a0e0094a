import { HOST_LITTLE_ENDIAN } from './netlink.ts';

/**
 * Frames that programs send to ulogd's UNIXSOCK: marker be32, length be16 of what follows it, version and flags u32,
 * length be16 of the packet, the packet padded to 8 bytes; then options, each id be32, length be32, value padded to 8.
 */

const MARKER = 0x41c90fd4;
/** Bytes up to the packet. */
export const UNIXSOCK_HEADER = 12;
/** The longest frame, marker included: its length is a 16-bit number. */
export const UNIXSOCK_LONGEST = 0x10000 + 6;

// Options.
const OPT_PREFIX = 1;
const OPT_OOB_IN = 2;
const OPT_OOB_OUT = 3;
const OPT_OOB_TIME_SEC = 4;
const OPT_USER = 200;
const OPT_USERID = 201;
const OPT_OSNAME = 202;
const OPT_OSREL = 203;
const OPT_OSVERS = 204;
const OPT_APPNAME = 205;
const OPT_STATE = 206;

/** Options that are text, by the index that they have in UnixsockFrame. */
export const UNIXSOCK_TEXTS = [
  OPT_PREFIX,
  OPT_OOB_IN,
  OPT_OOB_OUT,
  OPT_USER,
  OPT_OSNAME,
  OPT_OSREL,
  OPT_OSVERS,
  OPT_APPNAME,
] as const;

/** A frame, decoded. Offsets are into the view that was decoded. */
export class UnixsockFrame {
  packetOffset = 0;
  packetLength = 0;
  /** By the index of UNIXSOCK_TEXTS; a length of -1 when the option is not there. */
  readonly textOffsets = new Int32Array(UNIXSOCK_TEXTS.length);
  readonly textLengths = new Int32Array(UNIXSOCK_TEXTS.length);
  /** -1 when the option is not there. */
  seconds = -1;
  userId = -1;
  state = -1;
}

/** Length of the frame at `at`; 0 when its header has not come yet, -1 when no frame begins here. */
export function unixsockLength(view: DataView, at: number, end: number): number {
  if (end - at < 4) return 0;
  if (view.getUint32(at) !== MARKER) return -1;
  return end - at < 6 ? 0 : 4 + view.getUint16(at + 4);
}

/** Decodes the frame between `start` and `end`; false when a length in it leads beyond its end. */
export function decodeUnixsock(view: DataView, start: number, end: number, into: UnixsockFrame): boolean {
  if (end - start < UNIXSOCK_HEADER) return false;
  into.textLengths.fill(-1);
  into.seconds = into.userId = into.state = -1;
  into.packetOffset = start + UNIXSOCK_HEADER;
  into.packetLength = view.getUint16(start + 10);
  if (into.packetLength > end - into.packetOffset) return false;
  // The last padding may be left out.
  for (let at = into.packetOffset + pad(into.packetLength); at < end; ) {
    if (end - at < 8) return false;
    const id = view.getUint32(at);
    const length = view.getUint32(at + 4);
    const from = at + 8;
    if (length > end - from) return false;
    readOption(view, id, from, length, into);
    at = from + pad(length);
  }
  return true;
}

function readOption(view: DataView, id: number, from: number, length: number, into: UnixsockFrame): void {
  switch (id) {
    case OPT_OOB_TIME_SEC:
      if (length >= 4) into.seconds = view.getUint32(from, HOST_LITTLE_ENDIAN);
      return;
    case OPT_USERID:
      if (length >= 4) into.userId = view.getUint32(from, HOST_LITTLE_ENDIAN);
      return;
    case OPT_STATE:
      if (length >= 1) into.state = view.getUint8(from);
      return;
  }
  const index = (UNIXSOCK_TEXTS as readonly number[]).indexOf(id);
  if (index < 0) return;
  let size = 0;
  while (size < length && view.getUint8(from + size) !== 0) size++;
  into.textOffsets[index] = from;
  into.textLengths[index] = size;
}

const pad = (length: number): number => Math.ceil(length / 8) * 8;
