import { readFileSync } from 'node:fs';

/** IP protocols by name; /etc/protocols knows more where it is installed. */
const PROTOCOLS: Readonly<Record<string, number>> = {
  icmp: 1,
  igmp: 2,
  tcp: 6,
  udp: 17,
  dccp: 33,
  gre: 47,
  esp: 50,
  ah: 51,
  icmpv6: 58,
  'ipv6-icmp': 58,
  sctp: 132,
  udplite: 136,
};

const NAMES = new Map(Object.entries(PROTOCOLS).map(([name, number]) => [number, name]));
NAMES.set(58, 'icmpv6');

/** Reads the name or number of an IP protocol. Throws. */
export function parseProtocol(name: string): number {
  const word = name.toLowerCase();
  const known = Object.hasOwn(PROTOCOLS, word) ? PROTOCOLS[word] : undefined;
  const number = /^\d{1,3}$/.test(word) ? Number(word) : (known ?? systemProtocol(word) ?? -1);
  if (number < 0 || number > 255) throw new Error(`"${name}" is no IP protocol; write tcp, udp, icmp, … or a number`);
  return number;
}

/** An IP protocol as people write it: TCP, or 253 where it has no name here. */
export const protocolName = (number: number): string => NAMES.get(number)?.toUpperCase() ?? String(number);

function systemProtocol(name: string): number | undefined {
  if (name === '') return undefined;
  try {
    for (const line of readFileSync('/etc/protocols', 'utf8').split('\n')) {
      const [official, number, ...aliases] = line.replace(/#.*/, '').trim().split(/\s+/);
      if ([official, ...aliases].some((word) => word?.toLowerCase() === name)) return Number(number);
    }
  } catch {} // not installed: the names above are all there are
  return undefined;
}
