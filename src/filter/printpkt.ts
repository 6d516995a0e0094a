import { compileLine, type LineProgram } from '../pipeline/line-program.ts';
import { defineFilter } from '../pipeline/plugin.ts';
import type { Record } from '../pipeline/record.ts';
import { Literal, SLACK, writeHex } from '../wire/ascii.ts';
import { ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, MAX_HARDWARE_ADDRESS } from '../wire/ethernet.ts';
import { writeField } from '../wire/field.ts';
import { NFPROTO_ARP, NFPROTO_BRIDGE, NFPROTO_IPV4, NFPROTO_IPV6, NFPROTO_NETDEV } from '../wire/ip.ts';
import { IP_TEXT_LENGTH } from '../wire/ip-text.ts';
import { printableRoom, writePrintable } from '../wire/printable.ts';
import { linkArp, linkIpv4, linkIpv6 } from './printpkt-network.ts';
import { printpktReads } from './printpkt-reads.ts';

/** Most bytes of each text from outside that are shown: the kernel's limits are 127 for a prefix and 15 for an interface. */
const PREFIX = 1024;
const INTERFACE = 64;
const HEADER = 160;
/** Most bytes of a line: what comes from outside, two addresses, and under 600 of words and numbers. */
const ROOM =
  printableRoom(PREFIX + 2 * INTERFACE) + 3 * (HEADER + MAX_HARDWARE_ADDRESS) + 2 * IP_TEXT_LENGTH + 600 + SLACK;

const SPACE = 0x20;
const UID = new Literal('UID=');
const GID = new Literal('GID=');
const MARK = new Literal('MARK=0x');
const PROTO = new Literal('PROTO=');

/** PRINTPKT: a packet as one line of text, like those of the kernel's LOG target. */
export default defineFilter({
  name: 'PRINTPKT',
  summary: "Writes each packet as one line of text, like those of the kernel's LOG target.",
  accepts: ['packet'],
  example: 'stack=log1:NFLOG,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,print1:PRINTPKT,emu1:LOGEMU',
  options: {},
  reads: printpktReads,
  writes: {
    print: { type: 'string', doc: 'The packet as a line of text, with its line feed.' },
  },
  link({ read, write, record, memory, compat }) {
    const { 'oob.family': family, 'oob.protocol': protocol, 'oob.prefix': prefix, 'raw.mac': mac } = read;
    const { 'oob.in': indev, 'oob.out': outdev, 'oob.uid': uid, 'oob.gid': gid, 'oob.mark': mark } = read;
    const print = write.print;
    const start = memory.reserve(ROOM);
    const ipv4 = linkIpv4(read, compat);
    const ipv6 = linkIpv6(read, compat);
    const arp = linkArp(read, compat);

    const slots = { prefix, indev, outdev, mac };
    const writeHead = compileLine(
      `PRINTPKT ${compat} ${JSON.stringify(slots)}`,
      record,
      memory,
      (line) => describeHead(line, slots),
      (to, from, length) => writePrintable(memory.bytes, to, memory.bytes, from, length, compat),
    );

    function writeByEthertype(record: Record, at: number): number {
      const ethertype = record.valid[protocol] === 1 ? record.value[protocol]! : 0;
      switch (ethertype) {
        case ETHERTYPE_IPV4:
          return ipv4(record, at);
        case ETHERTYPE_IPV6:
          return ipv6(record, at);
        case ETHERTYPE_ARP:
          return arp(record, at);
        default:
          return writeField(record.bytes, record.view, at, PROTO, ethertype);
      }
    }

    function writeNetwork(record: Record, at: number): number {
      if (record.valid[family] === 0) return at;
      switch (record.value[family]) {
        case NFPROTO_IPV4:
          return ipv4(record, at);
        case NFPROTO_IPV6:
          return ipv6(record, at);
        case NFPROTO_BRIDGE:
          return writeByEthertype(record, at);
        // ulogd 2.0.8 shows nothing for these two.
        case NFPROTO_ARP:
          return compat ? at : arp(record, at);
        case NFPROTO_NETDEV:
          return compat ? at : writeByEthertype(record, at);
        default:
          return at;
      }
    }

    return {
      run(record) {
        const { bytes, view, value, valid } = record;
        let to = writeNetwork(record, writeHead(record.address, start, 0));
        if (valid[uid] === 1) to = writeField(bytes, view, to, UID, value[uid]! | 0);
        if (valid[gid] === 1) to = writeField(bytes, view, to, GID, value[gid]! | 0);
        if (valid[mark] === 1) {
          to = writeHex(bytes, MARK.writeTo(view, to), value[mark]! | 0);
          bytes[to++] = SPACE;
        }
        bytes[to++] = 0x0a;
        record.setBytes(print, start, to - start);
        return true;
      },
    };
  },
});

/** Slots of what stands before the packet's own headers. */
interface Head {
  readonly prefix: number;
  readonly indev: number;
  readonly outdev: number;
  readonly mac: number;
}

function describeHead(line: LineProgram, { prefix, indev, outdev, mac }: Head): void {
  line.ifValid(prefix, () => {
    line.printable(prefix, PREFIX);
    line.literal(' ');
  });
  line.ifValid(indev, () =>
    line.ifValid(outdev, () => {
      line.literal('IN=');
      line.printable(indev, INTERFACE);
      line.literal(' OUT=');
      line.printable(outdev, INTERFACE);
      line.literal(' ');
    }),
  );
  line.literal('MAC=');
  line.ifValid(mac, () => line.hardwareAddress(mac, HEADER));
  line.literal(' ');
}
