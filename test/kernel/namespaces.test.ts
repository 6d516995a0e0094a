// Inputs that follow network namespaces as they come and go.
import { readdirSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest';
import { Lab, until } from '../../scripts/lab.js';
import type { Attached } from '../../src/cli/namespace-stacks.ts';
import { ask } from '../../src/control/client.ts';
import { Daemon, killRest, logDatagrams, Run, sendDatagrams } from '../support/daemon.ts';

const lab = new Lab();
/** Where the other ends of cables are: they go when a namespace really is gone. */
const outside = lab.namespace('outside');
const own = new Set<string>();
/** Names of this run alone, and of this test alone. */
let prefix = '';
let tests = 0;
beforeEach(() => {
  prefix = `qrouter-f${process.pid}x${tests++}`;
});
afterEach(async () => {
  await killRest();
  for (const name of own) remove(name);
});
afterAll(() => lab.close());

function add(name: string): void {
  own.add(name);
  lab.sh(`ip netns add ${name}`);
}

function remove(name: string): void {
  own.delete(name);
  lab.sh(`ip netns del ${name}`);
}

/** A namespace with loopback whose datagrams to port 9 are logged to group 5, and a cable to the outside. */
function furnish(name: string, cable: string): void {
  logDatagrams(lab, name, 5);
  lab.sh(`ip -n ${name} link set lo up; ip -n ${outside} link add ${cable} type veth peer name qr-1 netns ${name}`);
  lab.sh('sysctl -qw net.netfilter.nf_conntrack_events=1', name);
}

const isGone = (cable: string) => !lab.sh(`ip -n ${outside} -o link`).includes(`${cable}@`);

const configuration = (pattern: string) => `[global]
stack=log1:NFLOG,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,json1:JSON
stack=log1:NFLOG,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,each:JSON
stack=ct1:NFCT,ip2str1:IP2STR,flows:JSON
[log1]
group=5
network_namespaces="${pattern}"
[ct1]
network_namespaces="${pattern}"
[json1]
file="/out/all.json"
[each]
file="/out/%{netns.name}.json"
[flows]
file="/out/flows.json"
`;

const asked = (daemon: Daemon, command: string, name?: string) =>
  ask(daemon.folder.file('control.sock'), command, name === undefined ? {} : { name });
const attached = async (daemon: Daemon) => (await asked(daemon, 'netns')) as Attached[];

/** Resolves when both inputs listen in the namespace. */
const listening = (daemon: Daemon, name: string) =>
  until(`both inputs in ${name}`, async () => {
    const there = (await attached(daemon)).filter(({ netns }) => netns === name);
    return there.length === 2 && daemon.log.includes(`log1:NFLOG@${name}: attached`) && there;
  });

const packetsOf = (daemon: Daemon, file: string) =>
  daemon.folder.objects(file).filter((one) => one['flowlogd.event'] === undefined);

test('namespaces are found at the start and when they come, named in every record, and let go when they are deleted', async () => {
  const id = '82ff3e71-e021-4ce2-aa92-5ec6cb6d7c3d';
  const [before, later] = [`${prefix}a`, `snat-${id}`];
  add(before);
  furnish(before, 'cable-a');
  const daemon = await Daemon.start(lab, configuration(`${prefix}* snat-* !${prefix}not*`));
  await listening(daemon, before);
  add(later);
  add(`${prefix}not`);
  furnish(later, 'cable-b');
  const [there] = (await listening(daemon, later)) as Attached[];
  sendDatagrams(lab, before, 2);
  sendDatagrams(lab, later, 3);
  await daemon.lines('all.json', 5);
  const last = packetsOf(daemon, `${later}.json`);
  expect(last).toHaveLength(3);
  expect(last[0]).toMatchObject({ 'netns.name': later, 'netns.id': there?.inode, 'router.id': id, 'oob.out': 'lo' });
  expect(last[0]).toHaveProperty('host.name');
  expect(packetsOf(daemon, `${before}.json`)).toHaveLength(2);
  expect(packetsOf(daemon, `${before}.json`)[0]).not.toHaveProperty('router.id');

  remove(before);
  await until('the namespace is gone', () => isGone('cable-a'));
  await until('the file of the namespace ends', () => daemon.folder.lines(`${before}.json`).length === 3);
  expect(daemon.folder.objects(`${before}.json`).at(-1)).toMatchObject({
    'flowlogd.event': 'end',
    'netns.name': before,
  });
  const open = readdirSync(`/proc/${daemon.pid}/fd`).map((fd) => readlinkSync(`/proc/${daemon.pid}/fd/${fd}`));
  expect(open).toContain(daemon.folder.file(`${later}.json`));
  expect(open).not.toContain(daemon.folder.file(`${before}.json`));
  expect((await attached(daemon)).map(({ netns }) => netns)).toEqual([later, later]);
  const shown = new Run(lab, ['netns', '-c', daemon.folder.configuration]);
  expect(await shown.ended).toBe(0);
  expect(shown.stdout).toMatch(new RegExp(`^NETNS +INPUT +SINCE +EVENTS +LOST\\n${later} +log1:NFLOG +\\S+ +3 +0\\n`));
  expect(await daemon.stop()).toBe(0);
  expect(daemon.log).not.toContain('<7>');
});

test('a namespace is attached within 100 ms', async () => {
  const daemon = await Daemon.start(lab, configuration(`${prefix}*`));
  let best = Number.POSITIVE_INFINITY;
  // Others may keep the processor busy: the best of some is what counts.
  for (let i = 0; i < 20 && best >= 100; i++) {
    add(`${prefix}${i}`);
    const there = Date.now();
    const both = (await listening(daemon, `${prefix}${i}`)) as Attached[];
    best = Math.min(best, Math.max(...both.map(({ since }) => Date.parse(since))) - there);
  }
  expect(best).toBeLessThan(100);
  expect(await daemon.stop()).toBe(0);
});

test('namespaces that come, are used and go lose no packet, keep no descriptor and live no longer', async () => {
  const rounds = Number(process.env.FLOWLOGD_CHURN ?? 20);
  const daemon = await Daemon.start(lab, configuration(`${prefix}*`));
  const descriptors = () => readdirSync(`/proc/${daemon.pid}/fd`).length;
  const one = async (i: number) => {
    const name = `${prefix}c${i}`;
    add(name);
    furnish(name, `churn-${i}`);
    await listening(daemon, name);
    sendDatagrams(lab, name, 3);
    remove(name);
    await until(`${name} is gone`, () => isGone(`churn-${i}`));
  };
  await one(0);
  const before = descriptors();
  for (let i = 1; i <= rounds; i++) await one(i);
  await until('nothing is attached', async () => (await attached(daemon)).length === 0);
  await until('as many descriptors as before', () => descriptors() <= before);
  for (let i = 0; i <= rounds; i++) expect(packetsOf(daemon, `${prefix}c${i}.json`)).toHaveLength(3);
  expect(await daemon.stop()).toBe(0);
  expect(daemon.log).not.toContain('<7>');
});

test('another namespace of the same name is another one', async () => {
  const name = `${prefix}again`;
  add(name);
  furnish(name, 'again-1');
  const daemon = await Daemon.start(lab, configuration(`${prefix}*`));
  await listening(daemon, name);
  sendDatagrams(lab, name, 1);
  await daemon.lines(`${name}.json`, 1);
  daemon.signal('SIGSTOP'); // so that both changes are one for it
  remove(name);
  add(name);
  furnish(name, 'again-2');
  daemon.signal('SIGCONT');
  await until('the first one is gone', () => isGone('again-1'));
  await until('the second is attached', () => daemon.log.split(`log1:NFLOG@${name}: attached`).length > 2);
  sendDatagrams(lab, name, 1);
  await until('packets of both', () => packetsOf(daemon, `${name}.json`).length === 2);
  expect(new Set(packetsOf(daemon, `${name}.json`).map((packet) => packet['netns.id'])).size).toBe(2);
  expect(await daemon.stop()).toBe(0);
});

test('connections that were open when their namespace went are told as ended, before its own end; those of one that is let go of are not', async () => {
  const name = `${prefix}a`;
  add(name);
  furnish(name, 'cable-o');
  lab.sh('iptables -A INPUT -m conntrack --ctstate NEW', name); // else the kernel tracks nothing here
  const daemon = await Daemon.start(lab, configuration(`${prefix}*`));
  await listening(daemon, name);
  sendDatagrams(lab, name, 2);
  await daemon.lines('all.json', 2);
  await asked(daemon, 'detach', name);
  await asked(daemon, 'attach', name);
  await listening(daemon, name);
  const isEnd = (one: object) => (one as { 'flowlogd.event'?: string })['flowlogd.event'] === 'end';
  expect(daemon.folder.objects('flows.json').every(isEnd)).toBe(true);
  const before = daemon.folder.objects('flows.json').length;
  sendDatagrams(lab, name, 1); // seen as an event, also if the dump after the attaching has not ended
  await daemon.lines('all.json', 3);
  remove(name);
  await until('the namespace is gone', () => isGone('cable-o'));
  await until('its end is told', () => daemon.folder.objects('flows.json').slice(before).some(isEnd));
  const told = daemon.folder.objects('flows.json').slice(before);
  const ended = told.slice(0, told.findIndex(isEnd));
  expect(ended.length).toBeGreaterThan(0);
  for (const one of ended) expect(one).toMatchObject({ 'ct.event': 4, 'flow.unobserved': 1, 'netns.name': name });
});

test('a group that is held in one namespace is said for that one, and can be attached when it is free', async () => {
  const [held, free] = [`${prefix}held`, `${prefix}free`];
  for (const [name, cable] of [
    [held, 'cable-1'],
    [free, 'cable-2'],
  ] as const) {
    add(name);
    furnish(name, cable);
  }
  const holder = await Daemon.start(
    lab,
    '[global]\nstack=l:NFLOG,base1:BASE,ip2str1:IP2STR,j:JSON\n[l]\ngroup=5\n[j]\nfile="/out/held.json"\n',
    {
      namespace: held,
    },
  );
  const daemon = await Daemon.start(lab, configuration(`${prefix}*`));
  await listening(daemon, free);
  await daemon.logged(`stack log1:NFLOG@${held}: NFLOG group 5 is held by process ${holder.pid}`);
  sendDatagrams(lab, free, 1);
  await daemon.lines(`${free}.json`, 1);
  expect((await attached(daemon)).filter(({ failure }) => failure !== undefined).map(({ netns }) => netns)).toEqual([
    held,
  ]);
  await holder.stop();
  expect(await asked(daemon, 'attach', held)).toEqual({ inputs: 2 });
  sendDatagrams(lab, held, 1);
  await daemon.lines(`${held}.json`, 1);
  expect(await asked(daemon, 'detach', held)).toEqual({ inputs: 2 });
  remove(held);
  await until('it is gone', () => isGone('cable-1'));
  await expect(asked(daemon, 'attach', `${prefix}nowhere`)).rejects.toThrow('there is no network namespace');
  await expect(asked(daemon, 'attach', 'other')).rejects.toThrow('no input names this namespace');
  await expect(asked(daemon, 'detach', 'other')).rejects.toThrow('no input listens in this namespace');
  expect(await daemon.stop()).toBe(0);
});

test('a plain file in /run/netns is said once, and keeps nothing from running', async () => {
  const stale = `/run/netns/${prefix}stale`;
  writeFileSync(stale, '');
  try {
    const daemon = await Daemon.start(lab, configuration(`${prefix}*`));
    await daemon.logged(`${stale}: a plain file, no network namespace`);
    add(`${prefix}good`);
    await listening(daemon, `${prefix}good`);
    expect(daemon.log.split(stale)).toHaveLength(2);
    expect(await daemon.stop()).toBe(0);
  } finally {
    rmSync(stale);
  }
});

test('a name commands no terminal that shows the log', async () => {
  const name = `/run/netns/${prefix}evil\x1b[31m`;
  const daemon = await Daemon.start(lab, configuration(`${prefix}*`));
  writeFileSync(name, '');
  try {
    await daemon.logged(`${prefix}evil\\x1b[31m: a name that cannot stand in a record; it is not watched\n`);
    expect(await daemon.stop()).toBe(0);
  } finally {
    rmSync(name);
  }
});

test('mounts that do not reach the daemon are said once for all names', async () => {
  const daemon = await Daemon.start(lab, configuration(`${prefix}*`), {
    before: ['unshare', '-m', '--propagation', 'private'],
  });
  for (const name of ['one', 'two', 'three']) add(`${prefix}${name}`);
  await daemon.logged('mounts do not reach this process');
  // The three were seen in one moment; what is said of a fourth would come behind what was said of them.
  writeFileSync(`/run/netns/${prefix}bad?`, '');
  own.delete(`${prefix}bad?`);
  await daemon.logged('a name that cannot stand in a record');
  rmSync(`/run/netns/${prefix}bad?`);
  expect(daemon.log.split('plain file')).toHaveLength(2);
  expect(await attached(daemon)).toEqual([]);
  expect(await daemon.stop()).toBe(0);
});

test('/run/netns may come after the daemon', async () => {
  const daemon = await Daemon.start(lab, configuration(`${prefix}*`), {
    before: ['unshare', '-m', 'sh', '-c', 'mount -t tmpfs none /run; exec "$@"', 'sh'],
  });
  const inside = `nsenter -t ${daemon.pid} -m`;
  for (const name of ['first', 'second']) {
    lab.sh(`${inside} ip netns add ${prefix}${name}`);
    await listening(daemon, `${prefix}${name}`);
  }
  lab.sh(`${inside} ip netns del ${prefix}first`);
  await until('one is left', async () => (await attached(daemon)).length === 2);
  expect(await daemon.stop()).toBe(0);
  expect(daemon.log).not.toContain('<7>');
});

test('namespaces that vanish while they are attached are no error and leave nothing', async () => {
  const daemon = await Daemon.start(lab, configuration(`${prefix}*`));
  const descriptors = () => readdirSync(`/proc/${daemon.pid}/fd`).length;
  const before = descriptors();
  lab.sh(`for i in $(seq 60); do ip netns add ${prefix}v; ip netns del ${prefix}v; done`);
  add(`${prefix}stays`);
  await listening(daemon, `${prefix}stays`);
  remove(`${prefix}stays`);
  await until('nothing is attached', async () => (await attached(daemon)).length === 0);
  await until('as many descriptors as before', () => descriptors() <= before);
  expect(await daemon.stop()).toBe(0);
  expect(daemon.log).not.toContain('<7>');
});

test('after -u namespaces are still attached as they come, and a reload changes who is watched', async () => {
  const daemon = await Daemon.start(lab, configuration(`${prefix}*`), { flags: ['-u', 'nobody'] });
  lab.sh(`chmod 777 ${daemon.folder.path} ${lab.directory}`);
  add(`${prefix}late`);
  furnish(`${prefix}late`, 'cable-late');
  await listening(daemon, `${prefix}late`);
  sendDatagrams(lab, `${prefix}late`, 1);
  await daemon.lines('all.json', 1);
  lab.sh(`sed -i 's/${prefix}[*]/none-such/' ${daemon.folder.configuration}`);
  daemon.signal('SIGHUP');
  await daemon.logged('was read again: log1:NFLOG, ct1:NFCT changed');
  await until('nothing is attached', async () => (await attached(daemon)).length === 0);
  remove(`${prefix}late`);
  await until('it is gone', () => isGone('cable-late'));
  expect(await daemon.stop()).toBe(0);
});

test('interfaces that Neutron named for a port give its id; other names are not guessed at', async () => {
  const name = `${prefix}ports`;
  add(name);
  logDatagrams(lab, name, 5);
  const devices = [
    'qr-9882c485-b8',
    'qg-4f1c0d52-9a',
    'sg-00112233-44',
    'tap0a1b2c3d-4e',
    'rfp-82ff3e71-e',
    'qr-short',
  ];
  for (const [i, device] of devices.entries())
    lab.sh(
      `ip link add ${device} type bridge; ip addr add 10.7.${i}.1/24 dev ${device}; ip link set ${device} up`,
      name,
    );
  const sendToAll = () => {
    for (const i of devices.keys()) sendDatagrams(lab, name, 1, `10.7.${i}.2`);
  };
  const portsIn = (file: string, daemon: Daemon) =>
    Object.fromEntries(packetsOf(daemon, file).map((packet) => [packet['oob.out'], packet['oif.port.id']]));
  const daemon = await Daemon.start(lab, configuration(`${prefix}*`));
  await listening(daemon, name);
  sendToAll();
  await daemon.lines('all.json', devices.length);
  expect(portsIn('all.json', daemon)).toEqual({
    'qr-9882c485-b8': '9882c485-b8',
    'qg-4f1c0d52-9a': '4f1c0d52-9a',
    'sg-00112233-44': '00112233-44',
    'tap0a1b2c3d-4e': '0a1b2c3d-4e',
    'rfp-82ff3e71-e': undefined,
    'qr-short': undefined,
  });
  expect(packetsOf(daemon, 'all.json')[0]).not.toHaveProperty('iif.port.id');
  expect(await daemon.stop()).toBe(0);

  const inside = configuration('-')
    .replaceAll(/^network_namespaces=.*\n/gm, '')
    .replaceAll(/^stack=.*each.*\n/gm, '');
  const alone = await Daemon.start(lab, inside.replaceAll(/\[each\]\n.*\n/g, ''), { namespace: name });
  sendToAll();
  await alone.lines('all.json', devices.length);
  expect(new Set(Object.values(portsIn('all.json', alone)))).toEqual(new Set([undefined]));
  expect(await alone.stop()).toBe(0);
});

const ROUTERS = (pattern: string) => `[global]
stack=fip1:FIP,fips:JSON
stack=log1:NFLOG,base1:BASE,nat1:NAT,ip2str1:IP2STR,packets:JSON
[fip1]
network_namespaces="${pattern}"
[log1]
group=5
network_namespaces="${pattern}"
[fips]
file="/out/fips.json"
[packets]
file="/out/packets.json"
`;

/** A router whose floating IP is the server 192.168.21.73's, as every router's here. */
function route(name: string, floating: string): void {
  add(name);
  logDatagrams(lab, name, 5);
  lab.sh(
    `ip link set lo up; ip addr add 192.168.21.73/32 dev lo
     iptables -t nat -A PREROUTING -d ${floating}/32 -j DNAT --to-destination 192.168.21.73`,
    name,
  );
}

test('routers with the same addresses keep their floating IPs apart, also from those of one that had the same name', async () => {
  const id = '82ff3e71-e021-4ce2-aa92-5ec6cb6d7c3e';
  const [first, second] = [`qrouter-${id}`, `${prefix}second`];
  route(first, '10.5.150.1');
  route(second, '10.5.150.2');
  const daemon = await Daemon.start(lab, ROUTERS(`${first} ${second}`));
  const send = async (name: string, count: number) => {
    sendDatagrams(lab, name, 1, '192.168.21.73');
    await until(`${count} packets`, () => packetsOf(daemon, 'packets.json').length === count);
    return packetsOf(daemon, 'packets.json').at(-1);
  };
  for (const name of [first, second]) {
    await daemon.logged(`fip1:FIP@${name}: attached`);
    await daemon.logged(`log1:NFLOG@${name}: attached`);
  }
  const before = await send(first, 1);
  expect(before).toMatchObject({ 'netns.name': first, 'router.id': id, 'nat.floating_ip': '10.5.150.1' });
  expect(await send(second, 2)).toMatchObject({ 'netns.name': second, 'nat.floating_ip': '10.5.150.2' });

  daemon.signal('SIGSTOP'); // so that the end and the new begin are one change for it
  remove(first);
  route(first, '10.5.150.3');
  daemon.signal('SIGCONT');
  await daemon.logged(`fip1:FIP@${first}: attached`, 2);
  await daemon.logged(`log1:NFLOG@${first}: attached`, 2);
  const after = await send(first, 3);
  expect(after).toMatchObject({ 'netns.name': first, 'router.id': id, 'nat.floating_ip': '10.5.150.3' });
  expect(after?.['netns.id']).not.toBe(before?.['netns.id']);
  expect(await send(second, 4)).toMatchObject({ 'nat.floating_ip': '10.5.150.2' });
  const told = daemon.folder.objects('fips.json').map((line) => ({
    what: `${line['flowlogd.event']} ${line['nat.floating_ip'] ?? ''}`.trim(),
    where: [line['netns.name'], line['netns.id'], line['router.id']],
  }));
  const [one, two, again] = [
    before?.['netns.id'],
    packetsOf(daemon, 'packets.json')[1]?.['netns.id'],
    after?.['netns.id'],
  ];
  expect(told).toHaveLength(5);
  expect(told).toContainEqual({ what: 'fip-unmap 10.5.150.1', where: [first, one, id] });
  expect(told).toContainEqual({ what: 'fip-map 10.5.150.1', where: [first, one, id] });
  expect(told).toContainEqual({ what: 'fip-map 10.5.150.2', where: [second, two, undefined] });
  expect(told).toContainEqual({ what: 'fip-map 10.5.150.3', where: [first, again, id] });
  expect(told.filter(({ what }) => what === 'end')).toHaveLength(1);
  expect(await daemon.stop()).toBe(0);
});

test('when a router goes each of its floating IPs ends; when only the daemon lets go of it none does', async () => {
  const [first, second] = [`${prefix}first`, `${prefix}second`];
  route(first, '10.5.150.1');
  lab.sh('iptables -t nat -A PREROUTING -d 10.5.150.4/32 -j DNAT --to-destination 192.168.21.74', first);
  route(second, '10.5.150.2');
  const daemon = await Daemon.start(lab, ROUTERS(`${first} ${second}`));
  const told = () =>
    daemon.folder
      .objects('fips.json')
      .map((line) =>
        [line['flowlogd.event'], line['nat.floating_ip'], line['netns.name']].join(' ').replace('  ', ' '),
      );
  for (const name of [first, second]) await daemon.logged(`fip1:FIP@${name}: attached`);
  await asked(daemon, 'detach', second);
  await daemon.logged(`fip1:FIP@${second}: detached`);
  remove(first);
  await daemon.logged(`fip1:FIP@${first}: detached`);
  expect(told().slice(3)).toEqual([
    `end ${second}`,
    `fip-unmap 10.5.150.1 ${first}`,
    `fip-unmap 10.5.150.4 ${first}`,
    `end ${first}`,
  ]);
  expect(await daemon.stop()).toBe(0);
});

test('a connection that an output makes is the daemon’s own, wherever its events come from', async () => {
  let received = '';
  const server = createServer((socket) => socket.on('data', (bytes) => (received += bytes)));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    const name = `${prefix}a`;
    add(name);
    logDatagrams(lab, name, 5);
    lab.sh(`ip -n ${name} link set lo up`);
    const daemon = await Daemon.start(
      lab,
      `[global]
stack=log1:NFLOG,base1:BASE,ip2str1:IP2STR,json1:JSON
[log1]
group=5
network_namespaces="${prefix}*"
[json1]
mode="tcp"
port="${(server.address() as AddressInfo).port}"
`,
    );
    await daemon.logged(`log1:NFLOG@${name}: attached`);
    sendDatagrams(lab, name, 2);
    await until('both packets', () => received.split('\n').length === 3);
    expect(JSON.parse(received.split('\n')[0] as string)).toMatchObject({ 'netns.name': name });
    expect(await daemon.stop()).toBe(0);
  } finally {
    server.close();
  }
});

test('routers that come, are used and go leave no descriptor, and each of their floating IPs has its begin and end', async () => {
  const rounds = Number(process.env.FLOWLOGD_CHURN ?? 10);
  const daemon = await Daemon.start(lab, ROUTERS(`${prefix}*`));
  const descriptors = () => readdirSync(`/proc/${daemon.pid}/fd`).length;
  const one = async (i: number) => {
    const name = `${prefix}r${i}`;
    add(name);
    lab.sh(`ip -n ${outside} link add router-${i} type veth peer name qg-1 netns ${name}`);
    logDatagrams(lab, name, 5);
    await daemon.logged(`log1:NFLOG@${name}: attached`);
    await daemon.logged(`fip1:FIP@${name}: attached`);
    lab.sh(
      `ip link set lo up; ip addr add 192.168.21.73/32 dev lo
       iptables -t nat -A PREROUTING -d 10.5.150.82/32 -j DNAT --to-destination 192.168.21.73`,
      name,
    );
    sendDatagrams(lab, name, 2, '192.168.21.73');
    remove(name);
    await until(`${name} is gone`, () => !lab.sh(`ip -n ${outside} -o link`).includes(`router-${i}@`), 60);
  };
  await one(0);
  await until('as many descriptors as with none', async () => (await attached(daemon)).length === 0);
  const before = descriptors();
  for (let i = 1; i <= rounds; i++) await one(i);
  await until('as many descriptors as before', () => descriptors() <= before);
  expect(await daemon.stop()).toBe(0);
  const names = Array.from({ length: rounds + 1 }, (_, i) => `${prefix}r${i}`);
  const packets = packetsOf(daemon, 'packets.json');
  for (const name of names) {
    const own = packets.filter((packet) => packet['netns.name'] === name);
    expect(own.map((packet) => packet['nat.floating_ip'])).toEqual(['10.5.150.82', '10.5.150.82']);
    const told = daemon.folder.objects('fips.json').filter((line) => line['netns.name'] === name);
    expect(told.map((line) => line['flowlogd.event'])).toEqual(['fip-map', 'fip-unmap', 'end']);
  }
});
