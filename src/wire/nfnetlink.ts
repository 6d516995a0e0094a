import type { MessageBuilder } from './message-builder.ts';
import { NLMSG_HEADER } from './netlink.ts';

/**
 * nfnetlink (linux/netfilter/nfnetlink.h): the message type is subsystem << 8 | operation, and struct nfgenmsg follows
 * the netlink header: family u8, version u8, resource be16.
 */

/** Offset of the first attribute in a message: both headers. */
export const NFNL_HEADER = NLMSG_HEADER + 4;

// Subsystems.
export const NFNL_SUBSYS_CTNETLINK = 1;
export const NFNL_SUBSYS_ULOG = 4;
export const NFNL_SUBSYS_NFTABLES = 10;

// Multicast groups.
export const NFNLGRP_CONNTRACK_NEW = 1;
export const NFNLGRP_CONNTRACK_UPDATE = 2;
export const NFNLGRP_CONNTRACK_DESTROY = 3;
export const NFNLGRP_NFTABLES = 7;
export const NFNLGRP_NFTRACE = 9;

// Families: NFPROTO_* has the value of AF_* where both exist.
export const NFPROTO_UNSPEC = 0;
export const NFPROTO_INET = 1;
export const NFPROTO_IPV4 = 2;
export const NFPROTO_ARP = 3;
export const NFPROTO_NETDEV = 5;
export const NFPROTO_BRIDGE = 7;
export const NFPROTO_IPV6 = 10;

/** Begins a request to a subsystem; `resource` is what the subsystem makes of it: NFLOG's group. */
export function beginRequest(
  builder: MessageBuilder,
  type: number,
  flags: number,
  sequence: number,
  family: number,
  resource = 0,
): MessageBuilder {
  return builder.message(type, flags, sequence).raw(Uint8Array.of(family, 0, resource >> 8, resource));
}
