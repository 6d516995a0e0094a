// A router of Neutron on two network nodes: both have its rules, and keepalived gives its addresses to one of them. The configuration is
// what Neutron writes (agent/linux/keepalived.py), with advertisements every second instead of every two.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { until } from './lab.js';
import { ADDRESS, INSIDE_DEVICE, OUTSIDE_DEVICE, ROUTER, RouterLab, RULES } from './router-lab.js';

const HA = 'ha-5b1c0d52-9a';

/** The configuration of keepalived. @param {string} check the device on which the routers see each other */
const configuration = (check) => `global_defs {
    notification_email_from neutron@openstack.local
    router_id neutron
}
vrrp_instance VR_1 {
    state BACKUP
    interface ${check}
    virtual_router_id 1
    priority 50
    garp_master_delay 60
    nopreempt
    advert_int 1
    track_interface {
        ${check}
    }
    virtual_ipaddress {
        169.254.0.1/24 dev ${check}
    }
    virtual_ipaddress_excluded {
        ${ADDRESS.gateway}/16 dev ${OUTSIDE_DEVICE} no_track
        ${ADDRESS.floating}/32 dev ${OUTSIDE_DEVICE} no_track
        192.168.21.1/24 dev ${INSIDE_DEVICE} no_track
    }
}
`;

/** The lab of one router on two nodes; `nodes` are the namespaces of the router, one on each. */
export class HaLab extends RouterLab {
  second = this.namespace(ROUTER);
  nodes = [this.router, this.second];

  constructor() {
    super();
    const net = this.namespace('br-ex');
    for (const namespace of [this.second, net]) {
      this.sh('sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1', namespace);
    }
    this.sh('for bridge in br-ex br-ha; do ip link add $bridge type bridge; ip link set $bridge up; done', net);
    // The outside is a network of several now.
    this.sh('ip link del eth0', this.outside);
    this.cable([this.outside, 'eth0'], [net, 'out']);
    this.sh('ip link set out master br-ex', net);
    this.sh(`ip addr add ${ADDRESS.outside}/16 dev eth0`, this.outside);
    this.sh(`ip addr flush dev ${INSIDE_DEVICE}`, this.router);
    this.cable([this.second, INSIDE_DEVICE], [this.bridge, 'qr2']);
    this.sh('ip link set qr2 master br-int', this.bridge);
    for (const [i, node] of this.nodes.entries()) {
      this.cable([node, OUTSIDE_DEVICE], [net, `qg${i}`]);
      this.cable([node, HA], [net, `ha${i}`]);
      this.sh(`ip link set qg${i} master br-ex; ip link set ha${i} master br-ha`, net);
      this.sh(`ip addr add 169.254.192.${i + 1}/18 dev ${HA}`, node);
      this.sh(`iptables-restore --wait <${RULES}`, node);
      this.sh(
        'sysctl -qw net.ipv4.ip_forward=1 net.ipv4.ip_nonlocal_bind=1 net.netfilter.nf_conntrack_events=1 net.netfilter.nf_conntrack_acct=1',
        node,
      );
    }
  }

  /** Starts keepalived on the nodes, and waits until the first has the addresses. */
  async keepAlive() {
    for (const [i, node] of this.nodes.entries()) {
      const file = join(this.directory, `keepalived-${i}`);
      writeFileSync(`${file}.conf`, configuration(HA));
      this.start(
        ['keepalived', '-P', '-n', '-l', '-f', `${file}.conf`, '-p', `${file}.pid`, '-r', `${file}.vrrp`],
        node,
        { stdio: 'ignore' },
      );
      await until(`${node} is ${i === 0 ? 'the primary' : 'the backup'}`, () => this.primary() === this.router, 60);
    }
  }

  /** The node that has the router's addresses; undefined when none has. */
  primary() {
    return this.nodes.find((node) => this.sh('ip -o -4 addr', node).includes(` ${ADDRESS.floating}/32 `));
  }

  /** Cuts a node off from the other, which then takes over: resolves when it has. @param {string} node */
  async fail(node) {
    this.sh(`ip link set ${HA} down`, node);
    await until('the other node takes over', () => ![undefined, node].includes(this.primary()), 60);
  }

  /** Lets the node see the other one again. @param {string} node */
  mend(node) {
    this.sh(`ip link set ${HA} up`, node);
  }
}
