// NFLOG: the options of the plugins in a packet stack, and the time zone.
import { afterAll, beforeAll, describe, test } from 'vitest';
import { DifferentialLab, log, type Setup } from '../support/differential.ts';
import { Dice, ipv4, ipv6 } from '../support/packets.ts';
import { BOTH, chain, count, JSON_STACK, LOGEMU, randomV4, SEED, SEGMENTS, v4, v6 } from '../support/traffic.ts';

const mixed = () => {
  const dice = new Dice(SEED + 3);
  return [
    ...Object.values(SEGMENTS).flatMap((each) => [v4(ipv4({}, each)), v6(ipv6({}, each))]),
    ...count(100).map(() => v4(randomV4(dice))),
  ];
};
const marked = () =>
  chain('ip', 'prerouting', `meta mark set ip id and 0x1ff ${log('prefix "mixed"')} drop`) +
  chain('ip6', 'prerouting', `meta mark set 0xffffff05 ${log('prefix "six"')} drop`);

const variants: Readonly<Record<string, Setup>> = {
  'json eventv1 and device': { ...BOTH, sections: { json1: { eventv1: 1, device: '"router 1"' } } },
  'json without timestamp': { ...BOTH, sections: { json1: { timestamp: 0 } } },
  'json boolean label': { ...BOTH, sections: { json1: { boolean_label: 1 } } },
  'json boolean label with numeric label': {
    ...BOTH,
    sections: { log1: { numeric_label: 1 }, json1: { boolean_label: 1 } },
  },
  'numeric label 255': { ...BOTH, sections: { log1: { numeric_label: 255 } } },
  'sequence numbers': { ...BOTH, sections: { log1: { seq_local: 1, seq_global: 1 } } },
  'local sequence numbers': { ...BOTH, sections: { log1: { seq_local: 1 } } },
  'one packet a message': { ...BOTH, sections: { log1: { netlink_qthreshold: 1 } } },
  'queue threshold and timeout': { ...BOTH, sections: { log1: { netlink_qthreshold: 40, netlink_qtimeout: 5 } } },
  'binding protocol families': { ...BOTH, sections: { log1: { bind: 1, unbind: 0 } } },
  'mark filter': {
    stacks: [
      LOGEMU.replace('log1:NFLOG,', 'log1:NFLOG,mark1:MARK,'),
      JSON_STACK.replace('log1:NFLOG,', 'log1:NFLOG,mark1:MARK,'),
    ],
    outputs: ['emu1', 'json1'],
    sections: { mark1: { mark: 5, mask: '0xff' } },
  },
  'json of the bare packet': { stacks: ['log1:NFLOG,json1:JSON'], outputs: ['json1'] },
  'json without names': { stacks: ['log1:NFLOG,base1:BASE,json1:JSON'], outputs: ['json1'] },
  'json with the printed line': {
    stacks: ['log1:NFLOG,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,mac2str1:HWHDR,print1:PRINTPKT,json1:JSON'],
    outputs: ['json1'],
  },
  'json of a link-layer header': { stacks: ['log1:NFLOG,mac2str1:HWHDR,json1:JSON'], outputs: ['json1'] },
  'in Kolkata': { ...BOTH, timeZone: 'Asia/Kolkata' },
  'west of Greenwich': { ...BOTH, timeZone: '<-0030>0:30' },
  'in Newfoundland': { ...BOTH, timeZone: 'America/St_Johns' },
  'in London': { ...BOTH, timeZone: 'Europe/London' },
};
describe('options of packet stacks', () => {
  let lab: DifferentialLab;

  beforeAll(() => {
    lab = new DifferentialLab();
  });
  afterAll(() => lab?.close());

  for (const [name, setup] of Object.entries(variants)) {
    test(name, async () => {
      await lab.start(setup);
      lab.rules(marked());
      lab.inject(mixed());
      await lab.settle();
      lab.compare(name, { atLeast: 10 });
      await lab.stop();
    });
  }
});
