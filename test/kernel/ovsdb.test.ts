// Ports by Open vSwitch's own database server: their full ids, and which virtual machine an address is sent to.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { until } from '../../scripts/lab.js';
import { ADDRESS, RouterLab } from '../../scripts/router-lab.js';
import { Daemon, killRest } from '../support/daemon.ts';

const lab = new RouterLab();
const socket = join(lab.directory, 'db.sock');
const file = join(lab.directory, 'conf.db');
const { floating, outside } = ADDRESS;

const INSIDE = '9882c485-b808-4a34-a3fb-b537642c66b2';
const PORT = 'ce705c24-c1ef-408a-bda3-7bbd946164ab';
const OTHER = 'aaaaaaaa-0000-4000-8000-000000000001';
const SERVER = '11111111-2222-4333-8444-555555555555';

const CONFIGURATION = `[global]
stack=ct1:NFCT,nat1:NAT,ip2str1:IP2STR,json1:JSON
stack=log1:NFLOG,base1:BASE,ifi1:IFINDEX,neutron1:NEUTRON
stack=log1:NFLOG,base1:BASE,ifi1:IFINDEX,json2:JSON
[neutron]
ovsdb="${socket}"
[ct1]
event_mask=1
hash_enable=0
network_namespace_path="/run/netns/${lab.router}"
[log1]
group=33
network_namespace_path="/run/netns/${lab.router}"
[json1]
file="/out/flows.json"
[json2]
file="/out/packets.json"
[neutron1]
file="/out/neutron.log"
`;

let server: ReturnType<typeof lab.start>;
const vsctl = (command: string) => lab.sh(`ovs-vsctl --no-wait --db=unix:${socket} ${command}`);
const macOf = (namespace: string) => lab.sh('cat /sys/class/net/eth0/address', namespace).trim();

async function startServer(): Promise<void> {
  server = lab.start(['ovsdb-server', file, `--remote=punix:${socket}`, '--no-chdir', `--unixctl=${socket}.ctl`]);
  await until('the database answers', () => {
    try {
      vsctl('show');
      return true;
    } catch {
      return false;
    }
  });
}

async function stopServer(): Promise<void> {
  const ended = new Promise((resolve) => server.once('exit', resolve));
  server.kill('SIGKILL');
  await ended;
}

beforeAll(async () => {
  lab.sh(`ovsdb-tool create ${file} /usr/share/openvswitch/vswitch.ovsschema`);
  await startServer();
  vsctl('init');
  vsctl(
    `add-br br-int -- add-port br-int qr-9882c485-b8 -- set Interface qr-9882c485-b8 type=internal external_ids:iface-id=${INSIDE} external_ids:iface-status=active`,
  );
  vsctl(
    `add-port br-int tapce705c24-c1 -- set Interface tapce705c24-c1 external_ids:iface-id=${PORT} external_ids:attached-mac='"${macOf(lab.vm)}"' external_ids:vm-uuid=${SERVER}`,
  );
  lab.sh(
    `iptables -I FORWARD -p icmp -m conntrack --ctstate NEW -j NFLOG --nflog-group 33 --nflog-threshold 1 --nflog-prefix 'ACCEPT '`,
    lab.router,
  );
});
afterEach(async () => {
  await killRest();
  lab.sh('conntrack -F 2>/dev/null', lab.router);
});
afterAll(() => lab.close());

/** The newest connection after a ping. */
async function flowOfPing(daemon: Daemon, from: string, to: string): Promise<Record<string, unknown>> {
  const before = daemon.folder.read('flows.json').split('\n').length;
  lab.ping(from, to, 1);
  const flows = await daemon.objects('flows.json', before);
  return flows.at(-1) as Record<string, unknown>;
}

const idsOf = (flow: Record<string, unknown>) => [flow['port.id'], flow['server.id'], flow['server.name']];

test('without a map a connection has the port and the server that its address is sent to, and a device its whole id', async () => {
  const daemon = await Daemon.start(lab, CONFIGURATION);
  await until('the ports are known', async () => {
    const flow = await flowOfPing(daemon, lab.vm, outside);
    return flow['port.id'] !== undefined && idsOf(flow);
  });
  expect(idsOf(await flowOfPing(daemon, lab.outside, floating))).toEqual([PORT, SERVER, undefined]);
  // Nobody told of this one.
  expect(idsOf(await flowOfPing(daemon, lab.other, outside))).toEqual([undefined, undefined, undefined]);
  expect(daemon.folder.lines('neutron.log').at(-1)).toContain(`, port=${INSIDE}, `);

  // What changes in the database changes here.
  vsctl(`set Interface tapce705c24-c1 external_ids:iface-id=${OTHER}`);
  await until('the new id', async () => (await flowOfPing(daemon, lab.vm, outside))['port.id'] === OTHER);
  vsctl('del-port tapce705c24-c1');
  await until('no id', async () => (await flowOfPing(daemon, lab.vm, outside))['port.id'] === undefined);
  expect(await daemon.stop()).toBe(0);
  expect(daemon.log).not.toContain('ovsdb');
});

test('a database that goes and comes back is followed again; until then its last word holds', async () => {
  vsctl(
    `-- --may-exist add-port br-int tapce705c24-c1 -- set Interface tapce705c24-c1 external_ids:iface-id=${PORT} external_ids:attached-mac='"${macOf(lab.vm)}"'`,
  );
  const daemon = await Daemon.start(lab, CONFIGURATION);
  await until('the port', async () => (await flowOfPing(daemon, lab.vm, outside))['port.id'] === PORT);
  await stopServer();
  expect((await flowOfPing(daemon, lab.vm, outside))['port.id']).toBe(PORT);
  rmSync(socket);
  await startServer();
  vsctl(`set Interface tapce705c24-c1 external_ids:iface-id=${OTHER}`);
  await until('the new id', async () => (await flowOfPing(daemon, lab.vm, outside))['port.id'] === OTHER);
  expect(await daemon.stop()).toBe(0);
  expect(daemon.log).not.toContain('ovsdb');
});

test("each device that is a port's has its whole id where Open vSwitch has it; rfp- is named for a router, and has none", async () => {
  const devices = ['qr-0a1b2c3d-11', 'qg-0a1b2c3d-22', 'sg-0a1b2c3d-33', 'ha-0a1b2c3d-44', 'rfp-82ff3e71-e'];
  const idOf = (device: string) => `${device.slice(3)}00-4000-8000-00000000000${device.at(-1)}`;
  const unknown = 'qr-0a1b2c3d-99';
  for (const [i, device] of [...devices, unknown].entries()) {
    lab.sh(
      `ip link add ${device} type bridge; ip addr add 10.9.${i}.1/24 dev ${device}; ip link set ${device} up
       iptables -I OUTPUT -o ${device} -p udp --dport 9 -j NFLOG --nflog-group 33 --nflog-threshold 1 --nflog-prefix 'ACCEPT '`,
      lab.router,
    );
  }
  // As Neutron's agent plugs them; the veth pair of rfp- is not plugged into a bridge.
  for (const device of devices.filter((name) => !name.startsWith('rfp-')))
    vsctl(`add-port br-int ${device} -- set Interface ${device} external_ids:iface-id=${idOf(device)}`);
  const daemon = await Daemon.start(lab, CONFIGURATION);
  const sent = [...devices, unknown];
  /** Sends one datagram out by each. */
  const ids = async () => {
    const before = daemon.folder.lines('packets.json').length;
    for (const i of sent.keys()) lab.sh(`bash -c 'echo >/dev/udp/10.9.${i}.2/9'`, lab.router);
    const packets = await daemon.objects('packets.json', before + sent.length);
    return Object.fromEntries(packets.slice(before).map((packet) => [packet['oob.out'], packet['oif.port.id']]));
  };
  await until('the database is read', async () => (await ids())[devices[0] as string] === idOf(devices[0] as string));
  expect(await ids()).toEqual({
    ...Object.fromEntries(devices.map((device) => [device, idOf(device)])),
    'rfp-82ff3e71-e': undefined,
    [unknown]: '0a1b2c3d-99',
  });
  expect(await daemon.stop()).toBe(0);
  const lines = daemon.folder.lines('neutron.log').slice(-sent.length);
  const ports = new Set(lines.map((line) => /, port=([^,]*),/.exec(line)?.[1]));
  expect(ports).toEqual(new Set([...devices.slice(0, 4).map(idOf), '', '0a1b2c3d-99']));
});

test('a database that comes after the daemon is followed from then on', async () => {
  vsctl(`set Interface tapce705c24-c1 external_ids:iface-id=${PORT}`);
  await stopServer();
  rmSync(socket);
  const daemon = await Daemon.start(lab, CONFIGURATION);
  expect(idsOf(await flowOfPing(daemon, lab.vm, outside))).toEqual([undefined, undefined, undefined]);
  await startServer();
  await until('the port', async () => (await flowOfPing(daemon, lab.vm, outside))['port.id'] === PORT, 60);
  expect(await daemon.stop()).toBe(0);
  expect(daemon.log).not.toContain('ovsdb');
});
