import {
  IPCTNL_MSG_CT_DELETE,
  IPCTNL_MSG_CT_GET,
  IPCTNL_MSG_CT_GET_CTRZERO,
  IPCTNL_MSG_CT_GET_STATS,
  IPCTNL_MSG_CT_GET_STATS_CPU,
  IPCTNL_MSG_CT_NEW,
} from './ctnetlink.ts';
import { NETLINK_NETFILTER, NETLINK_ROUTE } from './netlink.ts';
import { NFNL_SUBSYS_ULOG } from './nfnetlink.ts';
import { RTM_DELADDR, RTM_DELLINK, RTM_GETADDR, RTM_GETLINK, RTM_NEWADDR, RTM_NEWLINK } from './rtnetlink.ts';

/** What people call the messages and attributes of netlink, and how an attribute's value is read. For debugging only. */

/** How a value is shown; `be` is big-endian, `host` the byte order of the machine. A table of attributes is a nest. */
export type Shape = 'u8' | 'be16' | 'be32' | 'be64' | 'host32' | 'address' | 'string' | 'bytes' | Attributes;

/** Attributes by their number: name and shape. */
export type Attributes = Readonly<Record<number, readonly [name: string, shape: Shape]>>;

/** A kind of message: its name, the size of the family's header behind the netlink header, and its attributes. */
export interface MessageKind {
  readonly name: string;
  readonly header: number;
  readonly attributes: Attributes;
}

/** Numbers names of one shape from 1 on; an empty name leaves its number out. */
const row = (shape: Shape, ...names: string[]): Attributes =>
  Object.fromEntries(names.flatMap((name, i) => (name === '' ? [] : [[i + 1, [name, shape] as const]])));

const tuple: Attributes = {
  1: ['CTA_TUPLE_IP', row('address', 'CTA_IP_V4_SRC', 'CTA_IP_V4_DST', 'CTA_IP_V6_SRC', 'CTA_IP_V6_DST')],
  2: [
    'CTA_TUPLE_PROTO',
    {
      1: ['CTA_PROTO_NUM', 'u8'],
      2: ['CTA_PROTO_SRC_PORT', 'be16'],
      3: ['CTA_PROTO_DST_PORT', 'be16'],
      4: ['CTA_PROTO_ICMP_ID', 'be16'],
      5: ['CTA_PROTO_ICMP_TYPE', 'u8'],
      6: ['CTA_PROTO_ICMP_CODE', 'u8'],
      7: ['CTA_PROTO_ICMPV6_ID', 'be16'],
      8: ['CTA_PROTO_ICMPV6_TYPE', 'u8'],
      9: ['CTA_PROTO_ICMPV6_CODE', 'u8'],
    },
  ],
  3: ['CTA_TUPLE_ZONE', 'be16'],
};

const protoInfo: Attributes = {
  1: [
    'CTA_PROTOINFO_TCP',
    {
      1: ['CTA_PROTOINFO_TCP_STATE', 'u8'],
      2: ['CTA_PROTOINFO_TCP_WSCALE_ORIGINAL', 'u8'],
      3: ['CTA_PROTOINFO_TCP_WSCALE_REPLY', 'u8'],
      4: ['CTA_PROTOINFO_TCP_FLAGS_ORIGINAL', 'bytes'],
      5: ['CTA_PROTOINFO_TCP_FLAGS_REPLY', 'bytes'],
    },
  ],
  2: [
    'CTA_PROTOINFO_DCCP',
    {
      1: ['CTA_PROTOINFO_DCCP_STATE', 'u8'],
      2: ['CTA_PROTOINFO_DCCP_ROLE', 'u8'],
      3: ['CTA_PROTOINFO_DCCP_HANDSHAKE_SEQ', 'be64'],
    },
  ],
  3: [
    'CTA_PROTOINFO_SCTP',
    {
      1: ['CTA_PROTOINFO_SCTP_STATE', 'u8'],
      2: ['CTA_PROTOINFO_SCTP_VTAG_ORIGINAL', 'be32'],
      3: ['CTA_PROTOINFO_SCTP_VTAG_REPLY', 'be32'],
    },
  ],
};

const counters: Attributes = {
  1: ['CTA_COUNTERS_PACKETS', 'be64'],
  2: ['CTA_COUNTERS_BYTES', 'be64'],
  3: ['CTA_COUNTERS32_PACKETS', 'be32'],
  4: ['CTA_COUNTERS32_BYTES', 'be32'],
};

const seqAdj = row('be32', 'CTA_SEQADJ_CORRECTION_POS', 'CTA_SEQADJ_OFFSET_BEFORE', 'CTA_SEQADJ_OFFSET_AFTER');

const conntrack: Attributes = {
  1: ['CTA_TUPLE_ORIG', tuple],
  2: ['CTA_TUPLE_REPLY', tuple],
  3: ['CTA_STATUS', 'be32'],
  4: ['CTA_PROTOINFO', protoInfo],
  5: ['CTA_HELP', { 1: ['CTA_HELP_NAME', 'string'], 2: ['CTA_HELP_INFO', 'bytes'] }],
  6: ['CTA_NAT_SRC', 'bytes'],
  7: ['CTA_TIMEOUT', 'be32'],
  8: ['CTA_MARK', 'be32'],
  9: ['CTA_COUNTERS_ORIG', counters],
  10: ['CTA_COUNTERS_REPLY', counters],
  11: ['CTA_USE', 'be32'],
  12: ['CTA_ID', 'be32'],
  13: ['CTA_NAT_DST', 'bytes'],
  14: ['CTA_TUPLE_MASTER', tuple],
  15: ['CTA_SEQ_ADJ_ORIG', seqAdj],
  16: ['CTA_SEQ_ADJ_REPLY', seqAdj],
  17: ['CTA_SECMARK', 'be32'],
  18: ['CTA_ZONE', 'be16'],
  19: ['CTA_SECCTX', { 1: ['CTA_SECCTX_NAME', 'string'] }],
  20: ['CTA_TIMESTAMP', { 1: ['CTA_TIMESTAMP_START', 'be64'], 2: ['CTA_TIMESTAMP_STOP', 'be64'] }],
  21: ['CTA_MARK_MASK', 'be32'],
  22: ['CTA_LABELS', 'bytes'],
  23: ['CTA_LABELS_MASK', 'bytes'],
  24: ['CTA_SYNPROXY', row('be32', 'CTA_SYNPROXY_ISN', 'CTA_SYNPROXY_ITS', 'CTA_SYNPROXY_TSOFF')],
  25: ['CTA_FILTER', row('be32', 'CTA_FILTER_ORIG_FLAGS', 'CTA_FILTER_REPLY_FLAGS')],
  26: ['CTA_STATUS_MASK', 'be32'],
  27: ['CTA_TIMESTAMP_EVENT', 'be64'],
};

const processorStats = row(
  'be32',
  'CTA_STATS_SEARCHED',
  'CTA_STATS_FOUND',
  'CTA_STATS_NEW',
  'CTA_STATS_INVALID',
  'CTA_STATS_IGNORE',
  'CTA_STATS_DELETE',
  'CTA_STATS_DELETE_LIST',
  'CTA_STATS_INSERT',
  'CTA_STATS_INSERT_FAILED',
  'CTA_STATS_DROP',
  'CTA_STATS_EARLY_DROP',
  'CTA_STATS_ERROR',
  'CTA_STATS_SEARCH_RESTART',
  'CTA_STATS_CLASH_RESOLVE',
  'CTA_STATS_CHAIN_TOOLONG',
);

const packet: Attributes = {
  1: ['NFULA_PACKET_HDR', 'bytes'],
  2: ['NFULA_MARK', 'be32'],
  3: ['NFULA_TIMESTAMP', 'bytes'],
  4: ['NFULA_IFINDEX_INDEV', 'be32'],
  5: ['NFULA_IFINDEX_OUTDEV', 'be32'],
  6: ['NFULA_IFINDEX_PHYSINDEV', 'be32'],
  7: ['NFULA_IFINDEX_PHYSOUTDEV', 'be32'],
  8: ['NFULA_HWADDR', 'bytes'],
  9: ['NFULA_PAYLOAD', 'bytes'],
  10: ['NFULA_PREFIX', 'string'],
  11: ['NFULA_UID', 'be32'],
  12: ['NFULA_SEQ', 'be32'],
  13: ['NFULA_SEQ_GLOBAL', 'be32'],
  14: ['NFULA_GID', 'be32'],
  15: ['NFULA_HWTYPE', 'be16'],
  16: ['NFULA_HWHEADER', 'bytes'],
  17: ['NFULA_HWLEN', 'be16'],
  18: ['NFULA_CT', conntrack],
  19: ['NFULA_CT_INFO', 'be32'],
  20: ['NFULA_VLAN', row('be16', 'NFULA_VLAN_PROTO', 'NFULA_VLAN_TCI')],
  21: ['NFULA_L2HDR', 'bytes'],
};

const logSettings: Attributes = {
  1: ['NFULA_CFG_CMD', 'u8'],
  2: ['NFULA_CFG_MODE', 'bytes'],
  3: ['NFULA_CFG_NLBUFSIZ', 'be32'],
  4: ['NFULA_CFG_TIMEOUT', 'be32'],
  5: ['NFULA_CFG_QTHRESH', 'be32'],
  6: ['NFULA_CFG_FLAGS', 'be16'],
};

const link: Attributes = {
  1: ['IFLA_ADDRESS', 'bytes'],
  2: ['IFLA_BROADCAST', 'bytes'],
  3: ['IFLA_IFNAME', 'string'],
  4: ['IFLA_MTU', 'host32'],
  5: ['IFLA_LINK', 'host32'],
  6: ['IFLA_QDISC', 'string'],
  10: ['IFLA_MASTER', 'host32'],
};

const address: Attributes = {
  1: ['IFA_ADDRESS', 'address'],
  2: ['IFA_LOCAL', 'address'],
  3: ['IFA_LABEL', 'string'],
  4: ['IFA_BROADCAST', 'address'],
  8: ['IFA_FLAGS', 'host32'],
};

/** Messages by protocol (NETLINK_*) and type; those of NLMSG_MIN_TYPE and below mean the same everywhere. */
export const messageKinds: Readonly<Record<number, Readonly<Record<number, MessageKind>>>> = {
  [NETLINK_NETFILTER]: {
    [IPCTNL_MSG_CT_NEW]: { name: 'IPCTNL_MSG_CT_NEW', header: 4, attributes: conntrack },
    [IPCTNL_MSG_CT_GET]: { name: 'IPCTNL_MSG_CT_GET', header: 4, attributes: conntrack },
    [IPCTNL_MSG_CT_DELETE]: { name: 'IPCTNL_MSG_CT_DELETE', header: 4, attributes: conntrack },
    [IPCTNL_MSG_CT_GET_CTRZERO]: { name: 'IPCTNL_MSG_CT_GET_CTRZERO', header: 4, attributes: conntrack },
    [IPCTNL_MSG_CT_GET_STATS_CPU]: { name: 'IPCTNL_MSG_CT_GET_STATS_CPU', header: 4, attributes: processorStats },
    [IPCTNL_MSG_CT_GET_STATS]: {
      name: 'IPCTNL_MSG_CT_GET_STATS',
      header: 4,
      attributes: row('be32', 'CTA_STATS_GLOBAL_ENTRIES', 'CTA_STATS_GLOBAL_MAX_ENTRIES'),
    },
    [NFNL_SUBSYS_ULOG << 8]: { name: 'NFULNL_MSG_PACKET', header: 4, attributes: packet },
    [(NFNL_SUBSYS_ULOG << 8) | 1]: { name: 'NFULNL_MSG_CONFIG', header: 4, attributes: logSettings },
  },
  [NETLINK_ROUTE]: {
    [RTM_NEWLINK]: { name: 'RTM_NEWLINK', header: 16, attributes: link },
    [RTM_DELLINK]: { name: 'RTM_DELLINK', header: 16, attributes: link },
    [RTM_GETLINK]: { name: 'RTM_GETLINK', header: 16, attributes: link },
    [RTM_NEWADDR]: { name: 'RTM_NEWADDR', header: 8, attributes: address },
    [RTM_DELADDR]: { name: 'RTM_DELADDR', header: 8, attributes: address },
    [RTM_GETADDR]: { name: 'RTM_GETADDR', header: 8, attributes: address },
  },
};

/** Names of the message types that mean the same in every family, by number. */
export const controlNames = ['0', 'NLMSG_NOOP', 'NLMSG_ERROR', 'NLMSG_DONE', 'NLMSG_OVERRUN'];
