import { defineInput } from '../pipeline/plugin.ts';
import { NetlinkSocket } from '../system/netlink-socket.ts';
import {
  align,
  messageEnd,
  messageType,
  NETLINK_NETFILTER,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSG_MIN_TYPE,
} from '../wire/netlink.ts';
import { decodeNfacct, dumpNfacct, NfacctCounter } from '../wire/nfacct.ts';
import { Malformed } from './malformed.ts';

/** The kernel fills datagrams of up to 32 KiB when the reader has room for them (netlink_recvmsg). */
const SLOT = (32 << 10) + 64;
const SLOTS = 4;

/** NFACCT: counters that rules count in. */
export default defineInput({
  name: 'NFACCT',
  summary: 'Reads the counters that rules with -m nfacct count in, every so often.',
  gives: 'sum',
  example: 'stack=acct1:NFACCT,gp1:GPRINT',
  options: {
    pollinterval: {
      type: 'int',
      default: 60,
      min: 1,
      unit: 'seconds',
      required: true,
      doc: 'Time between two readings.',
    },
    zerocounter: {
      type: 'bool',
      default: true,
      doc: 'Set the counters to zero as they are read: each event is an interval.',
    },
    timestamp: { type: 'bool', default: false, doc: 'Give the time of the reading as oob.time.sec and oob.time.usec.' },
    network_namespace_path: {
      type: 'string',
      default: '',
      doc: 'File of the network namespace to ask in, such as /run/netns/NAME; empty means that of the daemon.',
    },
  },
  writes: {
    'sum.name': { type: 'string', doc: 'Name of the counter.' },
    'sum.pkts': { type: 'u64', doc: 'Packets counted.' },
    'sum.bytes': { type: 'u64', doc: 'Bytes counted.' },
    sum: { type: 'raw', doc: 'The whole netlink message.' },
    'oob.time.sec': { type: 'u32', doc: 'Time of the reading, in seconds since 1970.' },
    'oob.time.usec': { type: 'u32', doc: 'Microseconds beyond oob.time.sec.' },
  },
  link({ id, options, write, record, memory, clock, log, compat }, deliver) {
    const { view } = record;
    const slots = memory.slots('NFACCT: received', SLOTS, SLOT);
    const counter = new NfacctCounter();
    const malformed = new Malformed(`${id}:NFACCT`, log, deliver.ledger);
    const request = dumpNfacct(0, options.zerocounter);
    let socket: NetlinkSocket | undefined;
    let timer: NodeJS.Timeout | undefined;
    let asking = false;

    function ask(): void {
      if (asking || socket === undefined) return;
      asking = true;
      clock.update();
      socket.send(request);
    }

    function onDatagram(start: number, end: number): void {
      for (let at = start; at < end; ) {
        const next = messageEnd(view, at, end);
        if (next < 0) return malformed.count(view, at, end);
        const type = messageType(view, at);
        if (type === NLMSG_DONE || type === NLMSG_ERROR) asking = false;
        if (type === NLMSG_ERROR) log.error(`${id}:NFACCT: the kernel refuses to show counters`);
        else if (type >= NLMSG_MIN_TYPE) {
          if (decodeNfacct(view, at, next, counter)) onCounter(at, next);
          else malformed.count(view, at, next);
        }
        at += align(next - at);
      }
    }

    function onCounter(start: number, end: number): void {
      record.setBytes(write['sum.name'], counter.nameOffset, counter.nameLength);
      record.setWide(write['sum.pkts'], counter.packetsHigh, counter.packetsLow);
      record.setWide(write['sum.bytes'], counter.bytesHigh, counter.bytesLow);
      record.setBytes(write.sum, start, end - start);
      if (options.timestamp) {
        // ulogd 2.0.8 has the keys, and never fills them in.
        record.setNumber(write['oob.time.sec'], compat ? 0 : clock.seconds);
        record.setNumber(write['oob.time.usec'], compat ? 0 : clock.microseconds);
      }
      deliver.event();
    }

    return {
      start() {
        socket = NetlinkSocket.open({
          protocol: NETLINK_NETFILTER,
          namespace: options.network_namespace_path || undefined,
          ...slots,
        });
        socket.start({
          onDatagram,
          onBatchEnd: () => deliver.batch(),
          // A dump waits for its reader: the kernel writes the next part when the last one was read.
          onOverrun() {},
          onError(error) {
            asking = false;
            log.error(`${id}:NFACCT: ${error.message}`);
          },
        });
        timer = setInterval(ask, options.pollinterval * 1000);
      },
      /** Reads the counters now. */
      signal: ask,
      stop() {
        clearInterval(timer);
        socket?.drain();
        socket?.close();
        socket = undefined;
      },
    };
  },
});
