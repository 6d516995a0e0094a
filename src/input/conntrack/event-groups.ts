import type { Deliver } from '../../pipeline/plugin.ts';
import type { NetlinkSocket } from '../../system/netlink-socket.ts';
import { CONNTRACK_DESTROY, CONNTRACK_NEW, CONNTRACK_UPDATE } from '../../wire/conntrack.ts';
import { NFNLGRP_CONNTRACK_DESTROY, NFNLGRP_CONNTRACK_NEW, NFNLGRP_CONNTRACK_UPDATE } from '../../wire/nfnetlink.ts';
import type { Dispensable } from '../overload-ladder.ts';

/** Has the socket get the events of `event_mask`. Throws ErrnoException. */
export function joinEvents(socket: NetlinkSocket, mask: number): void {
  if (mask & CONNTRACK_NEW) socket.join(NFNLGRP_CONNTRACK_NEW);
  if (mask & CONNTRACK_UPDATE) socket.join(NFNLGRP_CONNTRACK_UPDATE);
  if (mask & CONNTRACK_DESTROY) socket.join(NFNLGRP_CONNTRACK_DESTROY);
}

/** Of several kinds of events changes can be done without: begin and end of a connection say more than all between them. */
export function dispensableEvents(
  socket: NetlinkSocket,
  mask: number,
  input: string,
  deliver: Deliver,
): Dispensable | undefined {
  const others = mask & ~CONNTRACK_UPDATE;
  if (others === 0 || others === mask) return undefined;
  let from = 0;
  return {
    what: 'UPDATE events',
    giveUp() {
      from = Date.now();
      socket.leave(NFNLGRP_CONNTRACK_UPDATE);
    },
    takeUp() {
      socket.join(NFNLGRP_CONNTRACK_UPDATE);
      // How many there were nobody knows: the kernel made none.
      deliver.gap({ input, from, to: Date.now(), lost: 0, exact: false, cause: 'UPDATE events left out' });
    },
  };
}
