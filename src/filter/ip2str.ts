import type { KeySpec } from '../pipeline/key.ts';
import type { Memory } from '../pipeline/memory.ts';
import { defineFilter } from '../pipeline/plugin.ts';
import type { Record } from '../pipeline/record.ts';
import { IP_TEXT_ROOM, writeIp } from '../wire/ip-text.ts';
import { dottedQuadCode, OCTETS_SIZE, writeOctets } from '../wire/line-code.ts';
import { Code, type Compiled, compile, compiledOnce, I32, LOAD, OP, STORE } from '../wire/wasm.ts';
import { addressReads, type Conversion, conversions } from './address-reads.ts';

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
  link({ read, write, record, memory }) {
    const pairs = conversions(read, write, (key) => `${key}.str`);
    const texts = memory.reserve(pairs.length * IP_TEXT_ROOM);
    const key = `IP2STR ${record.value.length} ${JSON.stringify(pairs)}`;
    const convert = compiledOnce(memory.linear, key, () => compileConversions(pairs, record, memory));
    return {
      run({ address }) {
        convert(address, texts);
        return true;
      },
    };
  },
});

// The functions of the module by number: imports first.
const ANY_ADDRESS = 0;
const DOTTED_QUAD = 1;

/** (record, texts): makes text of each address that is valid, in a room of its own from `texts` on. */
function compileConversions(pairs: readonly Conversion[], record: Record, memory: Memory): Compiled {
  const { bytes } = memory;
  const octets = memory.slots('IP2STR: octets', 1, OCTETS_SIZE).offset;
  writeOctets(bytes, octets);
  const anyAddress = {
    parameters: [I32, I32, I32],
    results: [I32],
    call: (to: number, from: number, length: number) => writeIp(bytes, to, bytes, from, length),
  };
  const code = new Code([I32, I32], [I32]);
  const [at, text] = [0, 1];
  const length = code.local(I32);
  for (const { from, to } of pairs) {
    const address = () => code.get(text).get(at).load(LOAD.u32, record.valueAt(from));
    code.get(at).load(LOAD.u8, from);
    code.if(() => {
      code.get(at).i32(1).store(STORE.u8, to);
      code.get(at).get(text).store(STORE.u32, record.valueAt(to));
      code.get(at).get(at).load(LOAD.u32, record.extraAt(from)).tee(length).i32(4).op(OP.i32Eq);
      code.choose(
        I32,
        () => address().call(DOTTED_QUAD),
        () => address().get(length).call(ANY_ADDRESS),
      );
      code.get(text).op(OP.i32Sub).store(STORE.u32, record.extraAt(to));
    });
    code.get(text).i32(IP_TEXT_ROOM).op(OP.i32Add).set(text);
  }
  code.i32(0);
  return compile(memory.linear, [anyAddress], [dottedQuadCode(octets), code]);
}
