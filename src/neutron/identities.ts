import { AddressMap } from '../router/address-map.ts';
import { same } from '../router/floating-ips.ts';
import type { Neighbours } from '../router/neighbours.ts';
import { ipText } from '../wire/ip-text.ts';
import { Names } from './names.ts';
import type { NeutronMap } from './neutron-map.ts';
import type { Ovsdb } from './ovsdb.ts';

/** Identities that are remembered: more addresses than talk at a time. */
const REMEMBERED = 16_384;
/** The longest text that is handed out, in bytes: as long as Neutron and Nova let names be. */
export const LONGEST_NAME = 255;

/** Who is behind an address, as texts in UTF-8; what is not known is missing. */
export interface IdentityTexts {
  readonly floatingIp: Uint8Array | undefined;
  readonly port: Uint8Array | undefined;
  readonly project: Uint8Array | undefined;
  readonly serverId: Uint8Array | undefined;
  readonly server: Uint8Array | undefined;
}

const UNKNOWN: IdentityTexts = {
  floatingIp: undefined,
  port: undefined,
  project: undefined,
  serverId: undefined,
  server: undefined,
};
const NOWHERE = new Names([]);

/** Answers from a map and from Open vSwitch, remembered by address so that the next event of an address makes no string. */
export class Identities {
  readonly #map: NeutronMap | undefined;
  readonly #ovsdb: Ovsdb | undefined;
  readonly #neighbours: Neighbours;
  readonly #byFixed = new AddressMap();
  #texts: IdentityTexts[] = [];
  /** The floating address that each answer was for: 16 bytes each, of which `#lengths` count. With the first answer there is room for them. */
  #floating = new DataView(new ArrayBuffer(0));
  #lengths = new Uint8Array(0);
  /** The Ethernet address behind the fixed address of each answer. */
  #macs = new Float64Array(0);
  #mapVersion = 0;
  #ovsdbVersion = 0;

  /** `neighbours` are those of the namespace whose addresses are asked for. */
  constructor(map: NeutronMap | undefined, ovsdb: Ovsdb | undefined, neighbours: Neighbours) {
    this.#map = map;
    this.#ovsdb = ovsdb;
    this.#neighbours = neighbours;
  }

  /** Who is behind a fixed address, and the floating one at `floating` that stands for it (-1: none). */
  find(view: DataView, fixed: number, floating: number, length: number): IdentityTexts {
    const mapVersion = this.#map?.version ?? 0;
    const ovsdbVersion = this.#ovsdb?.version ?? 0;
    if (mapVersion === 0 && ovsdbVersion === 0) return UNKNOWN;
    if (mapVersion !== this.#mapVersion || ovsdbVersion !== this.#ovsdbVersion) {
      this.#mapVersion = mapVersion;
      this.#ovsdbVersion = ovsdbVersion;
      this.#forget();
    }
    const mac = this.#neighbours.macOf(view, fixed, length);
    const size = floating < 0 ? 0 : length;
    const known = this.#byFixed.get(view, fixed, length) - 1;
    if (
      known >= 0 &&
      this.#lengths[known] === size &&
      this.#macs[known] === mac &&
      (size === 0 || same(view, floating, this.#floating, 16 * known, size))
    ) {
      return this.#texts[known]!;
    }
    return this.#ask(view, fixed, floating, length, mac);
  }

  #ask(view: DataView, fixed: number, floating: number, length: number, mac: number): IdentityTexts {
    const identity = (this.#map?.names ?? NOWHERE).identify(
      textOf(view, fixed, length),
      floating < 0 ? undefined : textOf(view, floating, length),
      mac === 0 ? undefined : this.#ovsdb?.portOfMac(mac),
    );
    const texts = {
      floatingIp: bytesOf(identity.floatingIp),
      port: bytesOf(identity.port),
      project: bytesOf(identity.project),
      serverId: bytesOf(identity.serverId),
      server: bytesOf(identity.server),
    };
    if (this.#lengths.length === 0) {
      this.#floating = new DataView(new ArrayBuffer(16 * REMEMBERED));
      this.#lengths = new Uint8Array(REMEMBERED);
      this.#macs = new Float64Array(REMEMBERED);
    }
    if (this.#texts.length === REMEMBERED) this.#forget();
    const place = this.#texts.push(texts) - 1;
    this.#macs[place] = mac;
    this.#lengths[place] = floating < 0 ? 0 : length;
    for (let i = 0; floating >= 0 && i < length; i++)
      this.#floating.setUint8(16 * place + i, view.getUint8(floating + i));
    this.#byFixed.set(view, fixed, length, place + 1);
    return texts;
  }

  #forget(): void {
    this.#byFixed.clear();
    this.#texts = [];
  }
}

function bytesOf(text: string | undefined): Uint8Array | undefined {
  if (text === undefined) return undefined;
  let bytes = Buffer.from(text);
  // Half a character would be no text.
  for (let end = text.length; bytes.length > LONGEST_NAME; end--) bytes = Buffer.from(text.slice(0, end));
  return bytes;
}

function textOf(view: DataView, at: number, length: number): string {
  return ipText(new Uint8Array(view.buffer, view.byteOffset + at, length));
}
