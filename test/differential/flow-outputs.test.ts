// GPRINT, OPRINT and NACCT of connections, and what IP2BIN and IP2HBIN make of their addresses.
import { afterAll, beforeAll, describe, test } from 'vitest';
import { DifferentialLab, type Setup } from '../support/differential.ts';
import { icmp, ipv4, ipv6, PROTOCOL, sctp, segment, tcp, udp } from '../support/packets.ts';
import { v4, v6 } from '../support/traffic.ts';

const NACCT = 'ct1:NFCT,ip2str1:IP2STR,nacct1:NACCT';
const variants: Readonly<Record<string, Omit<Setup, 'sections'>>> = {
  'all keys': {
    stacks: ['ct1:NFCT,ip2str1:IP2STR,gp1:GPRINT', 'ct1:NFCT,ip2str1:IP2STR,op1:OPRINT', NACCT],
    outputs: ['gp1', 'op1', 'nacct1'],
  },
  'addresses as binary': { stacks: ['ct1:NFCT,ip2bin1:IP2BIN,op1:OPRINT', NACCT], outputs: ['op1', 'nacct1'] },
  'addresses in host order': { stacks: ['ct1:NFCT,ip2hbin1:IP2HBIN,op1:OPRINT', NACCT], outputs: ['op1', 'nacct1'] },
};
const SEGMENTS = [
  tcp({ sport: 1001, dport: 80 }),
  udp({ sport: 1003, dport: 53 }, Buffer.from('query')),
  icmp({ rest: 0x12340001 }),
  icmp({ type: 13, rest: 0x12350001 }, Buffer.alloc(12)),
  sctp({ sport: 1004, dport: 3868 }),
  segment(PROTOCOL.gre, Buffer.from('0000080045000000', 'hex')),
];
const SEGMENTS6 = [
  tcp({ sport: 2001, dport: 80 }),
  udp({ sport: 2003, dport: 53 }, Buffer.from('query')),
  icmp({ type: 128, rest: 0x22340001, protocol: PROTOCOL.icmpv6 }),
];

describe('outputs of connections', () => {
  let lab: DifferentialLab;
  let markers = 0;

  beforeAll(() => {
    lab = new DifferentialLab();
    lab.sh(
      'sysctl -qw net.netfilter.nf_conntrack_acct=1 net.netfilter.nf_conntrack_timestamp=1 net.netfilter.nf_conntrack_events=1 net.netfilter.nf_conntrack_checksum=0',
    );
  });
  afterAll(() => lab?.close());

  /** A flow made and ended behind all others: it stands last in every file. */
  async function settle(): Promise<void> {
    const port = ++markers;
    const tuple = `-p tcp -s 10.77.0.250 -d 10.77.0.1 --sport 65001 --dport ${port}`;
    lab.sh(`conntrack -I ${tuple} --state ESTABLISHED -t 600 2>&1; conntrack -D ${tuple} 2>&1`);
    const shown: Readonly<Record<string, RegExp>> = {
      gp1: new RegExp(`orig\\.l4\\.dport=${port},.*\\n`),
      op1: new RegExp(`orig\\.l4\\.dport=${port}\\n[^]*\\nct=default\\n`),
      nacct1: new RegExp(`\\t65001\\t10\\.77\\.0\\.1\\t${port}\\t.*\\n`),
    };
    await lab.until(`flow ${port}`, (text, output) => shown[output]!.test(text));
  }

  for (const [name, setup] of Object.entries(variants)) {
    test(name, async () => {
      lab.rules('table inet t { chain track { type filter hook prerouting priority 0; ct state new counter; }; }\n');
      await lab.start({ ...setup, sections: { ct1: { hash_enable: 0, event_mask: '0x00000004' } } });
      const six = name === 'addresses in host order' ? [] : SEGMENTS6; // ulogd 2.0.8 writes heap addresses for these
      lab.inject([...SEGMENTS.map((each) => v4(ipv4({}, each))), ...six.map((each) => v6(ipv6({}, each)))]);
      lab.sh('conntrack -F 2>&1');
      await settle();
      lab.compare(name, { atLeast: SEGMENTS.length + six.length, without: /65001/ });
      await lab.stop();
    });
  }
});
