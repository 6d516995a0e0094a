// Packets that NFLOG logs in many ways. What they must decode to follows from the rules and the traffic.
import { until } from '../lab.js';
import { listen, python, request, save } from './listener.js';

/** @typedef {import('./listener.js').Vector} Vector */

const FRAME_SOURCE = '020000000099';

/** Requests that bind a group, whole packets, numbered; this kernel has no NFULA_CT (CONFIG_NETFILTER_NETLINK_GLUE_CT). @param {number} group @param {number} threshold @param {number} range */
function bind(group, threshold, range = 0xffff) {
  const header = `0000${group.toString(16).padStart(4, '0')}`;
  const number = (/** @type {number} */ value) => value.toString(16).padStart(8, '0');
  return [
    request(0x401, 0, `${header}0500010001000000`),
    request(0x401, 0, `${header}0a000200${number(range)}0200000008000500${number(threshold)}0600060000030000`),
  ];
}

/** @param {import('../lab.js').Lab} lab */
export async function recordNflog(lab) {
  const [client, host, peer] = ['rc', 'rh', 'rp'].map((name) => lab.namespace(name));
  lab.cable([client, 'a0'], [host, 'b0']);
  lab.cable([client, 'a1'], [host, 'b1']);
  lab.cable([peer, 'c0'], [host, 'b2']);
  lab.sh(`ip -n ${client} link set a0 address 02:00:00:00:00:01
    ip -n ${client} address add 10.3.0.2/24 dev a0; ip -n ${client} address add fd03::2/64 dev a0 nodad
    ip -n ${host} link set b0 address 02:00:00:00:00:02
    ip -n ${host} address add 10.3.0.1/24 dev b0; ip -n ${host} address add fd03::1/64 dev b0 nodad
    ip -n ${host} link add br0 type bridge; ip -n ${host} link set br0 up
    ip -n ${host} link set b1 master br0; ip -n ${host} link set b2 master br0
    ip -n ${client} address add 10.4.0.1/24 dev a1; ip -n ${peer} address add 10.4.0.2/24 dev c0`);
  lab.sh(
    `sysctl -qw net.bridge.bridge-nf-call-iptables=1
    nft -f - <<'NFT'
table inet t {
  chain in { type filter hook input priority 0
    udp dport 1001 meta mark set 0x1234abcd log prefix "marked in: " group 10
    udp dport 1002 log group 11
    udp dport 1003 log prefix "three at once: " group 12
  }
  chain out { type filter hook output priority 0
    udp dport 1004 log prefix "from a user: " group 10
  }
  chain forwarded { type filter hook forward priority 0
    udp dport 1006 log prefix "routed by a bridge: " group 10
  }
}
table bridge b {
  chain pre { type filter hook prerouting priority 0
    ether saddr 02:00:00:00:00:99 log prefix "tagged: " group 10
  }
}
table netdev n {
  chain first { type filter hook ingress device b0 priority 0
    udp dport 1005 log prefix "ingress: " group 10
  }
}
table arp a {
  chain in { type filter hook input priority 0
    iifname b0 arp operation request log prefix "arp: " group 10
  }
}
NFT`,
    host,
  );
  /** @type {{ ifname: string, ifindex: number }[]} */ const links = JSON.parse(lab.sh('ip -j link', host));
  const index = Object.fromEntries(links.map((link) => [link.ifname, link.ifindex]));
  const listener = await listen(lab, host, 12, { requests: [...bind(10, 1), ...bind(11, 1, 40), ...bind(12, 3)] });

  const send = (/** @type {string} */ address, /** @type {number} */ port, text = 'hello', before = '') =>
    `import os, socket\n${before}\ns = socket.socket(socket.AF_INET${address.includes(':') ? '6' : ''}, socket.SOCK_DGRAM)\ns.sendto(b'${text}', ('${address}', ${port}))`;
  const frame = (/** @type {string} */ hex) =>
    `import socket\ns = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)\ns.bind(('a1', 0))\ns.send(bytes.fromhex('${hex}'))`;
  const ethernet = { hwType: 1, hwLength: 14, hwHeader: '0200000000020200000000010800', hwAddress: '020000000001' };
  const inFrom = { group: 10, family: 2, protocol: 0x800, hook: 1, indev: index.b0, ...ethernet };

  /** @type {[name: string, script: string, namespace: string, expected: object[]][]} */
  const steps = [
    [
      'arp, which comes first',
      send('10.3.0.1', 9),
      client,
      [{ group: 10, family: 3, protocol: 0x806, hook: 0, indev: index.b0, prefix: 'arp: ', sequence: 0 }],
    ],
    [
      'marked by a rule',
      send('10.3.0.1', 1001),
      client,
      [{ ...inFrom, prefix: 'marked in: ', mark: 0x1234abcd, text: 'hello', payload: 33, sequence: 1 }],
    ],
    [
      'cut short, without a prefix',
      send('10.3.0.1', 1002, 'x'.repeat(90)),
      client,
      [{ ...inFrom, group: 11, prefix: '', text: 'x'.repeat(12), payload: 40, sequence: 0, globalSequence: 3 }],
    ],
    [
      'over IPv6',
      send('fd03::1', 1001),
      client,
      [
        {
          ...inFrom,
          family: 10,
          protocol: 0x86dd,
          prefix: 'marked in: ',
          mark: 0x1234abcd,
          text: 'hello',
          payload: 53,
          sequence: 2,
          hwHeader: '02000000000202000000000186dd',
        },
      ],
    ],
    [
      'sent by a user',
      send('10.3.0.2', 1004, 'hello', 'os.setgid(1001); os.setuid(1000)'),
      host,
      [
        {
          group: 10,
          family: 2,
          protocol: 0x800,
          hook: 3,
          outdev: index.b0,
          prefix: 'from a user: ',
          uid: 1000,
          gid: 1001,
          text: 'hello',
          payload: 33,
          sequence: 3,
        },
      ],
    ],
    [
      'at a device, before conntrack',
      send('10.3.0.1', 1005),
      client,
      [{ ...inFrom, family: 5, hook: 0, prefix: 'ingress: ', text: 'hello', payload: 33, sequence: 4 }],
    ],
    [
      'a tagged frame on a bridge',
      frame(`ffffffffffff${FRAME_SOURCE}8100a02a0800${'4500001c000000004011000001020304050607080400040000080000'}`),
      client,
      [
        {
          group: 10,
          family: 7,
          protocol: 0x800,
          hook: 0,
          prefix: 'tagged: ',
          physIndev: index.b1,
          indev: index.br0,
          payload: 28,
          sequence: 5,
          hwAddress: FRAME_SOURCE,
          hwType: 1,
          hwLength: 14,
          hwHeader: `ffffffffffff${FRAME_SOURCE}0800`,
          vlan: { protocol: 0x8100, tci: 0xa02a },
          l2Header: `ffffffffffff${FRAME_SOURCE}0800`,
        },
      ],
    ],
    [
      'an IP packet through a bridge',
      send('10.4.0.2', 1006),
      client,
      [
        {
          group: 10,
          family: 2,
          protocol: 0x800,
          hook: 2,
          prefix: 'routed by a bridge: ',
          indev: index.br0,
          outdev: index.br0,
          physIndev: index.b1,
          physOutdev: index.b2,
          text: 'hello',
          payload: 33,
          sequence: 6,
        },
      ],
    ],
    [
      'three in one datagram',
      `${send('10.3.0.1', 1003, 'one')}\ns.sendto(b'two', ('10.3.0.1', 1003)); s.sendto(b'three', ('10.3.0.1', 1003))`,
      client,
      ['one', 'two', 'three'].map((text, i) => ({
        ...inFrom,
        group: 12,
        prefix: 'three at once: ',
        text,
        payload: 28 + text.length,
        sequence: i,
      })),
    ],
  ];
  /** @type {Vector[]} */ const result = [];
  for (const [name, script, namespace, expected] of steps) {
    const before = listener.lines.length;
    python(lab, script, namespace);
    await until(`the log of ${name}`, () => listener.lines.length > before);
    result.push({ name, hex: listener.lines[before], expected });
  }
  save('nflog', result);
}
