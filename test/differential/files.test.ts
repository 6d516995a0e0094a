// PCAP, XML and NFACCT: files that are no lines of a fixed name, so both daemons write into folders of their own.
import type { ChildProcess } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Lab, until } from '../../scripts/lab.js';
import { daemonOf, GROUP, log, SIDES, type Side } from '../support/differential.ts';

const PLUGINS = 'inppkt_NFLOG inpflow_NFCT inpflow_NFACCT raw2packet_BASE output_PCAP output_XML output_GPRINT'.split(
  ' ',
);

const configuration = (side: Side, folder: string): string => `[global]
logfile="${folder}/log"
compat="ulogd-2.0.8"
${PLUGINS.map((plugin) => `plugin="/usr/lib/x86_64-linux-gnu/ulogd/ulogd_${plugin}.so"\n`).join('')}
stack=log1:NFLOG,base1:BASE,pcap1:PCAP
stack=log1:NFLOG,xml1:XML
stack=ct1:NFCT,xml2:XML
stack=acct1:NFACCT,xml3:XML
stack=acct1:NFACCT,gp1:GPRINT
[log1]
group=${GROUP[side]}
netlink_qthreshold=1
[ct1]
hash_enable=0
[acct1]
pollinterval=1
zerocounter=0
timestamp=1
[pcap1]
file="${folder}/packets.pcap"
sync=1
[gp1]
file="${folder}/sums"
sync=1
[xml1]
directory="${folder}/"
sync=1
[xml2]
directory="${folder}/"
sync=1
[xml3]
directory="${folder}/"
sync=1
`;

describe('files, ulogd 2.0.8 beside flowlogd', () => {
  const folders = {} as Record<Side, string>;
  const files = {} as Record<Side, Map<string, Buffer>>;
  let lab: Lab;

  beforeAll(async () => {
    lab = new Lab();
    const router = lab.namespace('fl-files');
    lab.sh(
      `sysctl -qw net.netfilter.nf_conntrack_acct=1 net.netfilter.nf_conntrack_timestamp=1 net.netfilter.nf_conntrack_events=1
       ip addr add fd79::1/128 dev lo; nfacct add http; nfacct add dns
       iptables -A OUTPUT -p icmp -m nfacct --nfacct-name http
       nft 'add table inet t; add chain inet t o { type filter hook output priority 100; }'
       nft 'add rule inet t o meta l4proto icmp ct state new ${log('prefix "cut" snaplen 50')}'
       nft 'add rule inet t o meta l4proto { udp, tcp } ct state new ${log('prefix "<whole> & more"')}'`,
      router,
    );
    const daemons = SIDES.map((side): ChildProcess => {
      const folder = join(lab.directory, side);
      mkdirSync(folder);
      folders[side] = folder;
      writeFileSync(join(folder, 'conf'), configuration(side, folder));
      return lab.start([daemonOf(side), '-c', join(folder, 'conf')], router, {
        env: { ...process.env, TZ: 'Europe/Paris' },
        stdio: 'ignore',
      });
    });
    const holds = () => lab.sh('cat /proc/net/netfilter/nfnetlink_log', router).trim().split('\n').length;
    await until('both daemons listen', () => holds() === 2);
    await until('both daemons poll', () => SIDES.every((side) => read(side, 'sums').includes('sum.name=dns')));
    lab.sh(
      `ping -c1 -W1 -s 100 127.0.0.1
       bash -c 'echo udp > /dev/udp/127.0.0.1/9; echo six > /dev/udp/fd79::1/9; echo tcp > /dev/tcp/127.0.0.1/9' || true
       conntrack -I -p tcp -s 1.2.3.4 -d 5.6.7.8 --sport 1 --dport 2 --state ESTABLISHED -t 600 --mark 7 2>&1
       conntrack -I -p sctp -s 1.2.3.4 -d 5.6.7.8 --orig-port-src 1 --orig-port-dst 2 --state ESTABLISHED --orig-vtag 1 --reply-vtag 2 -t 600 2>&1
       conntrack -I -p gre -s 1.2.3.4 -d 5.6.7.8 --orig-key-src 17 --orig-key-dst 18 --reply-key-src 18 --reply-key-dst 17 -t 600 2>&1 || true
       for port in $(seq 30 49); do
         conntrack -I -p udp -s 1.2.3.4 -d 5.6.7.8 --sport 1 --dport $port -t 600 2>&1; sleep 0.1
       done
       conntrack -F 2>&1; conntrack -F -f ipv6 2>&1 || true`,
      router,
    );
    const sizes = (side: Side) =>
      [...contents(side)].filter(([name]) => !/sum|log|conf/.test(name)).map(([, bytes]) => bytes.length);
    await until('the counters are shown', () =>
      SIDES.every((side) => /sum\.name=http,sum\.pkts=[1-9]/.test(read(side, 'sums'))),
    );
    await until('both have written the same amount', () => String(sizes('ref')) === String(sizes('our')));
    for (const daemon of daemons) {
      const ended = new Promise((resolve) => daemon.once('exit', resolve));
      daemon.kill('SIGTERM');
      await ended;
    }
    for (const side of SIDES) files[side] = contents(side);
  });
  afterAll(() => lab?.close());

  const read = (side: Side, name: string): string => contents(side).get(name)?.toString() ?? '';

  /** Files by name without the time in it. */
  function contents(side: Side): Map<string, Buffer> {
    const names = readdirSync(folders[side]).sort();
    return new Map(names.map((name) => [name.replace(/-\d{8}-\d{6}/, ''), readFileSync(join(folders[side], name))]));
  }

  /** What a file holds, the hours masked. */
  const text = (side: Side, name: string): string =>
    (files[side].get(name)?.toString('latin1') ?? 'no such file').replaceAll(
      /<hour>\d{1,2}<\/hour><min>\d\d<\/min><sec>\d\d<\/sec>/g,
      '<hour>H</hour><min>M</min><sec>S</sec>',
    );

  test('both write files of the same names', () => {
    expect([...files.our.keys()]).toEqual([...files.ref.keys()]);
    expect([...files.our.keys()]).toContain('ulogd-pkt.xml');
  });

  test('the file of packets is the same, but for when each side was handed a packet', () => {
    const masked = (side: Side): string => {
      const bytes = Buffer.from(files[side].get('packets.pcap')!);
      for (let at = 24; at < bytes.length; at += 16 + bytes.readUInt32LE(at + 8)) bytes.fill(0, at, at + 8);
      return bytes.toString('hex');
    };
    expect(masked('our')).toBe(masked('ref'));
    expect(files.our.get('packets.pcap')!.length).toBeGreaterThan(200);
  });

  test.each(['ulogd-pkt.xml', 'ulogd-flow.xml'])('%s is the same', (name) => {
    expect(text('our', name)).toBe(text('ref', name));
    expect(text('our', name).split('\n').length).toBeGreaterThan(6);
  });

  test('ended connections tell how long they were', () => {
    const seconds = new Set(text('our', 'ulogd-flow.xml').match(/<deltatime>\d+(?=<)/g));
    expect(seconds.size).toBeGreaterThan(1);
  });

  test('counters are the same, though one side may read once more', () => {
    const kinds = (side: Side, name: string) => [...new Set(text(side, name).split('\n'))];
    expect(kinds('our', 'ulogd-sum.xml')).toEqual(kinds('ref', 'ulogd-sum.xml'));
    expect(kinds('our', 'sums')).toEqual(kinds('ref', 'sums'));
  });
});
