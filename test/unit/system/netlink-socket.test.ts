import { expect, test, vi } from 'vitest';
import { NetlinkSocket } from '../../../src/system/netlink-socket.ts';
import { NETLINK_NETFILTER } from '../../../src/wire/netlink.ts';
import { FakeKernel } from '../../support/fake-netlink.ts';

vi.mock('../../../src/system/native.ts', async (original) => ({
  ...(await original<object>()),
  openNativeSocket: (await import('../../support/fake-netlink.ts')).openFakeSocket,
}));

test.each([
  [1, 3],
  [2, 6],
  [undefined, 20],
])('a turn of %s batches takes no more of what waits: %d datagrams', (turn, datagrams) => {
  const kernel = new FakeKernel();
  const socket = NetlinkSocket.open({
    protocol: NETLINK_NETFILTER,
    memory: new ArrayBuffer(256),
    offset: 0,
    slotSize: 64,
    slots: 3,
    ...(turn === undefined ? {} : { turn }),
  });
  let seen = 0;
  socket.start({ onDatagram: () => void seen++, onBatchEnd() {}, onOverrun() {} });
  for (let i = 0; i < 20; i++) kernel.sockets[0]?.bring(new Uint8Array(16));
  socket.turn();
  expect(seen).toBe(datagrams);
  socket.close();
});
