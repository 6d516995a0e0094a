import { defineFilter } from '../pipeline/plugin.ts';
import { InterfaceNames } from '../system/interface-names.ts';

/** As IFNAMSIZ. */
const NAME_LENGTH = 16;

/** IFINDEX: names of interfaces instead of their numbers. */
export default defineFilter({
  name: 'IFINDEX',
  summary: "Writes the names of the packet's interfaces.",
  accepts: ['raw', 'packet'],
  example: 'stack=log1:NFLOG,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,print1:PRINTPKT,emu1:LOGEMU',
  options: {},
  reads: {
    'oob.ifindex_in': { type: 'u32' },
    'oob.ifindex_out': { type: 'u32' },
  },
  writes: {
    'oob.in': { type: 'string', doc: 'Interface the packet came in by; empty if none.', ipfix: { field: 82 } },
    'oob.out': { type: 'string', doc: 'Interface the packet goes out by; empty if none.', ipfix: { field: 82 } },
  },
  link({ read, write, memory, record, namespace }) {
    const names = new InterfaceNames(namespace);
    const incoming = nameWriter(read['oob.ifindex_in'], write['oob.in']);
    const outgoing = nameWriter(read['oob.ifindex_out'], write['oob.out']);

    /** The name stays in memory from packet to packet: most come by the same interface as the one before. */
    function nameWriter(from: number, to: number): () => void {
      const at = memory.reserve(NAME_LENGTH);
      let index = 0;
      let length = 0;
      let version = 0;
      return () => {
        const current = record.valid[from] === 1 ? record.value[from]! : 0;
        if (current !== index || version !== names.version) {
          const name = current === 0 ? undefined : names.nameOf(current);
          length = Math.min(name?.length ?? 0, NAME_LENGTH);
          if (name) memory.bytes.set(name.subarray(0, length), at);
          index = current;
          version = names.version;
        }
        record.setBytes(to, at, length);
      };
    }

    return {
      run() {
        incoming();
        outgoing();
        return true;
      },
      start: () => names.open(),
      stop: () => names.close(),
    };
  },
});
