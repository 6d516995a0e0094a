import { KernelError } from '../system/kernel-request.ts';
import { NetlinkSocket } from '../system/netlink-socket.ts';
import { MessageBuilder } from '../wire/message-builder.ts';
import { NETLINK_NETFILTER, NLM_F_ACK } from '../wire/netlink.ts';
import { beginRequest, NFPROTO_INET } from '../wire/nfnetlink.ts';
import { NFT_MSG_GETTABLE } from '../wire/nftables.ts';
import { AUDIT_TABLE } from './audit-rules.ts';

const NFTA_TABLE_NAME = 1;
const SLOT = 4 << 10;
const RECEIVED = new ArrayBuffer(SLOT);

/** Whether the table of the audit rules is in a namespace (a file; undefined for our own). No program is run for it. Throws KernelError. */
export function hasAuditTable(namespace: string | undefined): boolean {
  const socket = NetlinkSocket.open({
    protocol: NETLINK_NETFILTER,
    namespace,
    bufferSize: 64 << 10,
    memory: RECEIVED,
    offset: 0,
    slotSize: SLOT,
    slots: 1,
  });
  try {
    const request = beginRequest(new MessageBuilder(), NFT_MSG_GETTABLE, NLM_F_ACK, 1, NFPROTO_INET);
    socket.request(request.string(NFTA_TABLE_NAME, AUDIT_TABLE).finish(), `look for the table ${AUDIT_TABLE}`);
    return true;
  } catch (error) {
    if (error instanceof KernelError && error.code === 'ENOENT') return false;
    throw error;
  } finally {
    socket.close();
  }
}
