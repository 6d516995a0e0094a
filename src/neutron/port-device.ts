import type { NeutronMap } from './neutron-map.ts';
import type { Ovsdb } from './ovsdb.ts';

/** Neutron cuts a port's id to this in the names of its devices (LINUX_DEV_LEN, 14). */
export const PORT_PREFIX_LENGTH = 11;
/** Characters of a whole id. */
export const PORT_ID_LENGTH = 36;

/**
 * Devices that are named for a port: of a router's inside, its gateway, its inside at the SNAT node, its high availability, the
 * gateway of a floating-IP namespace, and those of DHCP. `rfp-` and `fpr-` have a part of the router's id, and are no ports.
 */
const PORT_DEVICE = /^(?:qr-|qg-|sg-|ha-|fg-|tap|ns-)([\da-f]{8}-[\da-f]{2})$/;

/** Whose port a device is. */
export class PortDevices {
  readonly #map: NeutronMap | undefined;
  readonly #ovsdb: Ovsdb | undefined;

  constructor(map: NeutronMap | undefined, ovsdb: Ovsdb | undefined) {
    this.#map = map;
    this.#ovsdb = ovsdb;
  }

  /** Changes when an answer may. */
  get version(): number {
    return (this.#map?.version ?? 0) + (this.#ovsdb?.version ?? 0);
  }

  /** The id of the port: whole where Open vSwitch or the map has it, otherwise its first 11 characters; undefined when the name is no port's. */
  idOf(device: string): string | undefined {
    const prefix = PORT_DEVICE.exec(device)?.[1];
    if (prefix === undefined) return undefined;
    return this.#ovsdb?.portOf(device)?.id ?? this.#map?.names?.portByPrefix(prefix)?.id ?? prefix;
  }

  open(report: (message: string) => void): void {
    this.#map?.open(report);
    this.#ovsdb?.open(report);
  }

  /** `report` is that of `open`. */
  close(report: (message: string) => void): void {
    this.#map?.close(report);
    this.#ovsdb?.close(report);
  }
}
