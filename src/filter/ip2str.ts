import type { KeySpec } from '../pipeline/key.ts';
import { defineFilter } from '../pipeline/plugin.ts';
import { IP_TEXT_ROOM, writeDottedQuad, writeIp } from '../wire/ip-text.ts';
import { addressReads, conversions } from './address-reads.ts';

const text = (doc: string) => ({ type: 'string', plain: true, doc }) as const satisfies KeySpec;

/** IP2STR: addresses as people write them. */
export default defineFilter({
  name: 'IP2STR',
  summary: 'Writes every address as text.',
  accepts: ['packet', 'flow'],
  example: 'stack=ct1:NFCT,ip2str1:IP2STR,json1:JSON',
  options: {},
  reads: addressReads,
  writes: {
    'ip.saddr.str': { ...text('Source address of the packet.'), cim: 'src_ip' },
    'ip.daddr.str': { ...text('Destination address of the packet.'), cim: 'dest_ip' },
    'orig.ip.saddr.str': { ...text('Source address in the original direction.'), cim: 'src_ip' },
    'orig.ip.daddr.str': { ...text('Destination address in the original direction.'), cim: 'dest_ip' },
    'reply.ip.saddr.str': text('Source address in the reply direction.'),
    'reply.ip.daddr.str': text('Destination address in the reply direction.'),
    'arp.saddr.str': text('Protocol address of the ARP sender.'),
    'arp.daddr.str': text('Protocol address of the ARP target.'),
  },
  link({ read, write, memory }) {
    const pairs = conversions(read, write, (key) => `${key}.str`);
    const from = Int32Array.from(pairs, (pair) => pair.from);
    const to = Int32Array.from(pairs, (pair) => pair.to);
    const at = Int32Array.from(pairs, () => memory.reserve(IP_TEXT_ROOM));
    return {
      run(record) {
        const { bytes, view, value, extra, valid } = record;
        for (let i = 0; i < from.length; i++) {
          const slot = from[i]!;
          if (valid[slot] === 0) continue;
          const start = at[i]!;
          const length = extra[slot]!;
          const end =
            length === 4
              ? writeDottedQuad(view, start, bytes, value[slot]!)
              : writeIp(bytes, start, bytes, value[slot]!, length);
          record.setBytes(to[i]!, start, end - start);
        }
        return true;
      },
    };
  },
});
