// NFLOG: every hook of every family that the kernel logs from, and every kind of device.
import { afterAll, beforeAll, describe, test } from 'vitest';
import { DifferentialLab, log, MAC } from '../support/differential.ts';
import { arp, ETHERTYPE, ethernet, icmp, ipv4, ipv6, PROTOCOL, tcp, udp } from '../support/packets.ts';
import { addBridge, BOTH, b4, b6, bridged, chain, routed, SEGMENTS, v4, v6 } from '../support/traffic.ts';

const ingress = (device: string) =>
  `table netdev t { chain c { type filter hook ingress device ${device} priority 0; ip saddr 10.77.0.2 udp sport 65001 accept; ${log('prefix "netdev"')} drop; }; }\n`;

describe('hooks', () => {
  let lab: DifferentialLab;

  beforeAll(async () => {
    lab = new DifferentialLab();
    addBridge(lab);
    lab.sh(`ip tuntap add tun0 mode tun; sysctl -qw net.ipv6.conf.tun0.disable_ipv6=1
      ip addr add 10.79.0.1/24 dev tun0; ip link set tun0 up`);
    await lab.start(BOTH);
  });
  afterAll(async () => {
    await lab?.stop();
    lab?.close();
  });

  test('VLAN tags', async () => {
    const tagged = [[10], [0], [0x6fff], [10, 20]].flatMap((vlans) => [
      ethernet({ ...bridged, type: ETHERTYPE.ipv4, vlans }, ipv4({}, tcp())),
      ethernet({ ...bridged, type: ETHERTYPE.ipv6, vlans }, ipv6({}, udp())),
      ethernet({ ...bridged, type: ETHERTYPE.arp, vlans }, arp()),
    ]);
    await lab.scene(
      'vlan-bridge',
      chain('bridge', 'prerouting', `${log('prefix "vlan"')} drop`, -300),
      tagged,
      tagged.length,
      'fb1',
    );
    await lab.scene(
      'vlan-netdev',
      ingress('fl0'),
      tagged.map((frame) => Buffer.concat([Buffer.from('020000000001', 'hex'), frame.subarray(6)])),
      'some',
    );
  });
  test('each hook of the inet, ip and ip6 families', async () => {
    lab.sh(
      'sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1; ip route replace 198.51.100.0/24 via 10.77.0.2; ip -6 route replace 2001:db8:5::/48 via fd77::2',
    );
    const frames = [
      v4(ipv4({}, icmp())), v6(ipv6({}, icmp({ type: 128, protocol: PROTOCOL.icmpv6 }))), v4(ipv4({ dst: '198.51.100.7' }, udp())),
      v6(ipv6({ dst: '2001:db8:5::7' }, udp())), v4(ipv4({}, tcp({ dport: 4444 }))), v4(ipv4({}, udp({ dport: 4444 }))), v4(ipv4({ dst: '198.51.100.7', ttl: 1 }, udp())),
    ]; // biome-ignore format: a list
    const hooks = ['prerouting', 'input', 'forward', 'output', 'postrouting'];
    for (const family of ['inet', 'ip', 'ip6']) {
      const quiet = family === 'ip' ? 'ip daddr 224.0.0.0/4 accept' : 'ip6 daddr ff00::/8 accept'; // the kernel's own reports
      await lab.scene(
        `hooks-${family}`,
        hooks.map((hook) => chain(family, hook, `${quiet}; ${log(`prefix "${family} ${hook}"`)}`, -5)).join(''),
        frames,
        'some',
      );
    }
  });
  test('the bridge family, each hook', async () => {
    const frames = [
      b4(ipv4({}, tcp())),
      b6(ipv6({}, udp())),
      ethernet({ ...bridged, type: ETHERTYPE.arp }, arp()),
      ethernet({ ...bridged, type: ETHERTYPE.lldp }, Buffer.from('0207040200000000020000', 'hex')),
    ];
    const local = frames.map((frame) => Buffer.concat([Buffer.from('020000000003', 'hex'), frame.subarray(6)]));
    const hooks = ['prerouting', 'input', 'forward', 'output', 'postrouting'];
    await lab.scene(
      'hooks-bridge',
      hooks.map((hook) => chain('bridge', hook, log(`prefix "bridge ${hook}"`), -5)).join(' '),
      [...frames, ...local],
      'some',
      'fb1',
    );
  });
  test('ARP seen by a bridge and by the arp family', async () => {
    const operations = [0, 1, 2, 3, 4, 8, 9, 10, 11, 255, 65535];
    const packets = [
      ...operations.map((operation) => arp({ operation, sha: '02:aa:bb:cc:dd:ee', tha: '02:11:22:33:44:55', spa: '192.0.2.1', tpa: '198.51.100.254' })),
      arp({ hwtype: 6 }), arp({ hwtype: 24, hlen: 8 }), arp({ protocol: 0x86dd, plen: 16 }), arp({ hlen: 0 }), arp({ plen: 0 }), arp().subarray(0, 27), arp().subarray(0, 8), arp().subarray(0, 1),
    ]; // biome-ignore format: a list
    const frames = packets.map((packet) =>
      ethernet({ dst: 'ff:ff:ff:ff:ff:ff', src: MAC.peer, type: ETHERTYPE.arp }, packet),
    );
    await lab.scene(
      'arp-bridge',
      chain('bridge', 'prerouting', `${log('prefix "arp"')} drop`, -300),
      frames,
      'some', // the other end may ask for an address, too
      'fb1',
    );
    await lab.scene('arp-family', chain('arp', 'input', `${log('prefix "arp"')} drop`, 0), frames, 'some');
  });
  test('the netdev family: frames before any layer looks at them', async () => {
    const frames = [
      v4(ipv4({}, tcp())),
      v6(ipv6({}, udp())),
      ethernet({ ...routed, type: ETHERTYPE.arp }, arp()),
      ethernet({ ...routed, type: ETHERTYPE.lldp }, Buffer.alloc(30)),
    ];
    await lab.scene('netdev', ingress('fl0'), frames, 'some');
  });
  test('packets of a tun device and of loopback', async () => {
    lab.rules(
      chain('inet', 'prerouting', `iifname { lo, tun0 } ${log('prefix "no mac"')} drop`) +
        // Nothing that the system sends of its own accord, such as a router solicitation: it may come between two scenes.
        chain('inet', 'output', `udp dport 4444 ${log('prefix "out"')}`, 0),
    );
    lab.inject(
      Object.values(SEGMENTS).map((each) => ipv4({ src: '10.79.0.2', dst: '10.79.0.1' }, each)),
      'tun0',
      'tun',
    );
    lab.sh("bash -c 'echo one >/dev/udp/127.0.0.1/4444; echo two >/dev/udp/::1/4444'");
    await lab.settle();
    lab.compare('no-mac', { atLeast: 12 });
  });
  test('who sent it: user and group of the socket', async () => {
    lab.rules(
      chain('inet', 'output', `udp dport 4444 ${log('prefix "owner"')}`, 0) +
        chain('inet', 'postrouting', `udp dport 4444 ${log('prefix "owner post"')}`, 0),
    );
    lab.sh(`echo root | bash -c 'cat >/dev/udp/10.77.0.2/4444'
      echo other | setpriv --reuid 65534 --regid 7 --clear-groups bash -c 'cat >/dev/udp/10.77.0.2/4444'
      echo six | setpriv --reuid 4294967290 --regid 4294967293 --clear-groups bash -c 'cat >/dev/udp/fd77::2/4444'`);
    await lab.settle();
    lab.compare('owner', { lines: 6 });
  });
});
