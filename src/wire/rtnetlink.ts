import { MessageBuilder } from './message-builder.ts';
import {
  align,
  attributeEnd,
  attributeType,
  HOST_LITTLE_ENDIAN,
  messageType,
  NLA_HEADER,
  NLM_F_DUMP,
  NLMSG_HEADER,
  stringLength,
} from './netlink.ts';

/** Network devices, their addresses, routes and neighbours (linux/rtnetlink.h, if_link.h, if_addr.h, neighbour.h). Integers are in the machine's byte order. */

export const RTM_NEWLINK = 16;
export const RTM_DELLINK = 17;
export const RTM_GETLINK = 18;
export const RTM_NEWADDR = 20;
export const RTM_DELADDR = 21;
export const RTM_GETADDR = 22;
export const RTM_NEWROUTE = 24;
export const RTM_GETROUTE = 26;
export const RTM_NEWNEIGH = 28;
export const RTM_DELNEIGH = 29;
export const RTM_GETNEIGH = 30;

// Multicast groups.
export const RTNLGRP_LINK = 1;
export const RTNLGRP_NEIGH = 3;
export const RTNLGRP_IPV4_IFADDR = 5;
export const RTNLGRP_IPV6_IFADDR = 9;

const AF_INET = 2;
const AF_INET6 = 10;

/** Flag of a device that is up. */
export const IFF_UP = 1;

export const IFLA_IFNAME = 3;
export const IFA_ADDRESS = 1;
export const IFA_LOCAL = 2;
export const IFA_LABEL = 3;

/** Size of struct ifinfomsg: family u8, padding, type u16, index s32, flags u32, change u32. */
const IFINFOMSG = 16;
/** Size of struct ifaddrmsg: family u8, prefix length u8, flags u8, scope u8, index u32. */
const IFADDRMSG = 8;
/** Size of struct rtmsg: family, destination length, source length, tos, table, protocol, scope and type u8, flags u32. */
const RTMSG = 12;
const RTA_DST = 1;
const RTA_OIF = 4;
const RTN_UNICAST = 1;
/** Size of struct ndmsg: family u8, padding, index s32, state u16, flags u8, type u8. */
const NDMSG = 12;
const NDA_DST = 1;
const NDA_LLADDR = 2;
/** States in which the kernel sends to the link address: permanent, noarp, reachable, probe, stale, delay (net/neighbour.h). */
const NUD_VALID = 0x80 | 0x40 | 0x02 | 0x10 | 0x04 | 0x08;

/** A network device. */
export class Link {
  /** The device is gone (RTM_DELLINK). */
  deleted = false;
  /** Family of the message: AF_UNSPEC; AF_BRIDGE for a bridge's view of its port, which is no news about the device. */
  family = 0;
  index = 0;
  /** ARPHRD_*. */
  type = 0;
  /** IFF_*. */
  flags = 0;
  nameOffset = 0;
  /** 0 when the message has no name. */
  nameLength = 0;
}

/** An address of a device. */
export class LinkAddress {
  /** The address is gone (RTM_DELADDR). */
  deleted = false;
  /** AF_INET or AF_INET6. */
  family = 0;
  prefixLength = 0;
  /** The device. */
  index = 0;
  addressOffset = 0;
  /** 4 or 16 bytes; 0 when the message has no address. */
  addressLength = 0;
  /** The device's name, perhaps with more behind it; IPv4 has it alone. */
  labelOffset = 0;
  labelLength = 0;
}

/** A neighbour: the link address that an IP address has. */
export class Neighbour {
  /** The kernel sends to it. */
  valid = false;
  /** AF_INET or AF_INET6; AF_BRIDGE for an entry of a bridge's table. */
  family = 0;
  addressOffset = 0;
  /** 4 or 16 bytes; 0 when the message has no address. */
  addressLength = 0;
  /** Ethernet address as a number of 48 bits; 0 when there is none. */
  mac = 0;
}

/** Asks for all network devices; answered with RTM_NEWLINK messages and NLMSG_DONE. */
export function dumpLinks(sequence: number): Uint8Array {
  return new MessageBuilder().message(RTM_GETLINK, NLM_F_DUMP, sequence).raw(new Uint8Array(IFINFOMSG)).finish();
}

/** Asks for all addresses; answered with RTM_NEWADDR messages and NLMSG_DONE. */
export function dumpAddresses(sequence: number): Uint8Array {
  return new MessageBuilder().message(RTM_GETADDR, NLM_F_DUMP, sequence).raw(new Uint8Array(IFADDRMSG)).finish();
}

/** Decodes the RTM_NEWLINK or RTM_DELLINK message between `start` and `end`; false when malformed or neither. */
export function decodeLink(view: DataView, start: number, end: number, into: Link): boolean {
  const header = start + NLMSG_HEADER;
  if (end - header < IFINFOMSG) return false;
  const message = messageType(view, start);
  if (message !== RTM_NEWLINK && message !== RTM_DELLINK) return false;
  into.deleted = message === RTM_DELLINK;
  into.family = view.getUint8(header);
  into.type = view.getUint16(header + 2, HOST_LITTLE_ENDIAN);
  into.index = view.getInt32(header + 4, HOST_LITTLE_ENDIAN);
  into.flags = view.getUint32(header + 8, HOST_LITTLE_ENDIAN);
  into.nameLength = 0;
  for (let at = header + IFINFOMSG; at < end; ) {
    const to = attributeEnd(view, at, end);
    if (to < 0) return false;
    if (attributeType(view, at) === IFLA_IFNAME) {
      into.nameOffset = at + NLA_HEADER;
      into.nameLength = stringLength(view, at + NLA_HEADER, to);
    }
    at += align(to - at);
  }
  return true;
}

/** Decodes the RTM_NEWADDR or RTM_DELADDR message between `start` and `end`; false when malformed or neither. */
export function decodeLinkAddress(view: DataView, start: number, end: number, into: LinkAddress): boolean {
  const header = start + NLMSG_HEADER;
  if (end - header < IFADDRMSG) return false;
  const message = messageType(view, start);
  if (message !== RTM_NEWADDR && message !== RTM_DELADDR) return false;
  into.deleted = message === RTM_DELADDR;
  into.family = view.getUint8(header);
  into.prefixLength = view.getUint8(header + 1);
  into.index = view.getUint32(header + 4, HOST_LITTLE_ENDIAN);
  into.addressLength = 0;
  into.labelLength = 0;
  let local = false;
  for (let at = header + IFADDRMSG; at < end; ) {
    const to = attributeEnd(view, at, end);
    if (to < 0) return false;
    const type = attributeType(view, at);
    const size = to - at - NLA_HEADER;
    if (type === IFA_LOCAL || type === IFA_ADDRESS) {
      if (size !== 4 && size !== 16) return false;
      // On a point-to-point device IFA_ADDRESS is the other end's (if_addr.h).
      if (type === IFA_LOCAL || !local) {
        into.addressOffset = at + NLA_HEADER;
        into.addressLength = size;
      }
      local ||= type === IFA_LOCAL;
    } else if (type === IFA_LABEL) {
      into.labelOffset = at + NLA_HEADER;
      into.labelLength = stringLength(view, at + NLA_HEADER, to);
    }
    at += align(to - at);
  }
  return true;
}

/** Asks how an address of 4 or 16 bytes is reached; answered with one RTM_NEWROUTE message, or an error when it is not. */
export function askRoute(address: Uint8Array, sequence: number): Uint8Array {
  const header = new Uint8Array(RTMSG);
  header[0] = address.length === 4 ? AF_INET : AF_INET6;
  header[1] = 8 * address.length;
  return new MessageBuilder().message(RTM_GETROUTE, 0, sequence).raw(header).bytes(RTA_DST, address).finish();
}

/** Index of the device by which the RTM_NEWROUTE message between `start` and `end` leads away; 0 when it does not, or is malformed. */
export function deviceOfRoute(view: DataView, start: number, end: number): number {
  const header = start + NLMSG_HEADER;
  if (messageType(view, start) !== RTM_NEWROUTE || end - header < RTMSG) return 0;
  if (view.getUint8(header + 7) !== RTN_UNICAST) return 0;
  for (let at = header + RTMSG; at < end; ) {
    const to = attributeEnd(view, at, end);
    if (to < 0) return 0;
    if (attributeType(view, at) === RTA_OIF && to - at === NLA_HEADER + 4) {
      return view.getInt32(at + NLA_HEADER, HOST_LITTLE_ENDIAN);
    }
    at += align(to - at);
  }
  return 0;
}

/** Asks for all neighbours; answered with RTM_NEWNEIGH messages and NLMSG_DONE. */
export function dumpNeighbours(sequence: number): Uint8Array {
  return new MessageBuilder().message(RTM_GETNEIGH, NLM_F_DUMP, sequence).raw(new Uint8Array(NDMSG)).finish();
}

/** Decodes the RTM_NEWNEIGH or RTM_DELNEIGH message between `start` and `end`; false when malformed or neither. */
export function decodeNeighbour(view: DataView, start: number, end: number, into: Neighbour): boolean {
  const header = start + NLMSG_HEADER;
  if (end - header < NDMSG) return false;
  const message = messageType(view, start);
  if (message !== RTM_NEWNEIGH && message !== RTM_DELNEIGH) return false;
  into.family = view.getUint8(header);
  into.valid = message === RTM_NEWNEIGH && (view.getUint16(header + 8, HOST_LITTLE_ENDIAN) & NUD_VALID) !== 0;
  into.addressLength = 0;
  into.mac = 0;
  for (let at = header + NDMSG; at < end; ) {
    const to = attributeEnd(view, at, end);
    if (to < 0) return false;
    const type = attributeType(view, at);
    const from = at + NLA_HEADER;
    if (type === NDA_DST) {
      if (to - from !== 4 && to - from !== 16) return false;
      into.addressOffset = from;
      into.addressLength = to - from;
    } else if (type === NDA_LLADDR && to - from === 6) {
      into.mac = view.getUint16(from) * 0x1_0000_0000 + view.getUint32(from + 2);
    }
    at += align(to - at);
  }
  return true;
}
