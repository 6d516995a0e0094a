import type { KeySpec } from '../pipeline/key.ts';
import { defineFilter } from '../pipeline/plugin.ts';
import { UNREAD } from '../pipeline/record.ts';
import { writeHardwareAddress } from '../wire/ascii.ts';
import {
  ARPHRD_ETHER,
  ARPHRD_VOID,
  ETHERNET_ADDRESS,
  ETHERNET_HEADER,
  ETHERTYPE_OFFSET,
  MAX_HARDWARE_ADDRESS,
} from '../wire/ethernet.ts';

/** Longest header that is shown whole: more than any driver in Linux has (LL_MAX_HEADER in linux/netdevice.h). */
const LONGEST_HEADER = 160;

const text = (doc: string) => ({ type: 'string', plain: true, doc }) as const satisfies KeySpec;

/** HWHDR: link layer addresses as text. */
export default defineFilter({
  name: 'HWHDR',
  summary: 'Writes link layer addresses as text.',
  accepts: ['raw', 'packet'],
  example: 'stack=log1:NFLOG,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,mac2str1:HWHDR,json1:JSON',
  options: {},
  reads: {
    'raw.type': { type: 'u16', optional: true },
    'oob.protocol': { type: 'u16' },
    'raw.mac': { type: 'raw', optional: true },
    'raw.mac.saddr': { type: 'raw', optional: true },
  },
  writes: {
    'raw.type': { type: 'u16', doc: 'Hardware type (ARPHRD): 1 is Ethernet, 65535 unknown.' },
    'oob.protocol': { type: 'u16', doc: 'Ethertype, from the Ethernet header if there is one.' },
    'mac.saddr.str': text('Hardware address of the sender.'),
    'mac.daddr.str': text('Hardware address of the receiver, for Ethernet.'),
    'mac.str': text('Link layer header.'),
  },
  link({ read, write, memory }) {
    const { 'raw.type': type, 'oob.protocol': protocol, 'raw.mac': header, 'raw.mac.saddr': sender } = read;
    const { 'mac.saddr.str': saddr, 'mac.daddr.str': daddr, 'mac.str': mac } = write;
    const typeOut = write['raw.type'];
    const protocolOut = write['oob.protocol'];
    const saddrAt = memory.reserve(3 * MAX_HARDWARE_ADDRESS);
    const macAt = memory.reserve(3 * LONGEST_HEADER);
    const headerWanted = mac !== UNREAD || daddr !== UNREAD;

    return {
      run(record) {
        const { bytes, view, value, extra, valid } = record;
        const start = value[header]!;
        const length = valid[header] === 1 ? extra[header]! : 0;
        record.copy(protocol, protocolOut);
        let hardware = ARPHRD_VOID;
        if (valid[type] === 1) hardware = value[type]!;
        // Without a type, ulogd 2.0.8 knows Ethernet by the length of its header.
        else if (length === ETHERNET_HEADER) hardware = ARPHRD_ETHER;
        if (valid[type] === 1 || length > 0 || valid[sender] === 1) record.setNumber(typeOut, hardware);

        const ethernet = hardware === ARPHRD_ETHER && length >= ETHERNET_HEADER;
        if (ethernet) record.setNumber(protocolOut, view.getUint16(start + ETHERTYPE_OFFSET));
        if (valid[sender] === 1 || ethernet) {
          const from = valid[sender] === 1 ? value[sender]! : start + ETHERNET_ADDRESS;
          const size = valid[sender] === 1 ? Math.min(extra[sender]!, MAX_HARDWARE_ADDRESS) : ETHERNET_ADDRESS;
          record.setBytes(saddr, saddrAt, writeHardwareAddress(bytes, saddrAt, bytes, from, size) - saddrAt);
        }
        if (length > 0 && headerWanted) {
          const end = writeHardwareAddress(bytes, macAt, bytes, start, Math.min(length, LONGEST_HEADER));
          record.setBytes(mac, macAt, end - macAt);
          // An Ethernet header begins with the receiver's address, and so does its text.
          if (ethernet) record.setBytes(daddr, macAt, 3 * ETHERNET_ADDRESS - 1);
        }
        return true;
      },
    };
  },
});
