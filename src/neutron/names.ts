import { parseIp } from '../wire/ip-text.ts';
import type { OvsPort } from './ovs-ports.ts';
import { PORT_PREFIX_LENGTH } from './port-device.ts';

/** What Neutron knows of a floating address. */
export interface FloatingName {
  readonly id: string;
  readonly floating: string;
  readonly fixed: string | undefined;
  readonly port: string | undefined;
  readonly router: string | undefined;
  readonly project: string | undefined;
}

/** What Neutron knows of a port. */
export interface PortName {
  readonly id: string;
  readonly addresses: readonly string[];
  readonly project: string | undefined;
  readonly device: string | undefined;
}

/** A packet log that somebody asked Neutron for (`openstack network log create`). */
export interface LogName {
  readonly id: string;
  readonly project: string | undefined;
  readonly resource: string | undefined;
  readonly target: string | undefined;
  /** ALL, ACCEPT or DROP. */
  readonly event: string;
}

/** What is behind an address: each only when the map says so without doubt. */
export interface Identity {
  readonly floatingIp: string | undefined;
  readonly port: string | undefined;
  readonly project: string | undefined;
  readonly serverId: string | undefined;
  /** Its name. */
  readonly server: string | undefined;
}

type Row = Readonly<Record<string, unknown>>;
const LISTS = ['floating_ips', 'ports', 'servers', 'logs', 'routers', 'projects'] as const;
type ListName = (typeof LISTS)[number];

/** The names in a map file. Its lists are what `openstack … list --long -f json` prints, in an object by their names. */
export class Names {
  readonly #floating = new Map<string, FloatingName>();
  readonly #ports = new Map<string, PortName>();
  readonly #byAddress = new Map<string, PortName[]>();
  /** By the first characters of the id; `several` when it is no one's alone. */
  readonly #byPrefix = new Map<string, PortName | 'several'>();
  readonly #servers = new Map<string, { readonly name: string; readonly addresses: ReadonlySet<string> }>();
  readonly #serversByAddress = new Map<string, string[]>();
  readonly logs: readonly LogName[];

  /** Throws an Error that says what is not as it should be. */
  constructor(value: unknown) {
    const lists = listsOf(value);
    for (const row of lists.floating_ips) this.#addFloating(row);
    for (const row of lists.ports) this.#addPort(row);
    for (const row of lists.servers) this.#addServer(row);
    this.logs = lists.logs.flatMap((row) => {
      const id = text(row, 'ID', 'id');
      // A log that is switched off logs nothing.
      if (id === undefined || row.Enabled === false || row.enabled === false) return [];
      return [
        {
          id,
          project: text(row, 'Project', 'Project ID', 'project_id'),
          resource: text(row, 'Resource', 'resource_id'),
          target: text(row, 'Target', 'target_id'),
          event: text(row, 'Event', 'event') ?? 'ALL',
        },
      ];
    });
  }

  /** How many floating addresses and ports it names. */
  get size(): number {
    return this.#floating.size + this.#ports.size;
  }

  /**
   * Who is behind a fixed address, and behind a floating one that stands for it; texts as `writeIp` writes them. `seen` is the port
   * of this host that the address is sent to, if it is one: it counts where the lists do not say.
   */
  identify(fixed: string, floating: string | undefined, seen?: OvsPort): Identity {
    const named = floating === undefined ? undefined : this.#floating.get(floating);
    // The map is of today: of an address that was another's at the time it says nothing.
    const own = named?.fixed === fixed ? named : undefined;
    const id = own?.port ?? this.#onlyPort(fixed)?.id ?? seen?.id;
    const port = id === undefined ? undefined : this.#ports.get(id);
    const server = this.#serverOf(port, fixed, own?.floating) ?? (id === seen?.id ? seen?.server : undefined);
    return {
      floatingIp: own?.id,
      port: id,
      project: own?.project ?? port?.project,
      serverId: server,
      server: server === undefined ? undefined : this.#servers.get(server)?.name,
    };
  }

  /** The port of this id. */
  port(id: string): PortName | undefined {
    return this.#ports.get(id);
  }

  /** The port whose id begins with these 11 characters, as in the names of devices. Undefined when there are several. */
  portByPrefix(prefix: string): PortName | undefined {
    const found = this.#byPrefix.get(prefix);
    return found === 'several' ? undefined : found;
  }

  /** Fixed addresses of several projects may be the same: then nobody is named. */
  #onlyPort(fixed: string): PortName | undefined {
    const ports = this.#byAddress.get(fixed);
    return ports?.length === 1 ? ports[0] : undefined;
  }

  /** Its id. */
  #serverOf(port: PortName | undefined, fixed: string, floating: string | undefined): string | undefined {
    if (port?.device !== undefined && this.#servers.has(port.device)) return port.device;
    const ids = this.#serversByAddress.get(fixed) ?? [];
    const both = floating === undefined ? [] : ids.filter((id) => this.#servers.get(id)?.addresses.has(floating));
    if (both.length === 1) return both[0];
    // Without a port to tell them apart, an address that the map shows once is that of one server.
    return ids.length === 1 && (this.#byAddress.get(fixed)?.length ?? 0) <= 1 ? ids[0] : undefined;
  }

  #addFloating(row: Row): void {
    const id = text(row, 'ID', 'id');
    const floating = address(text(row, 'Floating IP Address', 'floating_ip_address'));
    if (id === undefined || floating === undefined) return;
    this.#floating.set(floating, {
      id,
      floating,
      fixed: address(text(row, 'Fixed IP Address', 'fixed_ip_address')),
      port: text(row, 'Port', 'port_id'),
      router: text(row, 'Router', 'router_id'),
      project: text(row, 'Project', 'Project ID', 'project_id'),
    });
  }

  #addPort(row: Row): void {
    const id = text(row, 'ID', 'id');
    if (id === undefined) return;
    const fixed = row['Fixed IP Addresses'] ?? row.fixed_ips;
    const rows = Array.isArray(fixed) ? (fixed as Row[]) : [];
    const addresses = rows.flatMap((one) => address(text(one, 'ip_address')) ?? []);
    const port = {
      id,
      addresses,
      project: text(row, 'Project', 'Project ID', 'project_id'),
      device: text(row, 'Device ID', 'device_id'),
    };
    this.#ports.set(id, port);
    const prefix = id.slice(0, PORT_PREFIX_LENGTH);
    const other = this.#byPrefix.get(prefix);
    this.#byPrefix.set(prefix, other === undefined || (other !== 'several' && other.id === id) ? port : 'several');
    for (const one of addresses) this.#byAddress.set(one, [...(this.#byAddress.get(one) ?? []), port]);
  }

  #addServer(row: Row): void {
    const id = text(row, 'ID', 'id');
    const name = text(row, 'Name', 'name');
    if (id === undefined || name === undefined) return;
    const networks = row.Networks ?? row.addresses;
    const lists = typeof networks === 'object' && networks !== null ? Object.values(networks) : [];
    const addresses = new Set(lists.flat().flatMap((one) => (typeof one === 'string' ? (address(one) ?? []) : [])));
    this.#servers.set(id, { name, addresses });
    for (const one of addresses) this.#serversByAddress.set(one, [...(this.#serversByAddress.get(one) ?? []), id]);
  }
}

/** A bare list is that of floating addresses. */
function listsOf(value: unknown): { readonly [Name in ListName]: readonly Row[] } {
  const object = Array.isArray(value) ? { floating_ips: value } : value;
  if (typeof object !== 'object' || object === null)
    throw new Error(`neither a list nor an object with ${LISTS.join(', ')}`);
  const lists = Object.fromEntries(LISTS.map((name) => [name, [] as Row[]])) as { [Name in ListName]: Row[] };
  for (const [name, rows] of Object.entries(object)) {
    if (!(LISTS as readonly string[]).includes(name)) throw new Error(`"${name}" is none of ${LISTS.join(', ')}`);
    if (!Array.isArray(rows)) throw new Error(`"${name}" is no list`);
    for (const [index, row] of rows.entries()) {
      if (typeof row !== 'object' || row === null) throw new Error(`"${name}": entry ${index + 1} is no object`);
      lists[name as ListName].push(row as Row);
    }
  }
  return lists;
}

function text(row: Row, ...names: readonly string[]): string | undefined {
  for (const name of names) {
    const value = row[name];
    if (typeof value === 'string' && value !== '' && value !== 'None') return value;
  }
  return undefined;
}

/** An address as `writeIp` writes it, so that texts can be compared. */
function address(value: string | undefined): string | undefined {
  if (value === undefined) return undefined;
  const bytes = parseIp(value);
  return bytes === undefined
    ? undefined
    : bytes.length === 4
      ? value
      : new URL(`http://[${value}]`).hostname.slice(1, -1);
}
