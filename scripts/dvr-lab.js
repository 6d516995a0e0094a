// A distributed router as Neutron makes it on a node that also does the shared SNAT: qrouter- with the floating IPs of this node, fip-
// between it and the outside, snat- for machines without a floating IP. Names, chains and routes are Neutron's (dvr_local_router.py,
// dvr_fip_ns.py, dvr_edge_router.py).
import { Lab, until } from './lab.js';
import { ADDRESS } from './router-lab.js';

const ID = '82ff3e71-e021-4ce2-aa92-5ec6cb6d7c3d';
const QR = 'qr-9882c485-b8';
const SG = 'sg-b71c2aa0-11';
const QG = 'qg-4f1c0d52-9a';
const FG = 'fg-0d1e2f3a-44';
// Named for the router: the first ten characters of its id.
const RFP = 'rfp-82ff3e71-e';
const FPR = 'fpr-82ff3e71-e';
/** The address that machines without a floating IP share. */
export const SHARED = '10.5.0.101';

const chains = (/** @type {string[]} */ ...more) => `*nat
:neutron-l3-agent-POSTROUTING - [0:0]
:neutron-l3-agent-PREROUTING - [0:0]
:neutron-l3-agent-float-snat - [0:0]
:neutron-l3-agent-snat - [0:0]
:neutron-postrouting-bottom - [0:0]
-A PREROUTING -j neutron-l3-agent-PREROUTING
-A POSTROUTING -j neutron-l3-agent-POSTROUTING
-A POSTROUTING -j neutron-postrouting-bottom
-A neutron-l3-agent-snat -j neutron-l3-agent-float-snat
-A neutron-postrouting-bottom -m comment --comment "Perform source NAT on outgoing traffic." -j neutron-l3-agent-snat
${more.join('\n')}
COMMIT
`;
const LOCAL = chains(
  `-A neutron-l3-agent-POSTROUTING ! -o ${RFP} -m conntrack ! --ctstate DNAT -j ACCEPT`,
  `-A neutron-l3-agent-PREROUTING -d ${ADDRESS.floating}/32 -i ${RFP} -j DNAT --to-destination ${ADDRESS.vm}`,
  `-A neutron-l3-agent-float-snat -s ${ADDRESS.vm}/32 -j SNAT --to-source ${ADDRESS.floating} --random-fully`,
);
const EDGE = chains(
  `-A neutron-l3-agent-POSTROUTING ! -o ${QG} -m conntrack ! --ctstate DNAT -j ACCEPT`,
  `-A neutron-l3-agent-snat -o ${QG} -j SNAT --to-source ${SHARED} --random-fully`,
  `-A neutron-l3-agent-snat -m mark ! --mark 0x2/0xffff -m conntrack --ctstate DNAT -j SNAT --to-source ${SHARED} --random-fully`,
);

/** The namespaces of a distributed router, two machines and the outside; each property is the name of one. */
export class DvrLab extends Lab {
  router = this.namespace(`qrouter-${ID}`);
  edge = this.namespace(`snat-${ID}`);
  fip = this.namespace('fip-376da547-b977-4cfe-9cba-275c80debf57');
  vm = this.namespace('vm');
  other = this.namespace('other');
  outside = this.namespace('outside');

  constructor() {
    super();
    const bridge = this.namespace('bridges');
    for (const namespace of [this.router, this.edge, this.fip, this.vm, this.other, this.outside, bridge]) {
      this.sh('sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1', namespace);
    }
    this.sh(
      'ip link add br-int type bridge; ip link add br-ex type bridge; ip link set br-int up; ip link set br-ex up',
      bridge,
    );
    for (const [namespace, device, port, on] of /** @type {const} */ ([
      [this.router, QR, 'qr', 'br-int'],
      [this.edge, SG, 'sg', 'br-int'],
      [this.vm, 'eth0', 'vm', 'br-int'],
      [this.other, 'eth0', 'other', 'br-int'],
      [this.edge, QG, 'qg', 'br-ex'],
      [this.fip, FG, 'fg', 'br-ex'],
      [this.outside, 'eth0', 'out', 'br-ex'],
    ])) {
      this.cable([namespace, device], [bridge, port]);
      this.sh(`ip link set ${port} master ${on}`, bridge);
    }
    this.cable([this.router, RFP], [this.fip, FPR]);
    for (const namespace of [this.router, this.edge, this.fip]) {
      this.sh(
        'sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0',
        namespace,
      );
    }
    this.sh(`iptables-restore --wait <<'END'\n${LOCAL}END`, this.router);
    this.sh(`iptables-restore --wait <<'END'\n${EDGE}END`, this.edge);
    this.sh(
      `sysctl -qw net.netfilter.nf_conntrack_events=1
       ip addr add 192.168.21.1/24 dev ${QR}; ip addr add 169.254.106.114/31 dev ${RFP}
       ip route add default via 169.254.106.115 dev ${RFP} table 16; ip rule add from ${ADDRESS.vm} lookup 16 priority 57481
       ip route add default via 192.168.21.2 dev ${QR} table 3232240897; ip rule add from 192.168.21.1/24 lookup 3232240897 priority 3232240897`,
      this.router,
    );
    this.sh(
      `sysctl -qw net.netfilter.nf_conntrack_events=1
       ip addr add 192.168.21.2/24 dev ${SG}; ip addr add ${SHARED}/16 dev ${QG}`,
      this.edge,
    );
    this.sh(
      `iptables -t raw -A PREROUTING -j CT --notrack
       sysctl -qw net.ipv4.conf.${FG}.proxy_arp=1
       ip addr add 10.5.0.10/16 dev ${FG}; ip addr add 169.254.106.115/31 dev ${FPR}
       ip route add ${ADDRESS.floating}/32 via 169.254.106.114 dev ${FPR}`,
      this.fip,
    );
    this.sh(`ip addr add ${ADDRESS.vm}/24 dev eth0; ip route add default via 192.168.21.1`, this.vm);
    this.sh(`ip addr add ${ADDRESS.other}/24 dev eth0; ip route add default via 192.168.21.1`, this.other);
    this.sh(`ip addr add ${ADDRESS.outside}/16 dev eth0`, this.outside);
  }

  /** Pings, and throws unless an answer comes. @param {string} from a namespace @param {string} address */
  async ping(from, address) {
    await until(`${address} answers ${from}`, () => {
      try {
        return this.sh(`ping -q -n -c 1 -W 1 ${address}`, from);
      } catch {
        return false;
      }
    });
  }
}
