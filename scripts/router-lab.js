// The lab as an OpenStack network node sees it: one Neutron router between two virtual machines and the outside.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Lab, until } from './lab.js';

/** Who is who in the lab. */
export const ADDRESS = {
  /** The virtual machine that has the floating IP. */ vm: '192.168.21.73',
  /** Its floating IP. */ floating: '10.5.150.82',
  /** The virtual machine without one: it shares the router's address. */ other: '192.168.21.74',
  /** The router's own address outside; port 2222 is forwarded to port 22 of `other`. */ gateway: '10.5.0.100',
  /** A host in the outside network. */ outside: '10.5.0.8',
};

/** The same in IPv6, which Neutron routes and does not translate: these rules are those of other routers. */
export const ADDRESS_IPV6 = {
  vm: 'fd00:21::73',
  floating: '2001:db8::82',
  other: 'fd00:21::74',
  gateway: '2001:db8::100',
  outside: '2001:db8::8',
};
const RULES_IPV6 = `*nat
-A PREROUTING -d ${ADDRESS_IPV6.floating} -j DNAT --to-destination ${ADDRESS_IPV6.vm}
-A PREROUTING -d ${ADDRESS_IPV6.gateway} -p tcp -m tcp --dport 2222 -j DNAT --to-destination [${ADDRESS_IPV6.other}]:22
-A POSTROUTING -s ${ADDRESS_IPV6.vm} -j SNAT --to-source ${ADDRESS_IPV6.floating}
-A POSTROUTING -s fd00:21::/64 -o qg-+ -p tcp -j SNAT --to-source ${ADDRESS_IPV6.gateway}
COMMIT
`;
export const ROUTER = 'qrouter-82ff3e71-e021-4ce2-aa92-5ec6cb6d7c3d';
export const INSIDE_DEVICE = 'qr-9882c485-b8';
export const OUTSIDE_DEVICE = 'qg-4f1c0d52-9a';
export const RULES = fileURLToPath(new URL('qrouter.iptables', import.meta.url));
const TRAFFIC = fileURLToPath(new URL('traffic.js', import.meta.url));

// acct and timestamp fill in packets, bytes and times. The short timeouts (seconds) let a connection end while one watches.
const SYSCTLS = `
net.ipv4.ip_forward=1
net.netfilter.nf_conntrack_acct=1
net.netfilter.nf_conntrack_timestamp=1
net.netfilter.nf_conntrack_icmp_timeout=2
net.netfilter.nf_conntrack_udp_timeout=2
net.netfilter.nf_conntrack_udp_timeout_stream=2
net.netfilter.nf_conntrack_tcp_timeout_close=2
net.netfilter.nf_conntrack_tcp_timeout_time_wait=2`;

/** A lab with a router, its rules and its machines; each property is the name of a namespace. */
export class RouterLab extends Lab {
  router = this.namespace(ROUTER, { exact: !existsSync(`/run/netns/${ROUTER}`) });
  vm = this.namespace('vm');
  other = this.namespace('other');
  outside = this.namespace('outside');
  /** Where the inside network is joined, by the device br-int. */
  bridge = this.namespace('br-int');

  constructor() {
    super();
    const { bridge } = this;
    for (const namespace of [this.router, this.vm, this.other, this.outside, bridge]) {
      // No neighbour discovery among the events.
      this.sh('sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1', namespace);
    }
    this.sh('ip link add br-int type bridge; ip link set br-int up', bridge);
    this.cable([this.router, INSIDE_DEVICE], [bridge, 'qr']);
    this.cable([this.vm, 'eth0'], [bridge, 'vm']);
    this.cable([this.other, 'eth0'], [bridge, 'other']);
    this.cable([this.router, OUTSIDE_DEVICE], [this.outside, 'eth0']);
    this.sh('for port in qr vm other; do ip link set $port master br-int; done', bridge);

    // conntrack's sysctls appear in a namespace with its first rule that needs them.
    this.sh(`iptables-restore --wait <${RULES}; sysctl -qw ${SYSCTLS.trim().replaceAll('\n', ' ')}`, this.router);
    this.sh(`ip addr add 192.168.21.1/24 dev ${INSIDE_DEVICE}`, this.router);
    this.sh(`ip addr add ${ADDRESS.gateway}/16 dev ${OUTSIDE_DEVICE}`, this.router);
    this.sh(`ip addr add ${ADDRESS.floating}/32 dev ${OUTSIDE_DEVICE}`, this.router);
    this.sh(`ip addr add ${ADDRESS.vm}/24 dev eth0; ip route add default via 192.168.21.1`, this.vm);
    this.sh(`ip addr add ${ADDRESS.other}/24 dev eth0; ip route add default via 192.168.21.1`, this.other);
    this.sh(`ip addr add ${ADDRESS.outside}/16 dev eth0`, this.outside);
  }

  /** Gives everybody an IPv6 address and the router rules that translate them, but for pings, which are routed. */
  addIpv6() {
    for (const namespace of [this.router, this.vm, this.other, this.outside]) {
      this.sh('sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.default.disable_ipv6=0', namespace);
      this.sh(
        'for device in $(ls /sys/class/net); do sysctl -qw net.ipv6.conf.$device.disable_ipv6=0; done',
        namespace,
      );
    }
    const { vm, floating, other, gateway, outside } = ADDRESS_IPV6;
    this.sh(`sysctl -qw net.ipv6.conf.all.forwarding=1 net.netfilter.nf_conntrack_icmpv6_timeout=2`, this.router);
    this.sh(`ip addr add fd00:21::1/64 dev ${INSIDE_DEVICE} nodad`, this.router);
    this.sh(`ip addr add ${gateway}/64 dev ${OUTSIDE_DEVICE} nodad`, this.router);
    this.sh(`ip addr add ${floating}/128 dev ${OUTSIDE_DEVICE} nodad`, this.router);
    this.sh(`ip6tables-restore --wait <<'END'\n${RULES_IPV6}END`, this.router);
    this.sh(`ip addr add ${vm}/64 dev eth0 nodad; ip route add default via fd00:21::1`, this.vm);
    this.sh(`ip addr add ${other}/64 dev eth0 nodad; ip route add default via fd00:21::1`, this.other);
    this.sh(`ip addr add ${outside}/64 dev eth0 nodad; ip route add fd00:21::/64 via ${gateway}`, this.outside);
  }

  /** Answers whatever arrives at these ports, for example "tcp:22". @param {string} namespace @param {string[]} ports */
  async listen(namespace, ...ports) {
    const server = this.start([process.execPath, TRAFFIC, 'listen', ...ports], namespace);
    let said = '';
    server.stdout?.on('data', (text) => {
      said += text;
    });
    await until(`${namespace} listens at ${ports}`, () => said.includes('ready'));
  }

  /** Pings, and throws unless every answer comes. @param {string} from a namespace @param {string} address */
  ping(from, address, count = 2) {
    this.sh(`ping -q -n -c ${count} -i 0.1 -W 5 ${address}`, from);
  }

  /**
   * Sends bytes over a connection of its own; the process ends with 0 once the answer has come. Nothing waits for it:
   * behind a rule that drops, it tries until it is killed.
   * @param {string} from a namespace @param {'tcp' | 'udp'} protocol @param {string} address @param {number} port
   */
  send(from, protocol, address, port, bytes = 600) {
    return this.start([process.execPath, TRAFFIC, protocol, address, `${port}`, `${bytes}`], from);
  }

  /** As `send`, and resolves once the answer has come; rejects when refused. @param {Parameters<RouterLab['send']>} to */
  exchange(...to) {
    const client = this.send(...to);
    return new Promise((resolve, reject) => {
      client.once('exit', (code) =>
        code === 0 ? resolve(undefined) : reject(new Error(`no answer: ${to.join(' ')}`)),
      );
    });
  }

  /** The router's connections, one a line. Listing also makes the kernel remove those that have timed out. */
  connections() {
    return this.sh('conntrack -L 2>/dev/null', this.router).split('\n').filter(Boolean);
  }
}
