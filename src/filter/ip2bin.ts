import type { KeySpec } from '../pipeline/key.ts';
import { defineFilter } from '../pipeline/plugin.ts';
import { writePaddedHex } from '../wire/ascii.ts';
import { addressReads, conversions, ulogdConverts } from './address-reads.ts';

/** `0x` and the 32 digits of 16 bytes. */
const LENGTH = 34;
/** Offset of the last four bytes' digits, where an IPv4 address stands. */
const IPV4_DIGITS = 26;

const text = (doc: string) => ({ type: 'rawstr', plain: true, doc }) as const satisfies KeySpec;

/** IP2BIN: addresses as hexadecimal literals of a database. */
export default defineFilter({
  name: 'IP2BIN',
  summary: 'Writes every address as the literal of 16 bytes that MySQL reads; IPv4 as ::ffff:a.b.c.d.',
  accepts: ['packet', 'flow'],
  example: 'stack=ct1:NFCT,ip2bin1:IP2BIN,op1:OPRINT',
  options: {},
  reads: addressReads,
  writes: {
    'ip.saddr.bin': text('Source address of the packet.'),
    'ip.daddr.bin': text('Destination address of the packet.'),
    'orig.ip.saddr.bin': text('Source address in the original direction.'),
    'orig.ip.daddr.bin': text('Destination address in the original direction.'),
    'reply.ip.saddr.bin': text('Source address in the reply direction.'),
    'reply.ip.daddr.bin': text('Destination address in the reply direction.'),
    'arp.saddr.bin': text('Protocol address of the ARP sender.'),
    'arp.daddr.bin': text('Protocol address of the ARP target.'),
  },
  link({ read, write, memory, compat }) {
    const pairs = conversions(read, write, (key) => `${key}.bin`)
      .filter((pair) => !compat || ulogdConverts(pair))
      .map(({ from, to }) => ({ from, to, ipv4: memory.reserve(LENGTH), ipv6: memory.reserve(LENGTH) }));
    const from = Int32Array.from(pairs, (pair) => pair.from);
    const to = Int32Array.from(pairs, (pair) => pair.to);
    const ipv4 = Int32Array.from(pairs, (pair) => pair.ipv4);
    const ipv6 = Int32Array.from(pairs, (pair) => pair.ipv6);
    for (const pair of pairs) {
      memory.bytes.set(Buffer.from('0x00000000000000000000ffff'), pair.ipv4);
      memory.bytes.set(Buffer.from('0x'), pair.ipv6);
    }
    return {
      run(record) {
        const { bytes, value, extra, valid } = record;
        for (let i = 0; i < from.length; i++) {
          const slot = from[i]!;
          if (valid[slot] === 0) continue;
          const short = extra[slot] === 4;
          const at = short ? ipv4[i]! : ipv6[i]!;
          let digit = at + (short ? IPV4_DIGITS : 2);
          for (let byte = value[slot]!; digit < at + LENGTH; byte++)
            digit = writePaddedHex(bytes, digit, bytes[byte]!, 2);
          record.setBytes(to[i]!, at, LENGTH);
        }
        return true;
      },
    };
  },
});
