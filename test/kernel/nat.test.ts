// NAT in a router as Neutron makes one: real traffic, real rules, each class of connection.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { until } from '../../scripts/lab.js';
import { ADDRESS, ADDRESS_IPV6, RouterLab } from '../../scripts/router-lab.js';
import { Daemon, killRest } from '../support/daemon.ts';

const lab = new RouterLab();
const { vm, floating, other, gateway, outside } = ADDRESS;
const six = ADDRESS_IPV6;

const CONFIGURATION = `[global]
stack=ct1:NFCT,nat1:NAT,ip2str1:IP2STR,json1:JSON
[ct1]
event_mask=5
hash_enable=0
network_namespace_path="/run/netns/${lab.router}"
[json1]
file="/out/flows.json"
`;

type Flow = Record<string, unknown>;

beforeAll(async () => {
  lab.addIpv6();
  lab.sh('sysctl -qw net.netfilter.nf_conntrack_events=1 net.ipv4.conf.all.route_localnet=1', lab.router);
  await lab.listen(lab.vm, 'tcp:80');
  await lab.listen(lab.other, 'tcp:22', 'tcp:80');
  await lab.listen(lab.outside, 'tcp:443');
  await lab.listen(lab.router, 'tcp:9697', 'tcp:179');
});
afterEach(async () => {
  await killRest();
  lab.sh('conntrack -F 2>/dev/null', lab.router);
});
afterAll(() => lab.close());

/** The address scope of both networks of the lab, in the upper half of every mark. */
const SCOPE = 0x400_0000;

/** The end of the connection to this port. */
const endOf = (daemon: Daemon, port: number): Promise<Flow> =>
  until(`the end of the connection to port ${port}`, () => {
    lab.connections(); // makes the kernel remove what has timed out
    const lines = daemon.folder.read('flows.json').split('\n').slice(0, -1);
    return lines
      .map((line) => JSON.parse(line) as Flow)
      .find((flow) => flow['ct.event'] === 4 && flow['orig.l4.dport'] === port);
  });

test('connections of each class keep the mark of their address scope, and their NAT record is right', async () => {
  const daemon = await Daemon.start(lab, CONFIGURATION);
  await lab.exchange(lab.outside, 'tcp', floating, 80);
  await lab.exchange(lab.vm, 'tcp', outside, 443);
  await lab.exchange(lab.outside, 'tcp', gateway, 2222);
  lab.sh('conntrack -F 2>/dev/null', lab.router);
  const ends = await Promise.all([80, 443, 2222].map((port) => endOf(daemon, port)));
  expect(ends.map((end) => [end['nat.class'], end['nat.fixed_ip'], end['ct.mark']])).toEqual([
    ['fip-in', vm, SCOPE],
    ['fip-out', vm, SCOPE],
    ['port-forward', other, SCOPE],
  ]);
  expect(await daemon.stop()).toBe(0);
});

/** The NAT keys of the one new connection to this address and port (0: a ping). */
async function natOf(daemon: Daemon, target: string, port: number, source?: string): Promise<Flow> {
  const isIt = (flow: Flow) =>
    flow['ct.event'] === 1 &&
    flow.dest_ip === target &&
    (flow['orig.l4.dport'] ?? 0) === port &&
    (source === undefined || flow.src_ip === source);
  const flows = await until(`a connection to ${target} port ${port}`, () => {
    const found = daemon.folder
      .read('flows.json')
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Flow);
    return found.some(isIt) ? found : undefined;
  });
  const [flow, ...more] = flows.filter(isIt);
  expect(more).toEqual([]);
  return Object.fromEntries(Object.entries(flow as Flow).filter(([key]) => key.startsWith('nat.')));
}

describe.each([
  ['IPv4', ADDRESS],
  ['IPv6', ADDRESS_IPV6],
])('%s: each class of connection is known', (_, at) => {
  test('to a floating IP, from it, by the shared address, to a forwarded port, back inside', async () => {
    const daemon = await Daemon.start(lab, CONFIGURATION);
    await lab.exchange(lab.outside, 'tcp', at.floating, 80);
    expect(await natOf(daemon, at.floating, 80)).toEqual({
      'nat.type': 'dnat',
      'nat.class': 'fip-in',
      'nat.floating_ip': at.floating,
      'nat.external_ip': at.floating,
      'nat.external_port': 80,
      'nat.fixed_ip': at.vm,
    });

    await lab.exchange(lab.vm, 'tcp', at.outside, 443);
    expect(await natOf(daemon, at.outside, 443, at.vm)).toEqual({
      'nat.type': 'snat',
      'nat.class': 'fip-out',
      'nat.floating_ip': at.floating,
      'nat.external_ip': at.floating,
      'nat.external_port': expect.any(Number),
      'nat.fixed_ip': at.vm,
    });

    await lab.exchange(lab.other, 'tcp', at.outside, 443);
    expect(await natOf(daemon, at.outside, 443, at.other)).toEqual({
      'nat.type': 'snat',
      'nat.class': 'snat',
      'nat.external_ip': at.gateway,
      'nat.external_port': expect.any(Number),
      'nat.fixed_ip': at.other,
    });

    await lab.exchange(lab.outside, 'tcp', at.gateway, 2222);
    expect(await natOf(daemon, at.gateway, 2222)).toEqual({
      'nat.type': 'dnat',
      'nat.class': 'port-forward',
      'nat.external_ip': at.gateway,
      'nat.external_port': 2222,
      'nat.fixed_ip': at.other,
    });

    await lab.exchange(lab.outside, 'tcp', at.gateway, 179);
    expect(await natOf(daemon, at.gateway, 179)).toEqual({ 'nat.type': 'none', 'nat.class': 'local' });
    expect(await daemon.stop()).toBe(0);
  });
});

test('pings, which have no ports, are classed as well, in both directions', async () => {
  const daemon = await Daemon.start(lab, CONFIGURATION);
  lab.ping(lab.outside, floating, 1);
  expect(await natOf(daemon, floating, 0)).toMatchObject({ 'nat.class': 'fip-in', 'nat.fixed_ip': vm });
  lab.ping(lab.vm, outside, 1);
  expect(await natOf(daemon, outside, 0, vm)).toMatchObject({ 'nat.class': 'fip-out', 'nat.floating_ip': floating });
  lab.ping(lab.other, outside, 1);
  expect(await natOf(daemon, outside, 0, other)).toEqual({
    'nat.type': 'snat',
    'nat.class': 'snat',
    'nat.external_ip': gateway,
    'nat.fixed_ip': other,
  });
  lab.ping(lab.other, '192.168.21.1', 1);
  expect(await natOf(daemon, '192.168.21.1', 0)).toEqual({ 'nat.type': 'none', 'nat.class': 'local' });
  lab.ping(lab.outside, six.other, 1);
  expect(await natOf(daemon, six.other, 0)).toEqual({ 'nat.type': 'none', 'nat.class': 'routed' });
  expect(await daemon.stop()).toBe(0);
});

test('a hairpin and a question for metadata are told from the rest', async () => {
  const daemon = await Daemon.start(lab, CONFIGURATION);
  await lab.exchange(lab.other, 'tcp', floating, 80);
  expect(await natOf(daemon, floating, 80)).toEqual({
    'nat.type': 'both',
    'nat.class': 'hairpin',
    'nat.floating_ip': floating,
    'nat.external_ip': floating,
    'nat.external_port': 80,
    'nat.fixed_ip': vm,
  });
  await lab.exchange(lab.vm, 'tcp', '169.254.169.254', 80);
  expect(await natOf(daemon, '169.254.169.254', 80)).toEqual({ 'nat.type': 'redirect', 'nat.class': 'metadata' });
  expect(await daemon.stop()).toBe(0);
});

describe('translated both ways, it is a hairpin only between two machines behind the router', () => {
  /** Has these rules in the table nat first, and takes them away afterwards. */
  async function withRules(rules: readonly string[], body: (daemon: Daemon) => Promise<void>): Promise<void> {
    const each = (what: string) => rules.map((rule) => `iptables -w -t nat ${what} ${rule}`).join('; ');
    lab.sh(each('-I'), lab.router);
    try {
      const daemon = await Daemon.start(lab, CONFIGURATION);
      await body(daemon);
      expect(await daemon.stop()).toBe(0);
    } finally {
      lab.sh(each('-D'), lab.router);
    }
  }
  const hairpin = { 'nat.type': 'both', 'nat.class': 'hairpin', 'nat.floating_ip': floating, 'nat.fixed_ip': vm };

  test('between machines with a floating IP each, and from a machine to its own', async () => {
    const second = '10.5.150.83';
    const rules = [
      `PREROUTING -d ${second}/32 -j DNAT --to-destination ${other}`,
      `neutron-l3-agent-float-snat -s ${other}/32 -j SNAT --to-source ${second} --random-fully`,
    ];
    await withRules(rules, async (daemon) => {
      await lab.exchange(lab.other, 'tcp', floating, 80);
      expect(await natOf(daemon, floating, 80, other)).toMatchObject(hairpin);
      await lab.exchange(lab.vm, 'tcp', floating, 80);
      expect(await natOf(daemon, floating, 80, vm)).toMatchObject(hairpin);
    });
  });

  test('from a network behind another router inside', async () => {
    const far = '10.99.0.7';
    lab.sh(`ip addr add ${far}/32 dev lo`, lab.other);
    lab.sh(`ip route add ${far}/32 via ${other}`, lab.router);
    try {
      await withRules([], async (daemon) => {
        lab.sh(`ping -q -n -c 1 -W 5 -I ${far} ${floating}`, lab.other);
        expect(await natOf(daemon, floating, 0, far)).toMatchObject(hairpin);
      });
    } finally {
      lab.sh(`ip route del ${far}/32`, lab.router);
      lab.sh(`ip addr del ${far}/32 dev lo`, lab.other);
    }
  });

  test('not from outside through a router that hides its clients from the machines', async () => {
    const rules = [
      `POSTROUTING -s ${outside} -d ${vm} -j SNAT --to-source 192.168.21.1`,
      `POSTROUTING -s ${outside} -d ${other} -j SNAT --to-source ${gateway}`,
    ];
    await withRules(rules, async (daemon) => {
      await lab.exchange(lab.outside, 'tcp', floating, 80);
      expect(await natOf(daemon, floating, 80)).toEqual({
        'nat.type': 'both',
        'nat.class': 'fip-in',
        'nat.floating_ip': floating,
        'nat.external_ip': floating,
        'nat.external_port': 80,
        'nat.fixed_ip': vm,
      });
      await lab.exchange(lab.outside, 'tcp', gateway, 2222);
      expect(await natOf(daemon, gateway, 2222)).toEqual({
        'nat.type': 'both',
        'nat.class': 'port-forward',
        'nat.external_ip': gateway,
        'nat.external_port': 2222,
        'nat.fixed_ip': other,
      });
    });
  });

  test('not from inside to an outside address that another outside machine answers for', async () => {
    const elsewhere = '10.5.0.9';
    const rule = `PREROUTING -d ${elsewhere}/32 -p tcp --dport 80 -j DNAT --to-destination ${outside}:443`;
    await withRules([rule], async (daemon) => {
      await lab.exchange(lab.other, 'tcp', elsewhere, 80);
      expect(await natOf(daemon, elsewhere, 80, other)).toEqual({
        'nat.type': 'both',
        'nat.class': 'snat',
        'nat.external_ip': gateway,
        'nat.external_port': expect.any(Number),
        'nat.fixed_ip': other,
      });
      await lab.exchange(lab.vm, 'tcp', elsewhere, 80);
      expect(await natOf(daemon, elsewhere, 80, vm)).toMatchObject({
        'nat.class': 'fip-out',
        'nat.floating_ip': floating,
        'nat.fixed_ip': vm,
      });
    });
  });
});

test('a connection says how long it was, and why it ended', async () => {
  const daemon = await Daemon.start(lab, CONFIGURATION);
  await lab.exchange(lab.outside, 'tcp', floating, 80);
  const closed = await endOf(daemon, 80);
  expect(closed['flow.end_reason']).toBe('tcp-close');
  expect(closed['flow.duration']).toBeGreaterThan(1000);
  expect(closed['nat.class']).toBe('fip-in');

  await expect(lab.exchange(lab.outside, 'tcp', floating, 81)).rejects.toThrow();
  expect((await endOf(daemon, 81))['flow.end_reason']).toBe('reset');

  lab.send(lab.vm, 'udp', outside, 9999);
  expect((await endOf(daemon, 9999))['flow.end_reason']).toBe('timeout');

  lab.send(lab.vm, 'udp', outside, 9998);
  await until('the connection is there', () => lab.connections().some((line) => line.includes('dport=9998')));
  lab.sh('conntrack -D -p udp --orig-port-dst 9998 2>/dev/null', lab.router);
  expect((await endOf(daemon, 9998))['flow.end_reason']).toBe('deleted by userspace');
  expect(await daemon.stop()).toBe(0);
});

test('a floating IP that moves in mid-traffic belongs to each VM for its own connections', async () => {
  const daemon = await Daemon.start(lab, CONFIGURATION);
  const to = (target: string) => `${floating}/32 -j DNAT --to-destination ${target}`;
  const chain = 'neutron-l3-agent-PREROUTING';
  const rule = (what: string, target: string) => `iptables -w -t nat ${what} ${chain} -d ${to(target)}`;
  await lab.exchange(lab.outside, 'tcp', floating, 80);
  const first = await natOf(daemon, floating, 80);
  expect(first).toMatchObject({ 'nat.class': 'fip-in', 'nat.fixed_ip': vm });
  lab.sh(
    `${rule('-D', vm)}; ${rule('-A', other)}
     iptables -w -t nat -I neutron-l3-agent-float-snat -s ${other}/32 -j SNAT --to-source ${floating}
     iptables -w -t nat -D neutron-l3-agent-float-snat -s ${vm}/32 -j SNAT --to-source ${floating} --random-fully`,
    lab.router,
  );
  try {
    // At once: the rule is newer than anything that the daemon was told of before.
    await lab.exchange(lab.outside, 'tcp', floating, 22);
    expect(await natOf(daemon, floating, 22)).toMatchObject({ 'nat.class': 'fip-in', 'nat.fixed_ip': other });
    await lab.exchange(lab.other, 'tcp', outside, 443);
    expect(await natOf(daemon, outside, 443, other)).toMatchObject({ 'nat.class': 'fip-out', 'nat.fixed_ip': other });
    await lab.exchange(lab.vm, 'tcp', outside, 443);
    expect(await natOf(daemon, outside, 443, vm)).toMatchObject({ 'nat.class': 'snat', 'nat.external_ip': gateway });
    // The connection from before ends now.
    lab.sh('conntrack -F 2>/dev/null', lab.router);
    const ends = await until('every end', () => {
      const lines = daemon.folder.read('flows.json').split('\n').slice(0, -1);
      const found = lines
        .map((line) => JSON.parse(line) as Flow)
        .filter((flow) => flow['ct.event'] === 4 && flow.dest_ip === floating);
      return found.length === 2 ? found : undefined;
    });
    const byPort = Object.fromEntries(
      ends.map((flow) => [flow['orig.l4.dport'], `${flow['nat.class']} ${flow['nat.fixed_ip']}`]),
    );
    expect(byPort).toEqual({ 80: `fip-in ${vm}`, 22: `fip-in ${other}` });
    expect(await daemon.stop()).toBe(0);
  } finally {
    lab.sh(
      `${rule('-D', other)}; ${rule('-A', vm)}
       iptables -w -t nat -D neutron-l3-agent-float-snat -s ${other}/32 -j SNAT --to-source ${floating}
       iptables -w -t nat -I neutron-l3-agent-float-snat -s ${vm}/32 -j SNAT --to-source ${floating} --random-fully`,
      lab.router,
    );
  }
});

test('a router of a pair whose addresses come with a failover is known by them from then on', async () => {
  const device = 'qg-4f1c0d52-9a';
  // The rules are there on the backup as well; the addresses are the primary's.
  lab.sh(`ip addr del ${floating}/32 dev ${device}; ip addr del ${gateway}/16 dev ${device}`, lab.router);
  const daemon = await Daemon.start(lab, CONFIGURATION);
  lab.sh(`ip addr add ${gateway}/16 dev ${device}; ip addr add ${floating}/32 dev ${device}`, lab.router);
  await lab.exchange(lab.outside, 'tcp', gateway, 179);
  expect(await natOf(daemon, gateway, 179)).toEqual({ 'nat.type': 'none', 'nat.class': 'local' });
  await lab.exchange(lab.outside, 'tcp', floating, 80);
  expect(await natOf(daemon, floating, 80)).toMatchObject({ 'nat.class': 'fip-in', 'nat.fixed_ip': vm });
  expect(await daemon.stop()).toBe(0);
});

test('IPv6: a hairpin and a question for metadata are told from the rest', async () => {
  const metadata = 'fe80::a9fe:a9fe';
  const device = 'qr-9882c485-b8';
  // As Neutron redirects it (metadata/driver.py); the hairpin is that of another router: Neutron translates no IPv6.
  lab.sh(
    `ip addr add ${metadata}/64 dev ${device} nodad
     ip6tables -w -t nat -A PREROUTING -d ${metadata}/128 -i qr-+ -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 9697
     ip6tables -w -t nat -A POSTROUTING -s fd00:21::/64 -m conntrack --ctstate DNAT -j SNAT --to-source ${six.gateway}`,
    lab.router,
  );
  const daemon = await Daemon.start(lab, CONFIGURATION);
  await lab.exchange(lab.other, 'tcp', six.floating, 80);
  expect(await natOf(daemon, six.floating, 80)).toEqual({
    'nat.type': 'both',
    'nat.class': 'hairpin',
    'nat.floating_ip': six.floating,
    'nat.external_ip': six.floating,
    'nat.external_port': 80,
    'nat.fixed_ip': six.vm,
  });
  await lab.exchange(lab.vm, 'tcp', `${metadata}%eth0`, 80);
  expect(await natOf(daemon, metadata, 80)).toEqual({ 'nat.type': 'redirect', 'nat.class': 'metadata' });
  expect(await daemon.stop()).toBe(0);
});

test('between networks of one address scope a connection is routed; one from another scope is refused and none', async () => {
  const inside = 'qr-9882c485-b8';
  const scope = (what: string, mark: string) =>
    `iptables -w ${what} FORWARD -o ${inside} -m mark ! --mark ${mark}/0xffff0000 -j DROP`;
  lab.sh('ip route add 192.168.21.0/24 via 10.5.0.100', lab.outside);
  // As Neutron marks what comes in (mangle, neutron-l3-agent-scope) and drops what has another mark (filter).
  lab.sh(scope('-I', '0x4000000'), lab.router);
  const daemon = await Daemon.start(lab, CONFIGURATION);
  await lab.exchange(lab.outside, 'tcp', other, 22);
  expect(await natOf(daemon, other, 22)).toEqual({ 'nat.type': 'none', 'nat.class': 'routed' });
  // The mark of the scope is kept on the connection in POSTROUTING, after its begin was told.
  lab.sh('conntrack -D -p tcp --orig-port-dst 22 2>/dev/null', lab.router);
  expect(await endOf(daemon, 22)).toMatchObject({ 'ct.mark': SCOPE, 'nat.class': 'routed' });

  lab.sh(`${scope('-D', '0x4000000')}; ${scope('-I', '0x4010000')}`, lab.router);
  try {
    expect(() => lab.sh(`ping -q -n -c 1 -W 1 ${other}`, lab.outside)).toThrow();
    lab.ping(lab.vm, '192.168.21.1', 1);
    expect(await natOf(daemon, '192.168.21.1', 0)).toMatchObject({ 'nat.class': 'local' });
    const lines = daemon.folder.read('flows.json').split('\n').slice(0, -1);
    const flows = lines.map((line) => JSON.parse(line) as Flow);
    const begun = flows.filter((flow) => flow.dest_ip === other && flow['ct.event'] === 1);
    expect(begun.map((flow) => flow['orig.l4.dport'])).toEqual([22]);
  } finally {
    lab.sh(scope('-D', '0x4010000'), lab.router);
  }
  expect(await daemon.stop()).toBe(0);
});
