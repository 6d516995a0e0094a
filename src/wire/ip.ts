/** Protocol numbers (IANA) and header lengths that IPv4 and IPv6 have in common. */

export const IPPROTO_HOPOPTS = 0;
export const IPPROTO_ICMP = 1;
export const IPPROTO_TCP = 6;
export const IPPROTO_UDP = 17;
export const IPPROTO_ROUTING = 43;
export const IPPROTO_FRAGMENT = 44;
export const IPPROTO_ESP = 50;
export const IPPROTO_AH = 51;
export const IPPROTO_ICMPV6 = 58;
export const IPPROTO_DSTOPTS = 60;
export const IPPROTO_SCTP = 132;

/** Bytes of an IPv4 header without options (RFC 791). */
export const IPV4_HEADER = 20;
/** Bytes of an IPv6 header without extension headers (RFC 8200). */
export const IPV6_HEADER = 40;
/** Bits of the IPv4 fragment field that are the offset, in units of 8 bytes; above them are CE, DF and MF. */
export const IPV4_FRAGMENT_OFFSET = 0x1fff;

/** Bytes of the fixed part of each header; a shorter one is not decoded. */
export const TCP_HEADER = 20;
export const UDP_HEADER = 8;
export const ICMP_HEADER = 8;
export const SCTP_HEADER = 12;
export const ESP_HEADER = 8;
/** Bytes of an authentication header up to its sequence number (RFC 4302). */
export const AH_HEADER = 12;

// ICMP types whose second word has a meaning (RFC 792) and the code of "fragmentation needed" (RFC 1191).
export const ICMP_ECHO_REPLY = 0;
export const ICMP_UNREACHABLE = 3;
export const ICMP_REDIRECT = 5;
export const ICMP_ECHO = 8;
export const ICMP_PARAMETER_PROBLEM = 12;
export const ICMP_FRAGMENTATION_NEEDED = 4;

// ICMPv6 types (RFC 4443).
export const ICMPV6_ECHO = 128;
export const ICMPV6_ECHO_REPLY = 129;

// Address families of Netfilter (NFPROTO_* in linux/netfilter.h).
export const NFPROTO_IPV4 = 2;
export const NFPROTO_ARP = 3;
export const NFPROTO_NETDEV = 5;
export const NFPROTO_BRIDGE = 7;
export const NFPROTO_IPV6 = 10;
