// Ends of connections as the kernel tells of them: a recorded message with its reason changed.
import { recordings } from '../unit/wire/vectors.ts';

/** TCP_CONNTRACK_* of linux/netfilter/nf_conntrack_tcp.h. */
export const STATES = { ESTABLISHED: 3, FIN_WAIT: 4, LAST_ACK: 6, TIME_WAIT: 7, CLOSE: 8 } as const;

export interface End {
  /** Recorded as the end of one of these. */
  readonly of: 'tcp' | 'udp';
  /** Netlink port of the process that deleted it; 0 for the kernel itself. */
  readonly port?: number;
  /** Of TCP, or undefined for a kernel that does not say. */
  readonly state?: number | undefined;
  /** Seconds it still had, or undefined for none. */
  readonly timeout?: number | undefined;
}

const RECORDED = { tcp: 'tcp: destroy 6', udp: 'udp with a mark: destroy 16' } as const;
const UNKNOWN_ATTRIBUTE = 0x1e;
const CTA_PROTOINFO = 4;
const CTA_TIMEOUT = 7;

/** The message that tells of this end. */
export function endMessage({ of, port = 0, state, timeout }: End): Buffer {
  const recorded = recordings('conntrack').find(({ name }) => name === RECORDED[of]);
  if (!recorded) throw new Error(`no recording of ${of}`);
  const bytes = Buffer.from(recorded.bytes);
  bytes.writeUInt32LE(port, 12);
  for (let at = 20; at < bytes.length; at += (bytes.readUInt16LE(at) + 3) & ~3) {
    const type = bytes.readUInt16LE(at + 2) & 0x3fff;
    if (type === CTA_PROTOINFO && state !== undefined) bytes.writeUInt8(state, at + 12);
    else if (type === CTA_PROTOINFO) bytes.writeUInt16LE(UNKNOWN_ATTRIBUTE, at + 2);
    if (type === CTA_TIMEOUT && timeout !== undefined) bytes.writeUInt32BE(timeout, at + 4);
    else if (type === CTA_TIMEOUT) bytes.writeUInt16LE(UNKNOWN_ATTRIBUTE, at + 2);
  }
  return bytes;
}
