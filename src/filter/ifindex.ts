import { NeutronMap } from '../neutron/neutron-map.ts';
import { Ovsdb } from '../neutron/ovsdb.ts';
import { PORT_ID_LENGTH, PortDevices } from '../neutron/port-device.ts';
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
      doc: "Id of the Neutron port that oob.in is named for, in a router's namespace: its first 11 characters where neither [neutron] ovsdb= nor map= has the whole.",
    },
    'oif.port.id': { type: 'string', doc: 'The same for oob.out.' },
  },
  link({ id, read, write, wanted, memory, record, namespace, compat, neutron, log }) {
    const names = new InterfaceNames(namespace);
    const text = Buffer.from(memory.buffer);
    // In a host's own namespace a name says nothing certain.
    const asksPorts = namespace !== undefined && !compat && (wanted('iif.port.id') || wanted('oif.port.id'));
    const ports = asksPorts ? new PortDevices(NeutronMap.of(neutron.map), Ovsdb.of(neutron.ovsdb)) : undefined;
    const report = (message: string) => log.error(`${id}:IFINDEX: ${message}`);
    const incoming = nameWriter(read['oob.ifindex_in'], write['oob.in'], write['iif.port.id']);
    const outgoing = nameWriter(read['oob.ifindex_out'], write['oob.out'], write['oif.port.id']);

    /** The name stays in memory from packet to packet: most come by the same interface as the one before. */
    function nameWriter(from: number, to: number, toPort: number): () => void {
      const at = memory.reserve(NAME_LENGTH);
      const portAt = memory.reserve(PORT_ID_LENGTH);
      let index = 0;
      let length = 0;
      /** Of the port's id; 0 when it has none. */
      let portLength = 0;
      let version = 0;
      let portVersion = 0;
      return () => {
        const current = record.valid[from] === 1 ? record.value[from]! : 0;
        if (current !== index || version !== names.version || (ports !== undefined && portVersion !== ports.version)) {
          const name = current === 0 ? undefined : names.nameOf(current);
          length = Math.min(name?.length ?? 0, NAME_LENGTH);
          if (name) memory.bytes.set(name.subarray(0, length), at);
          const port = name && ports?.idOf(Buffer.from(name).toString('latin1'));
          portLength = port === undefined ? 0 : text.write(port, portAt, PORT_ID_LENGTH, 'latin1');
          index = current;
          version = names.version;
          portVersion = ports?.version ?? 0;
        }
        record.setBytes(to, at, length);
        if (portLength > 0) record.setBytes(toPort, portAt, portLength);
      };
    }

    return {
      run() {
        incoming();
        outgoing();
        return true;
      },
      async start() {
        await names.open();
        ports?.open(report); // last: a start that fails is not stopped
      },
      stop() {
        ports?.close(report);
        names.close();
      },
    };
  },
});
