// Floating addresses as the kernel's own rules have them: nft, iptables-nft and iptables-legacy; and how they come and go.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, expect, test } from 'vitest';
import { Lab, until } from '../../scripts/lab.js';
import { Router } from '../../src/router/router.ts';
import { Daemon, killRest } from '../support/daemon.ts';

const lab = new Lab();
afterEach(() => killRest());
afterAll(() => lab.close());

const ROUTER = '82ff3e71-e021-4ce2-aa92-5ec6cb6d7c3d';

const configuration = (namespace: string) => `[global]
stack=fip1:FIP,json1:JSON
[fip1]
network_namespace_path="/run/netns/${namespace}"
[json1]
file="/out/fip.json"
`;

const brief = (line: Record<string, unknown>) =>
  `${line['flowlogd.event']} ${line['nat.floating_ip']} ${line['nat.fixed_ip']}${line['fip.initial'] === 1 ? ' initial' : ''}`;

test('rules of nft, iptables-nft and a map are told at start, and each change after', async () => {
  const name = lab.namespace('fip');
  lab.sh(
    `iptables -t nat -A PREROUTING -d 10.5.150.82/32 -j DNAT --to-destination 192.168.21.73
     iptables -t nat -A PREROUTING -d 10.5.0.100/32 -p tcp --dport 2222 -j DNAT --to-destination 192.168.21.74:22
     iptables -t nat -A PREROUTING -d 10.6.0.0/16 -j DNAT --to-destination 192.168.21.74
     iptables -t nat -A PREROUTING -d 10.5.0.101 -j DNAT --to-destination 192.168.21.74-192.168.21.80
     iptables -t nat -A POSTROUTING -s 192.168.21.75 -j SNAT --to-source 10.5.0.102
     ip6tables -t nat -A PREROUTING -d 2001:db8::5 -j DNAT --to-destination fd00::7
     nft 'table inet own { map floating { type ipv4_addr : ipv4_addr; elements = { 10.5.150.7 : 192.168.21.7 }; }
       chain in { type nat hook prerouting priority -100; ip daddr 10.5.150.98 dnat ip to 192.168.21.9
         ip daddr 10.5.150.97 tcp dport 80 dnat ip to 192.168.21.9:8080
         ip daddr 10.5.150.96 ip saddr 10.0.0.0/8 dnat ip to 192.168.21.9
         dnat ip to ip daddr map @floating; }; }'`,
    name,
  );
  const daemon = await Daemon.start(lab, configuration(name));
  const initial = await daemon.objects('fip.json', 4);
  expect(initial.map(brief).sort()).toEqual([
    'fip-map 10.5.150.7 192.168.21.7 initial',
    'fip-map 10.5.150.82 192.168.21.73 initial',
    'fip-map 10.5.150.98 192.168.21.9 initial',
    'fip-map 2001:db8::5 fd00::7 initial',
  ]);
  lab.sh(
    `printf '*nat\\n-D PREROUTING -d 10.5.150.82/32 -j DNAT --to-destination 192.168.21.73\\n-A PREROUTING -d 10.5.150.82/32 -j DNAT --to-destination 192.168.21.74\\nCOMMIT\\n' | iptables-restore -n`,
    name,
  );
  expect((await daemon.objects('fip.json', 6)).slice(4).map(brief)).toEqual([
    'fip-unmap 10.5.150.82 192.168.21.73',
    'fip-map 10.5.150.82 192.168.21.74',
  ]);
  lab.sh('nft add element inet own floating { 10.5.150.8 : 192.168.21.8 }', name);
  expect((await daemon.objects('fip.json', 7)).slice(6).map(brief)).toEqual(['fip-map 10.5.150.8 192.168.21.8']);
  lab.sh('nft flush ruleset', name);
  const last = await daemon.objects('fip.json', 12);
  expect(last.slice(7).map(brief).sort()).toEqual([
    'fip-unmap 10.5.150.7 192.168.21.7',
    'fip-unmap 10.5.150.8 192.168.21.8',
    'fip-unmap 10.5.150.82 192.168.21.74',
    'fip-unmap 10.5.150.98 192.168.21.9',
    'fip-unmap 2001:db8::5 fd00::7',
  ]);
  // When a mapping began is said where it was seen.
  const since = Object.fromEntries(last.slice(7).map((line) => [line['nat.floating_ip'], 'fip.since.sec' in line]));
  expect(since['10.5.150.82']).toBe(true);
  expect(since['10.5.150.98']).toBe(false);
  expect(await daemon.stop()).toBe(0);
  expect(daemon.folder.lines('fip.json')).toHaveLength(12);
});

test('a router of Neutron is named', async () => {
  const name = lab.namespace(`snat-${ROUTER}`, { exact: true });
  lab.sh('iptables -t nat -A PREROUTING -d 10.5.150.82/32 -j DNAT --to-destination 192.168.21.73', name);
  const daemon = await Daemon.start(lab, configuration(name));
  const [line] = await daemon.objects('fip.json', 1);
  expect(line).toMatchObject({ 'flowlogd.event': 'fip-map', 'router.id': ROUTER, timestamp: expect.any(String) });
  expect(await daemon.stop()).toBe(0);
});

test('a floating IP whose address is taken from the router ends, and begins again when it comes back', async () => {
  const name = lab.namespace('fip-address');
  lab.sh(
    `ip link add qg-0 type bridge; ip link set qg-0 up; ip addr add 10.5.150.82/32 dev qg-0
     iptables -t nat -A PREROUTING -d 10.5.150.82/32 -j DNAT --to-destination 192.168.21.73
     iptables -t nat -A PREROUTING -d 10.5.150.83/32 -j DNAT --to-destination 192.168.21.74`,
    name,
  );
  const daemon = await Daemon.start(lab, configuration(name));
  await daemon.objects('fip.json', 2); // that of the second need not be on a device
  lab.sh('ip addr del 10.5.150.82/32 dev qg-0', name);
  expect((await daemon.objects('fip.json', 3)).slice(2).map(brief)).toEqual(['fip-unmap 10.5.150.82 192.168.21.73']);
  // All rules are read anew, and it stays away.
  lab.sh('iptables -t nat -D PREROUTING -d 10.5.150.83/32 -j DNAT --to-destination 192.168.21.74', name);
  expect((await daemon.objects('fip.json', 4)).slice(3).map(brief)).toEqual(['fip-unmap 10.5.150.83 192.168.21.74']);
  lab.sh('ip addr add 10.5.150.82/32 dev qg-0', name);
  expect((await daemon.objects('fip.json', 5)).slice(4).map(brief)).toEqual(['fip-map 10.5.150.82 192.168.21.73']);
  expect(await daemon.stop()).toBe(0);
  expect(daemon.folder.lines('fip.json')).toHaveLength(5);
});

test('rules of iptables-legacy that may not be read are said once, with the rights that it takes; with them they are read', async () => {
  const name = lab.namespace('fip-legacy-rights');
  lab.sh('ip link add qg-0 type bridge; ip link set qg-0 up', name);
  lab.sh('iptables-legacy -t nat -A PREROUTING -d 10.5.150.82/32 -j DNAT --to-destination 192.168.21.73', name);
  const address = (number: number) => lab.sh(`ip addr add 10.5.150.${number}/32 dev qg-0`, name);
  // Root reads the names of the tables as their owner.
  const run = (...rights: string[]) => {
    const sets = ['-all', '+net_admin', '+sys_admin', ...rights].join(',');
    return Daemon.start(lab, configuration(name), {
      before: ['setpriv', `--bounding-set=${sets}`, `--inh-caps=${sets}`],
    });
  };
  const poor = await run();
  await poor.logged('CAP_NET_RAW and CAP_DAC_READ_SEARCH');
  address(82);
  address(83);
  expect(await poor.stop()).toBe(0);
  expect(poor.log.match(/CAP_NET_RAW/g)).toHaveLength(1);
  expect(poor.folder.lines('fip.json')).toEqual([]);

  const rich = await run('+net_raw');
  expect((await rich.objects('fip.json', 1)).map(brief)).toEqual([
    expect.stringContaining('10.5.150.82 192.168.21.73'),
  ]);
  expect(await rich.stop()).toBe(0);
  expect(rich.log).not.toContain('CAP_NET_RAW');
});

test('rules of iptables-legacy are found when the address comes', async () => {
  const name = lab.namespace('fip-legacy');
  lab.sh('ip link add qg-0 type bridge; ip link set qg-0 up', name);
  lab.sh('iptables-legacy -t nat -A PREROUTING -d 10.5.150.82/32 -j DNAT --to-destination 192.168.21.73', name);
  const daemon = await Daemon.start(lab, configuration(name));
  await daemon.objects('fip.json', 1);
  // Neutron writes the rules first, and then the address.
  lab.sh(
    `iptables-legacy -t nat -A PREROUTING -d 10.5.150.83/32 -j DNAT --to-destination 192.168.21.74
     ip addr add 10.5.150.83/32 dev qg-0`,
    name,
  );
  expect((await daemon.objects('fip.json', 2)).map(brief)).toEqual([
    expect.stringContaining('fip-map 10.5.150.82 192.168.21.73'),
    'fip-map 10.5.150.83 192.168.21.74',
  ]);
  expect(await daemon.stop()).toBe(0);
});

/** Gives a namespace that many floating addresses, with the three rules that Neutron has for each. */
function addMany(name: string, count: number): void {
  const many = Array.from({ length: count }, (_, i) => [`10.5.${i >> 8}.${i & 255}`, `192.168.${i >> 8}.${i & 255}`]);
  const file = join(lab.directory, 'many');
  const rules = many.flatMap(([floating, fixed]) => [
    `-A PREROUTING -d ${floating}/32 -j DNAT --to-destination ${fixed}`,
    `-A OUTPUT -d ${floating}/32 -j DNAT --to-destination ${fixed}`,
    `-A POSTROUTING -s ${fixed}/32 -j SNAT --to-source ${floating} --random-fully`,
  ]);
  writeFileSync(file, `*nat\n${rules.join('\n')}\nCOMMIT\n`);
  lab.sh(`iptables-restore <${file}`, name);
}

test('10,000 floating addresses are read, and a change among them is told alone', async () => {
  const name = lab.namespace('fip-many');
  addMany(name, 10_000);
  const daemon = await Daemon.start(lab, configuration(name));
  await daemon.lines('fip.json', 10_000);
  lab.sh('iptables -t nat -D PREROUTING -d 10.5.1.2/32 -j DNAT --to-destination 192.168.1.2', name);
  lab.sh('iptables -t nat -D OUTPUT -d 10.5.1.2/32 -j DNAT --to-destination 192.168.1.2', name);
  expect((await daemon.objects('fip.json', 10_001)).slice(10_000).map(brief)).toEqual([
    'fip-unmap 10.5.1.2 192.168.1.2',
  ]);
  const started = performance.now();
  lab.sh('iptables -t nat -A PREROUTING -d 10.5.1.2/32 -j DNAT --to-destination 192.168.9.9', name);
  await until('the new mapping', () => daemon.folder.read('fip.json').includes('"192.168.9.9"'));
  expect(performance.now() - started).toBeLessThan(10_000);
  expect(await daemon.stop()).toBe(0);
});

test('many rules are read in turns, between which there is time for all else; what is added meanwhile is known at once', async () => {
  const name = lab.namespace('fip-turns');
  addMany(name, 5000);
  const router = Router.of(`/run/netns/${name}`);
  await router.open(lab, (message) => expect.unreachable(message));
  try {
    expect(router.floating.size).toBe(5000);
    const told: string[] = [];
    const textAt = (at: number) => router.floating.bytes.subarray(at, at + 4).join('.');
    const listener = (entry: number, holds: boolean) => {
      const { floating } = router;
      told.push(`${holds} ${textAt(floating.floatingAt(entry))} ${textAt(floating.fixedAt(entry))}`);
    };
    router.listen(listener);
    told.length = 0;
    lab.sh('iptables -t nat -D PREROUTING -d 10.5.1.2/32 -j DNAT --to-destination 192.168.1.2', name);
    lab.sh('iptables -t nat -D OUTPUT -d 10.5.1.2/32 -j DNAT --to-destination 192.168.1.2', name);
    router.refresh();
    // It is being read, and the old mappings hold.
    const pair = new DataView(Uint8Array.of(10, 5, 1, 2, 192, 168, 1, 2, 10, 9, 9, 9, 192, 168, 9, 9).buffer);
    expect(told).toEqual([]);
    expect(router.floating.until(router.floating.ofPair(pair, 0, 4, 4))).toBe(Number.POSITIVE_INFINITY);
    lab.sh('iptables -t nat -A PREROUTING -d 10.9.9.9/32 -j DNAT --to-destination 192.168.9.9', name);
    router.refresh();
    expect(router.floating.ofPair(pair, 8, 12, 4)).toBeGreaterThan(0);
    let turns = 0;
    while (told.length < 2) {
      await new Promise((resolve) => setImmediate(resolve));
      turns++;
    }
    expect(turns).toBeGreaterThan(3);
    // What was added is told as soon as it turns out that reading has to begin anew.
    expect(told.toSorted()).toEqual(['false 10.5.1.2 192.168.1.2', 'true 10.9.9.9 192.168.9.9']);
  } finally {
    router.close(lab);
  }
});

test('a daemon that gave up root goes on reading the rules', async () => {
  const name = lab.namespace('fip-nobody');
  lab.sh('iptables -t nat -A PREROUTING -d 10.5.150.82/32 -j DNAT --to-destination 192.168.21.73', name);
  const daemon = await Daemon.start(lab, configuration(name), { flags: ['-u', 'nobody'] });
  await daemon.objects('fip.json', 1);
  lab.sh('iptables -t nat -A PREROUTING -d 10.5.150.83/32 -j DNAT --to-destination 192.168.21.74', name);
  expect((await daemon.objects('fip.json', 2)).map(brief)).toEqual([
    'fip-map 10.5.150.82 192.168.21.73 initial',
    'fip-map 10.5.150.83 192.168.21.74',
  ]);
  expect(await daemon.stop()).toBe(0);
});

test('one section follows every router, those that come later included', async () => {
  const [first, second] = ['a', 'b'].map((letter) => `fipmany${process.pid}-${letter}`) as [string, string];
  lab.namespace(first, { exact: true });
  const rule = (n: number) =>
    `iptables -t nat -A PREROUTING -d 10.5.150.${n}/32 -j DNAT --to-destination 192.168.21.${n}`;
  lab.sh(rule(82), first);
  const text = configuration('-').replace(/network_namespace_path=.*/, `network_namespaces="fipmany${process.pid}-*"`);
  const daemon = await Daemon.start(lab, text);
  await daemon.objects('fip.json', 1);
  lab.namespace(second, { exact: true });
  lab.sh(rule(83), second);
  const lines = (await daemon.objects('fip.json', 2)).map((line) => `${line['nat.floating_ip']} ${line['netns.name']}`);
  expect(lines).toEqual([`10.5.150.82 ${first}`, `10.5.150.83 ${second}`]);
  expect(await daemon.stop()).toBe(0);
});
