/**
 * Netlink messages and attributes (linux/netlink.h), as they lie in a received datagram. Positions are absolute in the
 * view; a length is checked against the enclosing end before anything behind it is read.
 *
 *     datagram: message, message, …     message: header (16 bytes), family header, attribute, attribute, …
 *
 * Speed: V8 folds a constant that a module keeps to itself, but loads one that a module exports whenever it is used, and
 * does not inline without limit. So the decoders of events write out the walk that attributeEnd() and attributeType()
 * do, and the kernel's names stand beside the numbers of their cases (test/unit/wire/names.test.ts holds them together):
 * a third of the time.
 */

/** Message headers and attribute headers are in the byte order of the machine; payloads say their own. */
export const HOST_LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/**
 * What a field of 32 bits is before anything is decoded into it. V8 keeps -0 as a double from the start; a field that began
 * as a small integer it would keep in another way from the first value beyond 31 bits on, and throw away all that was
 * compiled for the class.
 */
export const U32 = -0;

/** Size of struct nlmsghdr: length u32, type u16, flags u16, sequence u32, port u32. */
export const NLMSG_HEADER = 16;
/** Size of struct nlattr: length u16, type u16. */
export const NLA_HEADER = 4;

// Netlink families, the protocol of the socket.
export const NETLINK_ROUTE = 0;
export const NETLINK_NETFILTER = 12;

// Message types below NLMSG_MIN_TYPE mean the same in every family.
export const NLMSG_NOOP = 1;
export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;
export const NLMSG_OVERRUN = 4;
export const NLMSG_MIN_TYPE = 16;

// Flags of any message.
export const NLM_F_REQUEST = 0x01;
export const NLM_F_MULTI = 0x02;
export const NLM_F_ACK = 0x04;
export const NLM_F_ECHO = 0x08;
export const NLM_F_DUMP_INTR = 0x10;
export const NLM_F_DUMP_FILTERED = 0x20;
/** Of a GET request. */
export const NLM_F_DUMP = 0x300;
// Of a NEW message.
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
export const NLM_F_APPEND = 0x800;
// Of NLMSG_ERROR and NLMSG_DONE.
export const NLM_F_CAPPED = 0x100;
export const NLM_F_ACK_TLVS = 0x200;

export const NLA_F_NESTED = 0x8000;
/** An attribute's type without NLA_F_NESTED and NLA_F_NET_BYTEORDER. */
export const NLA_TYPE_MASK = 0x3fff;

/** The next multiple of four: messages and attributes begin there, counted from the start of what holds them. */
export const align = (length: number): number => (length + 3) & ~3;

/** End of the message at `at`, or -1 when no whole message lies between `at` and `end`. The next one is at `at + align(length)`. */
export function messageEnd(view: DataView, at: number, end: number): number {
  if (end - at < NLMSG_HEADER) return -1;
  const length = view.getUint32(at, HOST_LITTLE_ENDIAN);
  return length < NLMSG_HEADER || length > end - at ? -1 : at + length;
}

/** Type of the message at `at`, whose header messageEnd() has found to be there. */
export const messageType = (view: DataView, at: number): number => view.getUint16(at + 4, HOST_LITTLE_ENDIAN);
/** NLM_F_* flags of the message at `at`. */
export const messageFlags = (view: DataView, at: number): number => view.getUint16(at + 6, HOST_LITTLE_ENDIAN);
/** Sequence number of the message at `at`: the request's in an answer, 0 in an event. */
export const messageSequence = (view: DataView, at: number): number => view.getUint32(at + 8, HOST_LITTLE_ENDIAN);
/** Port of the message at `at`: of the socket that asked, or that caused the event; 0 for the kernel itself. */
export const messagePort = (view: DataView, at: number): number => view.getUint32(at + 12, HOST_LITTLE_ENDIAN);

/** End of the attribute at `at`, or -1 when it does not lie between `at` and `end`. The next one is at `at + align(length)`. */
export function attributeEnd(view: DataView, at: number, end: number): number {
  if (end - at < NLA_HEADER) return -1;
  const length = view.getUint16(at, HOST_LITTLE_ENDIAN);
  return length < NLA_HEADER || length > end - at ? -1 : at + length;
}

/** Type of the attribute at `at`, which attributeEnd() has found to be there, without its flags. */
export const attributeType = (view: DataView, at: number): number =>
  view.getUint16(at + 2, HOST_LITTLE_ENDIAN) & NLA_TYPE_MASK;

/** Length of a string attribute's text between `from` and `to`: the kernel closes it with one NUL, which does not count. */
export function stringLength(view: DataView, from: number, to: number): number {
  return to > from && view.getUint8(to - 1) === 0 ? to - 1 - from : to - from;
}
