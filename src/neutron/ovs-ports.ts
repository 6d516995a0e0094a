/** A port of Neutron as Open vSwitch knows it, by the external_ids that Neutron and Nova give its interface. */
export interface OvsPort {
  /** `iface-id`, a UUID. */
  readonly id: string;
  /** `attached-mac` as a number of 48 bits. */
  readonly mac: number | undefined;
  /** `vm-uuid`: the server whose port it is. */
  readonly server: string | undefined;
}

interface Row {
  readonly name: string;
  readonly port: OvsPort;
}

/** More than any host has; what comes beyond is left out. */
const MOST = 65_536;
const UUID = /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/;
const MAC = /^[\da-f]{2}(:[\da-f]{2}){5}$/;

/** The ports in the table Interface of Open vSwitch's database, by name and by MAC address. */
export class OvsPorts {
  readonly #rows = new Map<string, Row>();
  readonly #byName = new Map<string, OvsPort>();
  readonly #byMac = new Map<number, OvsPort[]>();

  /** The port that this interface is; undefined when it is none of Neutron's. */
  ofName(name: string): OvsPort | undefined {
    return this.#byName.get(name);
  }

  /** The port with this MAC address; undefined when there are several: the routers of a network may share one. */
  ofMac(mac: number): OvsPort | undefined {
    const ports = this.#byMac.get(mac);
    return ports?.length === 1 ? ports[0] : undefined;
  }

  /** Takes table-updates of RFC 7047, section 4.1.6. What is not as it says is no port. */
  update(tables: unknown): void {
    for (const [uuid, change] of entriesOf(entryOf(tables, 'Interface'))) {
      const row = rowOf(entryOf(change, 'new'));
      this.#remove(uuid);
      if (row !== undefined && this.#rows.size < MOST) this.#add(uuid, row);
    }
  }

  clear(): void {
    for (const map of [this.#rows, this.#byName, this.#byMac]) map.clear();
  }

  #add(uuid: string, row: Row): void {
    this.#rows.set(uuid, row);
    this.#byName.set(row.name, row.port);
    const { mac } = row.port;
    if (mac !== undefined) this.#byMac.set(mac, [...(this.#byMac.get(mac) ?? []), row.port]);
  }

  #remove(uuid: string): void {
    const row = this.#rows.get(uuid);
    if (row === undefined) return;
    this.#rows.delete(uuid);
    // Another interface may have taken the name before.
    if (this.#byName.get(row.name) === row.port) this.#byName.delete(row.name);
    const { mac } = row.port;
    const rest = mac === undefined ? [] : (this.#byMac.get(mac) ?? []).filter((port) => port !== row.port);
    if (mac === undefined) return;
    if (rest.length > 0) this.#byMac.set(mac, rest);
    else this.#byMac.delete(mac);
  }
}

function rowOf(row: unknown): Row | undefined {
  const name = entryOf(row, 'name');
  const ids = entryOf(row, 'external_ids');
  const pairs = Array.isArray(ids) && ids[0] === 'map' && Array.isArray(ids[1]) ? ids[1] : [];
  const texts = new Map<string, string>();
  for (const pair of pairs as unknown[]) {
    if (Array.isArray(pair) && typeof pair[0] === 'string' && typeof pair[1] === 'string') texts.set(pair[0], pair[1]);
  }
  const id = texts.get('iface-id');
  if (typeof name !== 'string' || id === undefined || !UUID.test(id)) return undefined;
  const mac = texts.get('attached-mac')?.toLowerCase() ?? '';
  const server = texts.get('vm-uuid') ?? '';
  return {
    name,
    port: {
      id,
      mac: MAC.test(mac) ? Number.parseInt(mac.replaceAll(':', ''), 16) : undefined,
      server: UUID.test(server) ? server : undefined,
    },
  };
}

function entriesOf(value: unknown): [string, unknown][] {
  return typeof value === 'object' && value !== null ? Object.entries(value) : [];
}

function entryOf(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>)[name] : undefined;
}
