import { MessageBuilder } from './message-builder.ts';
import { NLM_F_ACK } from './netlink.ts';
import { beginRequest, NFNL_SUBSYS_ULOG } from './nfnetlink.ts';

/** Requests that set up an NFLOG socket (nfulnl_recv_config in nfnetlink_log.c). Each is answered with an acknowledgement. */

const NFULNL_MSG_CONFIG = (NFNL_SUBSYS_ULOG << 8) | 1;

const NFULA_CFG_CMD = 1;
const NFULA_CFG_MODE = 2;
const NFULA_CFG_NLBUFSIZ = 3;
const NFULA_CFG_TIMEOUT = 4;
const NFULA_CFG_QTHRESH = 5;
const NFULA_CFG_FLAGS = 6;

export const NFULNL_CFG_CMD_BIND = 1;
export const NFULNL_CFG_CMD_UNBIND = 2;
/** Of a family instead of a group: makes the socket's subsystem the family's system logger. */
export const NFULNL_CFG_CMD_PF_BIND = 3;
export const NFULNL_CFG_CMD_PF_UNBIND = 4;

export const NFULNL_COPY_NONE = 0;
export const NFULNL_COPY_META = 1;
export const NFULNL_COPY_PACKET = 2;

/** Number the packets of this group (NFULA_SEQ): the only way to see what the kernel lost. */
export const NFULNL_CFG_F_SEQ = 1;
export const NFULNL_CFG_F_SEQ_GLOBAL = 2;
/** Attach the connection (NFULA_CT). */
export const NFULNL_CFG_F_CONNTRACK = 4;

/** What the kernel does for a bound group; what is left out stays as the kernel has it. */
export interface GroupSettings {
  readonly copyMode?: number;
  /** Bytes of each packet; 0 means whole packets. Counts only with `copyMode`. */
  readonly copyRange?: number;
  /** Bytes of the kernel's buffer for one datagram, at most 131072. */
  readonly bufferSize?: number;
  /** Hundredths of a second that a packet may wait for the datagram to fill. */
  readonly timeout?: number;
  /** Packets in one datagram. */
  readonly threshold?: number;
  /** NFULNL_CFG_F_*. */
  readonly flags?: number;
}

/** A NFULNL_CFG_CMD_* request: BIND and UNBIND for `group`, PF_BIND and PF_UNBIND for `family` (with group 0). */
export function nflogCommand(sequence: number, command: number, group: number, family = 0): Uint8Array {
  return beginRequest(new MessageBuilder(), NFULNL_MSG_CONFIG, NLM_F_ACK, sequence, family, group)
    .u8(NFULA_CFG_CMD, command)
    .finish();
}

/** Sets up a group that is bound already. The kernel refuses with ENODEV when it is not. */
export function nflogSettings(sequence: number, group: number, settings: GroupSettings): Uint8Array {
  const request = beginRequest(new MessageBuilder(), NFULNL_MSG_CONFIG, NLM_F_ACK, sequence, 0, group);
  const { copyMode, copyRange = 0, bufferSize, timeout, threshold, flags } = settings;
  if (copyMode !== undefined) {
    const mode = new Uint8Array(6); // struct nfulnl_msg_config_mode, packed
    new DataView(mode.buffer).setUint32(0, copyRange);
    mode[4] = copyMode;
    request.bytes(NFULA_CFG_MODE, mode);
  }
  if (bufferSize !== undefined) request.be32(NFULA_CFG_NLBUFSIZ, bufferSize);
  if (timeout !== undefined) request.be32(NFULA_CFG_TIMEOUT, timeout);
  if (threshold !== undefined) request.be32(NFULA_CFG_QTHRESH, threshold);
  if (flags !== undefined) request.be16(NFULA_CFG_FLAGS, flags);
  return request.finish();
}
