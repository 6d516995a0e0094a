// Names of interfaces: those of the namespace that the packet was in, at the time it was there.
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { Lab, until } from '../../scripts/lab.js';
import { Daemon, killRest, PACKETS } from '../support/daemon.ts';

const lab = new Lab();
const home = lab.namespace('ifindex-home');
const there = lab.namespace('ifindex-there');
const peer = lab.namespace('ifindex-peer');
afterEach(killRest);
afterAll(() => lab.close());

const RULES = `table inet names { chain in { type filter hook input priority 0; icmp type echo-request log prefix "in" queue-threshold 1 group 5; }; }`;

/** Adds a cable to the peer with a fixed interface index; the name is the one in `namespace`, the address 10.N.0.1. */
function addDevice(namespace: string, name: string, index: number, net: number): void {
  lab.sh(`ip link add ${name} index ${index} type veth peer name p${net} netns ${peer}`, namespace);
  lab.sh(`ip addr add 10.${net}.0.1/24 dev ${name}; ip link set ${name} up`, namespace);
  lab.sh(`ip addr add 10.${net}.0.2/24 dev p${net}; ip link set p${net} up`, peer);
}

const ping = (net: number) => lab.sh(`ping -q -n -c 1 -W 5 10.${net}.0.1`, peer);
/** IN= of every packet so far. */
const namesIn = (daemon: Daemon) => daemon.folder.objects('packets.json').map((packet) => packet['oob.in'] as string);

beforeAll(() => {
  for (const namespace of [home, there]) lab.sh(`nft -f - <<'END'\n${RULES}\nEND`, namespace);
  addDevice(home, 'home0', 100, 60);
  addDevice(there, 'there0', 100, 61);
});

test('the same index has another name in the namespace of the input than in the daemon’s', async () => {
  const configuration = `${PACKETS}network_namespace_path=/run/netns/${there}\n`
    .replace('[emu1]', 'stack=log2:NFLOG,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,json2:JSON\n[emu1]')
    .replace('[json1]', '[log2]\ngroup=5\n[json2]\nfile="/out/home.json"\n[json1]');
  const daemon = await Daemon.start(lab, configuration, { namespace: home });
  ping(60);
  ping(61);
  const [fromHome] = await daemon.objects('home.json', 1);
  const [fromThere] = await daemon.objects('packets.json', 1);
  expect(fromHome).toMatchObject({ 'oob.ifindex_in': 100, 'oob.in': 'home0', 'oob.out': '' });
  expect(fromThere).toMatchObject({ 'oob.ifindex_in': 100, 'oob.in': 'there0', 'oob.out': '' });
  expect((await daemon.lines('packets.log', 1))[0]).toContain('IN=there0 OUT= ');
  expect(await daemon.stop()).toBe(0);
});

test('an interface created while the daemon runs is named from its first packet on', async () => {
  const daemon = await Daemon.start(lab, PACKETS, { namespace: there });
  const nets = [70, 71, 72, 73, 74];
  for (const net of nets) {
    addDevice(there, `new${net}`, 200 + net, net);
    ping(net);
  }
  await daemon.lines('packets.json', nets.length);
  expect(namesIn(daemon)).toEqual(nets.map((net) => `new${net}`));
  expect(await daemon.stop()).toBe(0);
});

test('a packet that is read before the news of its interface waits for them', async () => {
  addDevice(there, 'old0', 210, 75);
  const daemon = await Daemon.start(lab, PACKETS, { namespace: there });
  daemon.signal('SIGSTOP');
  await until('it stands still', () => lab.sh(`ps -o state= -p ${daemon.pid}`).trim() === 'T');
  ping(75); // so that the packets' socket is the first to be read
  addDevice(there, 'young0', 211, 76);
  ping(76);
  daemon.signal('SIGCONT');
  await daemon.lines('packets.json', 2);
  expect(namesIn(daemon)).toEqual(['old0', 'young0']);
  expect(await daemon.stop()).toBe(0);
});

test('an interface that is renamed has its new name', async () => {
  addDevice(there, 'before0', 300, 80);
  const daemon = await Daemon.start(lab, PACKETS, { namespace: there });
  ping(80);
  await daemon.lines('packets.json', 1);
  lab.sh('ip link set before0 down; ip link set before0 name after0; ip link set after0 up', there);
  await until('the new name', () => {
    ping(80);
    return namesIn(daemon).includes('after0');
  });
  ping(80);
  expect(await daemon.stop()).toBe(0);
  const names = namesIn(daemon);
  // Packets on their way when the name changed may have the old one; then never again.
  expect(names.slice(names.indexOf('after0'))).not.toContain('before0');
  expect(names[0]).toBe('before0');
});

test('an interface that is gone keeps its name for packets that it logged', async () => {
  addDevice(there, 'doomed0', 400, 90);
  const daemon = await Daemon.start(lab, PACKETS, { namespace: there });
  daemon.signal('SIGSTOP');
  await until('it stands still', () => lab.sh(`ps -o state= -p ${daemon.pid}`).trim() === 'T');
  ping(90);
  lab.sh('ip link del doomed0', there);
  // Hundreds of changes more, so that the news of the end is read whatever is read first.
  lab.sh(`for i in $(seq 50); do ip link set lo mtu $((2000 + i)); done`, there);
  daemon.signal('SIGCONT');
  await daemon.lines('packets.json', 1);
  expect(namesIn(daemon)).toEqual(['doomed0']);
  expect(await daemon.stop()).toBe(0);
});

test('an index used again has the name of its new owner', async () => {
  addDevice(there, 'first0', 500, 95);
  const daemon = await Daemon.start(lab, PACKETS, { namespace: there });
  ping(95);
  await daemon.lines('packets.json', 1);
  lab.sh('ip link del first0', there);
  addDevice(there, 'second0', 500, 95);
  await until('the new name', () => {
    ping(95);
    return namesIn(daemon).at(-1) === 'second0';
  });
  expect(await daemon.stop()).toBe(0);
});

test('names of the longest length and of any bytes are whole', async () => {
  addDevice(there, 'vlan12345.4094x', 600, 96);
  const daemon = await Daemon.start(lab, PACKETS, { namespace: there });
  ping(96);
  expect((await daemon.objects('packets.json', 1))[0]).toMatchObject({ 'oob.in': 'vlan12345.4094x' });
  expect(await daemon.stop()).toBe(0);
});
