import type { KeySpec } from '../pipeline/key.ts';
import { defineFilter } from '../pipeline/plugin.ts';
import { HOST_LITTLE_ENDIAN } from '../wire/netlink.ts';
import { addressReads, conversions, ulogdConverts } from './address-reads.ts';

const host = (doc: string) => ({ type: 'ip', doc }) as const satisfies KeySpec;

/** IP2HBIN: IPv4 addresses as numbers that compare and sort. */
export default defineFilter({
  name: 'IP2HBIN',
  summary: "Writes every IPv4 address in the machine's byte order, as databases store it for sorting; IPv6 as it is.",
  accepts: ['packet', 'flow'],
  example: 'stack=ct1:NFCT,ip2hbin1:IP2HBIN,op1:OPRINT',
  options: {},
  reads: addressReads,
  writes: {
    'ip.hsaddr': host('Source address of the packet, in host order.'),
    'ip.hdaddr': host('Destination address of the packet, in host order.'),
    'orig.ip.hsaddr': host('Source address in the original direction, in host order.'),
    'orig.ip.hdaddr': host('Destination address in the original direction, in host order.'),
    'reply.ip.hsaddr': host('Source address in the reply direction, in host order.'),
    'reply.ip.hdaddr': host('Destination address in the reply direction, in host order.'),
    'arp.hsaddr': host('Protocol address of the ARP sender, in host order.'),
    'arp.hdaddr': host('Protocol address of the ARP target, in host order.'),
  },
  link({ read, write, memory, compat }) {
    const pairs = conversions(read, write, (key) => key.replace(/(?=.addr$)/, 'h'))
      .filter((pair) => !compat || ulogdConverts(pair))
      .map(({ from, to }) => ({ from, to, at: memory.reserve(4) }));
    const from = Int32Array.from(pairs, (pair) => pair.from);
    const to = Int32Array.from(pairs, (pair) => pair.to);
    const at = Int32Array.from(pairs, (pair) => pair.at);
    return {
      run(record) {
        const { bytes, value, extra, valid } = record;
        for (let i = 0; i < from.length; i++) {
          const slot = from[i]!;
          if (valid[slot] === 0) continue;
          if (extra[slot] !== 4 || !HOST_LITTLE_ENDIAN) record.copy(slot, to[i]!);
          else {
            const last = value[slot]! + 3;
            const start = at[i]!;
            for (let byte = 0; byte < 4; byte++) bytes[start + byte] = bytes[last - byte]!;
            record.setBytes(to[i]!, start, 4);
          }
        }
        return true;
      },
    };
  },
});
