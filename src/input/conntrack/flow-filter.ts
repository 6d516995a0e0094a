import { parseProtocol } from '../../system/ip-protocol.ts';
import type { ConntrackEntry } from '../../wire/conntrack.ts';
import { parseIp } from '../../wire/ip-text.ts';

/** A network as `address/prefix`. */
interface Network {
  readonly address: Uint8Array;
  readonly prefix: number;
}

/**
 * Which connections pass: source in one of the networks, destination in one of the networks, protocol one of those;
 * an empty list lets everything pass. It looks at the original direction, as ulogd's filter in the kernel does.
 */
export class FlowFilter {
  readonly #sources: readonly Network[];
  readonly #destinations: readonly Network[];
  readonly #protocols: Uint8Array | undefined;

  /** Throws with the word that is no network or protocol. */
  constructor(sources: readonly string[], destinations: readonly string[], protocols: readonly string[]) {
    this.#sources = sources.map(parseNetwork);
    this.#destinations = destinations.map(parseNetwork);
    if (protocols.length > 0) {
      this.#protocols = new Uint8Array(256);
      for (const name of protocols) this.#protocols[parseProtocol(name)] = 1;
    }
  }

  passes(bytes: Uint8Array, { orig }: ConntrackEntry): boolean {
    if (this.#protocols !== undefined && this.#protocols[orig.protocol] === 0) return false;
    return (
      isWithin(this.#sources, bytes, orig.sourceOffset, orig.sourceLength) &&
      isWithin(this.#destinations, bytes, orig.destinationOffset, orig.destinationLength)
    );
  }
}

/** Reads `address/prefix`, IPv4 or IPv6; without a prefix the address alone. */
export function parseNetwork(word: string): Network {
  const [text = '', length, ...rest] = word.split('/');
  const address = parseIp(text);
  const bits = 8 * (address?.length ?? 0);
  const prefix = length === undefined ? bits : /^\d{1,3}$/.test(length) ? Number(length) : -1;
  if (address === undefined || rest.length > 0 || prefix < 0 || prefix > bits) {
    throw new Error(`"${word}" is no network; write 192.0.2.0/24 or 2001:db8::/64`);
  }
  return { address, prefix };
}

/** What is wrong with a word of `accept_src_filter` or `accept_dst_filter`. */
export function networkFault(word: string): string | undefined {
  return faultOf(() => parseNetwork(word));
}

/** What is wrong with a word of `accept_proto_filter`. */
export function protocolFault(word: string): string | undefined {
  return faultOf(() => parseProtocol(word));
}

function faultOf(parse: () => unknown): string | undefined {
  try {
    parse();
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
}

function isWithin(networks: readonly Network[], bytes: Uint8Array, offset: number, length: number): boolean {
  if (networks.length === 0) return true;
  for (let i = 0; i < networks.length; i++) {
    const { address, prefix } = networks[i]!;
    if (address.length === length && samePrefix(address, bytes, offset, prefix)) return true;
  }
  return false;
}

function samePrefix(address: Uint8Array, bytes: Uint8Array, offset: number, prefix: number): boolean {
  const whole = prefix >> 3;
  for (let i = 0; i < whole; i++) if (address[i] !== bytes[offset + i]) return false;
  const rest = prefix & 7;
  return rest === 0 || ((address[whole]! ^ bytes[offset + whole]!) & (0xff00 >> rest) & 0xff) === 0;
}
