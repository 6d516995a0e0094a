/** Link layer numbers: ethertypes (linux/if_ether.h) and hardware types (linux/if_arp.h). */

/** Bytes of an Ethernet header: destination, source, ethertype. */
export const ETHERNET_HEADER = 14;
/** Bytes of an Ethernet address. */
export const ETHERNET_ADDRESS = 6;
/** Where the ethertype stands in an Ethernet header. */
export const ETHERTYPE_OFFSET = 12;
/** Longest hardware address that Linux knows (MAX_ADDR_LEN in linux/netdevice.h). */
export const MAX_HARDWARE_ADDRESS = 32;

export const ETHERTYPE_IPV4 = 0x0800;
export const ETHERTYPE_ARP = 0x0806;
export const ETHERTYPE_IPV6 = 0x86dd;

export const ARPHRD_ETHER = 1;
/** Hardware type that says nothing. */
export const ARPHRD_VOID = 0xffff;
