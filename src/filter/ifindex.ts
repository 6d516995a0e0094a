import { PORT_PREFIX_LENGTH, portPrefixAt } from '../neutron/port-device.ts';
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
    'iif.port.id': {
      type: 'string',
      plain: true,
      doc: "First 11 characters of the id of the Neutron port that oob.in is named for, in a router's namespace.",
    },
    'oif.port.id': { type: 'string', plain: true, doc: 'The same for oob.out.' },
  },
  link({ read, write, memory, record, namespace, compat }) {
    const names = new InterfaceNames(namespace);
    /** In a host's own namespace a name says nothing certain. */
    const hasPorts = namespace !== undefined && !compat;
    const incoming = nameWriter(read['oob.ifindex_in'], write['oob.in'], write['iif.port.id']);
    const outgoing = nameWriter(read['oob.ifindex_out'], write['oob.out'], write['oif.port.id']);

    /** The name stays in memory from packet to packet: most come by the same interface as the one before. */
    function nameWriter(from: number, to: number, toPort: number): () => void {
      const at = memory.reserve(NAME_LENGTH);
      let index = 0;
      let length = 0;
      /** Where the port's id begins in the name; -1 when it has none. */
      let port = -1;
      let version = 0;
      return () => {
        const current = record.valid[from] === 1 ? record.value[from]! : 0;
        if (current !== index || version !== names.version) {
          const name = current === 0 ? undefined : names.nameOf(current);
          length = Math.min(name?.length ?? 0, NAME_LENGTH);
          if (name) memory.bytes.set(name.subarray(0, length), at);
          port = hasPorts && name ? portPrefixAt(name) : -1;
          index = current;
          version = names.version;
        }
        record.setBytes(to, at, length);
        if (port >= 0) record.setBytes(toPort, at + port, PORT_PREFIX_LENGTH);
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
