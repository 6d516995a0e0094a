import { KernelError } from '../system/kernel-request.ts';
import { NetlinkSocket } from '../system/netlink-socket.ts';
import { MessageBuilder } from '../wire/message-builder.ts';
import { NETLINK_NETFILTER, NLM_F_ACK } from '../wire/netlink.ts';
import { beginRequest, NFPROTO_INET } from '../wire/nfnetlink.ts';
import { NFT_MSG_GETCHAIN, NFT_MSG_GETTABLE } from '../wire/nftables.ts';
import { AUDIT_HOOKS, AUDIT_TABLE } from './audit-rules.ts';

const NFTA_TABLE_NAME = 1;
const NFTA_CHAIN_TABLE = 1;
const NFTA_CHAIN_NAME = 3;
const SLOT = 4 << 10;
const RECEIVED = new ArrayBuffer(SLOT);

/** Said of a table that has our table's name and was made by somebody else. */
const FOREIGN = `the table inet ${AUDIT_TABLE} is not flowlogd's: it lacks our chains. Nothing was changed; "nft list table inet ${AUDIT_TABLE}" shows it, "nft delete table inet ${AUDIT_TABLE}" removes it`;

/**
 * Whether the table of the audit rules is in a namespace (a file; undefined for our own). No program is run for it. Throws with a
 * message for the operator, also where a table of that name has not our chains.
 */
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
  const isThere = (type: number, fill: (message: MessageBuilder) => MessageBuilder, what: string): boolean => {
    try {
      const request = beginRequest(new MessageBuilder(), type, NLM_F_ACK, 1, NFPROTO_INET);
      socket.request(fill(request).finish(), `look for the ${what}`);
      return true;
    } catch (error) {
      if (error instanceof KernelError && error.code === 'ENOENT') return false;
      throw error;
    }
  };
  try {
    const table = `table ${AUDIT_TABLE}`;
    if (!isThere(NFT_MSG_GETTABLE, (message) => message.string(NFTA_TABLE_NAME, AUDIT_TABLE), table)) return false;
    const isOurs = AUDIT_HOOKS.flatMap((hook) => [`${hook}_before`, `${hook}_after`]).every((chain) =>
      isThere(
        NFT_MSG_GETCHAIN,
        (message) => message.string(NFTA_CHAIN_TABLE, AUDIT_TABLE).string(NFTA_CHAIN_NAME, chain),
        `chain ${chain} of the ${table}`,
      ),
    );
    if (!isOurs) throw new Error(FOREIGN);
    return true;
  } finally {
    socket.close();
  }
}
