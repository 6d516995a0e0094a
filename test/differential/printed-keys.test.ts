// GPRINT and OPRINT: every key of packets, of every family, with the filters that make keys.
import { afterAll, beforeAll, describe, test } from 'vitest';
import { DifferentialLab, log, type Setup } from '../support/differential.ts';
import { arp, Dice, ETHERTYPE, ethernet, ipv4, ipv6 } from '../support/packets.ts';
import {
  addBridge,
  atPrerouting,
  bridged,
  chain,
  count,
  randomV4,
  randomV6,
  SEED,
  SEGMENTS,
  v4,
  v6,
} from '../support/traffic.ts';

const stacks = (before: string): Setup => ({
  stacks: [`log1:NFLOG,${before},gp1:GPRINT`, `log1:NFLOG,${before},op1:OPRINT`],
  outputs: ['gp1', 'op1'],
});
const ALL = 'base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,mac2str1:HWHDR,print1:PRINTPKT';

const variants: Readonly<Record<string, Setup>> = {
  'all keys': stacks(ALL),
  'decoded alone': stacks('base1:BASE'),
  'addresses as binary': stacks('base1:BASE,ip2bin1:IP2BIN'),
  'addresses in host order': stacks('base1:BASE,ip2hbin1:IP2HBIN'),
  'with the time of printing': {
    ...stacks('base1:BASE'),
    sections: { gp1: { timestamp: 1 } },
    timeZone: 'Asia/Kolkata',
  },
};

describe('every key as text', () => {
  let lab: DifferentialLab;

  beforeAll(() => {
    lab = new DifferentialLab();
    addBridge(lab);
  });
  afterAll(() => lab?.close());

  for (const [name, setup] of Object.entries(variants)) {
    test(name, async () => {
      const dice = new Dice(SEED + 17);
      const segments = Object.values(SEGMENTS);
      await lab.start(setup);
      await lab.scene(
        `${name}: IP`,
        atPrerouting(),
        [
          ...segments.flatMap((each) => [v4(ipv4({}, each)), v6(ipv6({}, each))]),
          ...count(50).flatMap(() => [v4(randomV4(dice)), v6(randomV6(dice))]),
          // ulogd 2.0.8 writes a piece of a heap address where IP2HBIN meets IPv6.
        ].filter((frame) => name !== 'addresses in host order' || frame.readUInt16BE(12) === ETHERTYPE.ipv4),
        'some',
      );
      await lab.scene(
        `${name}: ARP`,
        chain('bridge', 'prerouting', log('prefix "arp"'), -250),
        count(3).map((operation) => ethernet({ ...bridged, type: ETHERTYPE.arp }, arp({ operation }))),
        'some',
        'fb1',
      );
      await lab.stop();
    });
  }
});
