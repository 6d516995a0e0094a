// What the firewall said of each new connection, under a router as Neutron makes it, and the rules of `flowlogd audit`.
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { until } from '../../scripts/lab.js';
import { ADDRESS, ADDRESS_IPV6, RouterLab } from '../../scripts/router-lab.js';
import { Daemon, killRest, Run } from '../support/daemon.ts';

const lab = new RouterLab();
afterEach(() => killRest());
afterAll(() => lab.close());

const { vm, floating, gateway, outside } = ADDRESS;

/** Neutron's filter table, as its agent writes it each time: its jumps go to the front. */
const FILTER = `*filter
:neutron-l3-agent-FORWARD - [0:0]
:neutron-l3-agent-INPUT - [0:0]
:neutron-l3-agent-scope - [0:0]
:neutron-filter-top - [0:0]
-I FORWARD 1 -j neutron-filter-top
-I FORWARD 2 -j neutron-l3-agent-FORWARD
-I INPUT 1 -j neutron-l3-agent-INPUT
-A neutron-l3-agent-FORWARD -j neutron-l3-agent-scope
-A neutron-l3-agent-FORWARD -p tcp -m tcp --dport 22 -j ACCEPT
-A neutron-l3-agent-INPUT -p tcp -m tcp --dport 9697 -j DROP
-A neutron-l3-agent-scope -p tcp -m tcp --dport 8080 -j DROP
-A neutron-l3-agent-scope -p udp -m udp --dport 7 -j REJECT
-A neutron-l3-agent-scope -p udp -m udp --dport 9 -j DROP
COMMIT
`;
/** What it deletes before: every rule that mentions it. */
const FORGET = `*filter
-D FORWARD -j neutron-filter-top
-D FORWARD -j neutron-l3-agent-FORWARD
-D INPUT -j neutron-l3-agent-INPUT
-F neutron-l3-agent-FORWARD
-F neutron-l3-agent-INPUT
-F neutron-l3-agent-scope
COMMIT
`;
const restore = (rules: string, command = 'iptables-restore') =>
  lab.sh(`${command} --noflush --wait <<'END'\n${rules}END`, lab.router);

/** What VERDICT says of a namespace, beside what rules log there to a group. */
const verdictsAndPackets = (group: number) => `[global]
stack=verdict1:VERDICT,base1:BASE,ip2str1:IP2STR,json1:JSON
stack=log1:NFLOG,base1:BASE,ip2str1:IP2STR,json2:JSON
[log1]
group=${group}
[json1]
file="/out/verdicts.json"
[json2]
file="/out/packets.json"
`;

const ruleset = (namespace: string) => lab.sh('nft -a -s list ruleset', namespace);
const table = () => lab.sh('nft -a -s -t list table inet flowlogd_audit', lab.router);

/** The first verdict that is as we want it. */
async function verdict(daemon: Daemon, wanted: Record<string, unknown>): Promise<Record<string, unknown>> {
  const isWanted = (one: Record<string, unknown>) => Object.entries(wanted).every(([key, value]) => one[key] === value);
  return until(JSON.stringify(wanted), () =>
    daemon.folder
      .read('verdicts.json')
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Record<string, unknown>)
      .find(isWanted),
  ) as Promise<Record<string, unknown>>;
}

async function audit(...words: string[]): Promise<Run> {
  const run = new Run(lab, ['audit', ...words]);
  await run.ended;
  return run;
}

const configuration = (more = '') => `[global]
stack=verdict1:VERDICT,base1:BASE,ifi1:IFINDEX,nat1:NAT,ip2str1:IP2STR,json1:JSON
stack=verdict1:VERDICT,base1:BASE,ifi1:IFINDEX,nat1:NAT,neutron1:NEUTRON
stack=ct1:NFCT,ip2str1:IP2STR,json2:JSON
[verdict1]
network_namespace_path="/run/netns/${lab.router}"
${more}
[ct1]
network_namespace_path="/run/netns/${lab.router}"
hash_enable=0
event_mask=1
[json1]
file="/out/verdicts.json"
[json2]
file="/out/flows.json"
[neutron1]
file="/out/neutron.log"
`;

beforeAll(async () => {
  lab.addIpv6();
  restore(FILTER);
  restore(FILTER, 'ip6tables-restore');
  await lab.listen(lab.vm, 'tcp:22', 'tcp:80', 'udp:53');
});

test('what is dropped is DROP with its chain and floating IP, what is accepted is ACCEPT once; Neutron rewrites its rules, and nothing changes', async () => {
  const before = ruleset(lab.router);
  expect((await audit('install', '--netns', lab.router)).stdout).toBe(`${lab.router}: installed\n`);
  const ours = table();
  const daemon = await Daemon.start(lab, configuration());

  const judge = async (seen: number) => {
    lab.send(lab.outside, 'tcp', floating, 8080);
    await daemon.objects('verdicts.json', seen + 1);
    await lab.exchange(lab.outside, 'tcp', floating, 22, 5000);
    await lab.exchange(lab.outside, 'tcp', floating, 80, 5000);
    await until('both are accepted', () => accepted().length >= (seen === 0 ? 2 : 4));
  };
  const verdicts = () => daemon.folder.objects('verdicts.json');
  const accepted = () => verdicts().filter((one) => one['verdict.action'] === 'accept');

  await judge(0);
  const [drop] = verdicts();
  expect(drop).toMatchObject({
    'verdict.action': 'drop',
    'verdict.by': 'rule',
    'verdict.table': 'filter',
    'verdict.chain': 'neutron-l3-agent-scope',
    'nat.floating_ip': floating,
    'nat.fixed_ip': vm,
    src_ip: outside,
    dest_ip: vm,
    dest_port: 8080,
    'oob.prefix': 'DROP neutron-l3-agent-scope',
    'oob.in': expect.stringMatching(/^qg-/),
    'oob.out': expect.stringMatching(/^qr-/),
    'oob.hook': 2,
    'tcp.syn': 1,
  });
  // The number is that of the very rule.
  const handle = drop?.['verdict.rule'];
  expect(lab.sh('nft -a list chain ip filter neutron-l3-agent-scope', lab.router)).toMatch(
    new RegExp(`tcp dport 8080 .*drop # handle ${handle}\\n`),
  );
  const [byRule, byPolicy] = accepted();
  expect(byRule).toMatchObject({
    'verdict.by': 'rule',
    'verdict.chain': 'neutron-l3-agent-FORWARD',
    dest_port: 22,
    'nat.floating_ip': floating,
    'oob.prefix': 'ACCEPT neutron-l3-agent-FORWARD',
  });
  expect(byPolicy).toMatchObject({ 'verdict.by': 'policy', 'verdict.chain': 'FORWARD', dest_port: 80 });
  expect(byPolicy).not.toHaveProperty('verdict.rule');
  // The connection's number is that of its events.
  const flows = await daemon.objects('flows.json', 2);
  expect(accepted().map((one) => one['ct.id'])).toEqual(flows.map((one) => one['ct.id']));
  // Tools that read Neutron's packet log see both.
  const lines = daemon.folder.read('neutron.log');
  expect(lines).toMatch(
    /action=DROP, .*dst_port=8080,.*nat\(fixed_ip='192\.168\.21\.73',floating_ip='10\.5\.150\.82'\)/,
  );
  expect(lines).toMatch(/action=ACCEPT, .*dst_port=22,/);

  restore(FORGET);
  restore(FILTER);
  expect(table()).toBe(ours);
  const seen = verdicts().length;
  await judge(seen);
  const rest = verdicts().slice(seen);
  expect(rest.filter((one) => one.dest_port === 8080)[0]).toMatchObject({ 'verdict.chain': 'neutron-l3-agent-scope' });
  expect(await daemon.stop()).toBe(0);

  expect((await audit('remove', '--netns', lab.router)).stdout).toBe(`${lab.router}: removed\n`);
  restore(FORGET);
  restore(FILTER);
  // Neutron's own rules have other numbers after a rewrite.
  const bare = (text: string) => text.replaceAll(/ # handle \d+/g, '');
  expect(bare(ruleset(lab.router))).toBe(bare(before));
});

test('what is for the router itself, what is rejected, and IPv6 are judged too', async () => {
  await audit('install', '--netns', lab.router);
  const daemon = await Daemon.start(lab, configuration());
  lab.send(lab.outside, 'tcp', gateway, 9697);
  const input = await verdict(daemon, { dest_port: 9697 });
  expect(input).toMatchObject({
    'verdict.action': 'drop',
    'verdict.chain': 'neutron-l3-agent-INPUT',
    'oob.hook': 1,
    dest_ip: gateway,
  });

  lab.send(lab.outside, 'udp', floating, 7);
  expect(await verdict(daemon, { dest_port: 7 })).toMatchObject({ 'verdict.action': 'drop', 'ip.protocol': 17 });
  lab.send(lab.outside, 'tcp', ADDRESS_IPV6.floating, 8080);
  const six = await verdict(daemon, { 'nat.floating_ip': ADDRESS_IPV6.floating });
  expect(six).toMatchObject({ 'verdict.action': 'drop', dest_port: 8080, dest_ip: ADDRESS_IPV6.vm, 'oob.family': 10 });
  expect(await daemon.stop()).toBe(0);
  await audit('remove', '--netns', lab.router);
});

/** As Neutron's agent writes all of a router's rules, whatever was there (iptables_manager.py, with `--noflush`). */
const NEUTRON = fileURLToPath(new URL('../../scripts/qrouter.iptables', import.meta.url));

test.each([
  ['iptables-nft', 'iptables'],
  ['iptables-legacy', 'iptables-legacy'],
])(
  'the whole rules of a router, written anew by %s, neither move the audit rules nor keep them; --group logs before and behind them',
  async (_, program) => {
    const name = lab.namespace('audit-rewrite');
    const neighbour = lab.namespace('audit-neighbour');
    const rewrite = () => {
      // What mentions the agent goes, then everything comes, its jumps first.
      lab.sh(
        `for table in raw mangle nat filter; do ${program} -t $table -F; ${program} -t $table -X; done
       ${program}-restore --noflush --wait <${NEUTRON}
       ${program} -I FORWARD -p udp --dport 9 -j DROP; ${program} -I INPUT -p udp --dport 9 -j DROP`,
        name,
      );
    };
    const bare = (text: string) => text.replaceAll(/ # handle \d+/g, '').replaceAll(/^#.*$|\[\d+:\d+\]/gm, '');
    const all = () => bare(ruleset(name) + lab.sh(`${program}-save`, name));
    rewrite();
    rewrite();
    const before = all();
    expect((await audit('install', '--netns', name, '--group', '88')).stdout).toBe(`${name}: installed\n`);
    const ours = lab.sh('nft -a -s -t list table inet flowlogd_audit', name);
    expect(bare(lab.sh(`${program}-save`, name))).not.toContain('flowlogd');
    const daemon = await Daemon.start(lab, verdictsAndPackets(88), { namespace: name });
    const send = neighbourOf(name, neighbour);
    for (const times of [1, 2]) {
      rewrite();
      expect(lab.sh('nft -a -s -t list table inet flowlogd_audit', name)).toBe(ours);
      send(1);
      lab.sh(`bash -c 'echo >/dev/udp/192.0.2.1/7'`, neighbour);
      const verdicts = await daemon.objects('verdicts.json', 2 * times);
      const words = verdicts.map((one) => `${one['verdict.action']} ${one.dest_port}`);
      expect(words.toSorted()).toEqual(Array(times).fill(['accept 7', 'drop 9']).flat().toSorted());
      // Dropped: before only. Accepted: before and behind.
      const packets = await daemon.objects('packets.json', 3 * times);
      const logged = packets.map((one) => `${one['oob.prefix']}${one.dest_port}`);
      expect(logged.toSorted()).toEqual(
        Array(times).fill(['flowlogd ACCEPT 7', 'flowlogd NEW 7', 'flowlogd NEW 9']).flat().toSorted(),
      );
    }
    expect(await daemon.stop()).toBe(0);
    expect((await audit('remove', '--netns', name)).stdout).toBe(`${name}: removed\n`);
    expect(all()).toBe(before);
  },
);

/** Gives a namespace a neighbour that sends datagrams to port 9; what goes over loopback has passed OUTPUT, and is no new connection. */
function neighbourOf(name: string, neighbour = lab.namespace('audit-neighbour')): (count: number) => void {
  lab.cable([neighbour, 'eth0'], [name, 'eth0']);
  lab.sh('ip addr add 192.0.2.2/24 dev eth0', neighbour);
  lab.sh('ip addr add 192.0.2.1/24 dev eth0', name);
  return (count) =>
    void lab.sh(`bash -c 'for ((i = 0; i < ${count}; i++)); do echo $i >/dev/udp/192.0.2.1/9; done'`, neighbour);
}

test('install may be repeated, remove leaves the rules as they were, in each namespace that the pattern means', async () => {
  const [one, two, other] = [lab.namespace('pattern-one'), lab.namespace('pattern-two'), lab.namespace('pattern-not')];
  const all = [one, two, other];
  for (const name of all) lab.sh('iptables -A FORWARD -p tcp --dport 8080 -j DROP; nft add table inet own', name);
  const before = all.map(ruleset);
  const pattern = `pattern-*-${process.pid}-* !pattern-not-*`;
  expect((await audit('install', '--netns', pattern, '--limit', '20/minute', '--group', '77')).stdout).toBe(
    `${one}: installed\n${two}: installed\n`,
  );
  const installed = ruleset(one);
  expect(installed).toContain('limit rate 20/minute burst 20 packets');
  expect(installed).toContain('log prefix "flowlogd ACCEPT " group 77');
  expect(await (await audit('install', '--netns', pattern, '--limit', '20/minute', '--group', '77')).ended).toBe(0);
  const bare = (text: string) => text.replaceAll(/ # handle \d+/g, '');
  expect(bare(ruleset(one))).toBe(bare(installed));
  expect((await audit('show', '--netns', `pattern-*-${process.pid}-*`)).stdout).toBe(
    `${other}: not installed
${one}: installed; forward 0 seen, 0 judged, 0 let through; input 0 seen, 0 judged, 0 let through
${two}: installed; forward 0 seen, 0 judged, 0 let through; input 0 seen, 0 judged, 0 let through
`,
  );
  expect((await audit('remove', '--netns', `pattern-*-${process.pid}-*`)).stdout).toBe(
    `${other}: not installed\n${one}: removed\n${two}: removed\n`,
  );
  expect(all.map(ruleset)).toEqual(before);
  // What is only said is not done.
  const dry = await audit('install', '--netns', one, '--dry-run');
  expect(dry.stdout).toContain(`# ${one}: nsenter --net=/run/netns/${one} nft -f -\ntable inet flowlogd_audit\n`);
  expect(ruleset(one)).toBe(before[0]);
});

test('a table of that name that somebody else made is neither shown, replaced nor removed, by nobody', async () => {
  const name = lab.namespace('audit-foreign');
  lab.sh('nft add table inet flowlogd_audit; nft add chain inet flowlogd_audit forward_before', name);
  const before = ruleset(name);
  for (const action of ['show', 'remove', 'install']) {
    const run = await audit(action, '--netns', name);
    expect([await run.ended, run.stdout]).toEqual([1, '']);
    expect(run.stderr).toBe(
      `flowlogd: ${name}: the table inet flowlogd_audit is not flowlogd's: it lacks our chains. Nothing was changed; "nft list table inet flowlogd_audit" shows it, "nft delete table inet flowlogd_audit" removes it\n`,
    );
  }
  const daemon = await Daemon.start(
    lab,
    `[global]\nstack=verdict1:VERDICT,base1:BASE,json1:JSON\n[verdict1]\nnetwork_namespace_path="/run/netns/${name}"\ninstall=1\n[json1]\nfile="/out/verdicts.json"\n`,
  );
  await daemon.logged("is not flowlogd's");
  expect(await daemon.stop()).toBe(0);
  expect(ruleset(name)).toBe(before);
});

test('without a pattern the rules go into the namespace one is in, and the limit holds', async () => {
  const name = lab.namespace('audit-own');
  const inside = async (...words: string[]) => {
    const run = new Run(lab, ['audit', ...words], { namespace: name });
    expect(await run.ended).toBe(0);
    return run.stdout;
  };
  expect(await inside('install', '--limit', '3/day', '--group', '41')).toBe('this namespace: installed\n');
  lab.sh('iptables -A INPUT -p udp --dport 9 -j DROP', name);
  const send = neighbourOf(name);
  const daemon = await Daemon.start(lab, verdictsAndPackets(41), { namespace: name });
  send(20);
  await daemon.objects('verdicts.json', 3);
  expect(await daemon.stop()).toBe(0);
  expect(daemon.folder.objects('verdicts.json').map((one) => one['verdict.action'])).toEqual(['drop', 'drop', 'drop']);
  // Whole packets of the same connections, for who reads NFLOG.
  expect(daemon.folder.objects('packets.json').map((one) => one['oob.prefix'])).toEqual(Array(3).fill('flowlogd NEW '));
  expect(await inside('show')).toBe(
    'this namespace: installed; forward 0 seen, 0 judged, 0 let through; input 20 seen, 3 judged, 0 let through\n',
  );
  expect(daemon.log).not.toContain('without a verdict');
});

test('a reload under traffic loses no verdict, of a stack whose output changes', async () => {
  const name = lab.namespace('audit-reload');
  expect((await audit('install', '--netns', name, '--limit', '1000000/second')).stdout).toBe(`${name}: installed\n`);
  lab.sh('iptables -A INPUT -p udp --dport 9 -j DROP', name);
  const neighbour = lab.namespace('audit-neighbour');
  neighbourOf(name, neighbour);
  const text = (file: string) => `[global]
stack=verdict1:VERDICT,base1:BASE,ip2str1:IP2STR,json1:JSON
[verdict1]
network_namespace_path="/run/netns/${name}"
netlink_socket_buffer_size=128M
[json1]
file="/out/${file}.json"
`;
  const daemon = await Daemon.start(lab, text('0'));
  const verdicts = () => ['0', '1'].flatMap((file) => daemon.folder.read(`${file}.json`).split('\n').filter(Boolean));
  const packets = 4000;
  const loop = `for ((i = 0; i < ${packets}; i++)); do echo $i >/dev/udp/192.0.2.1/9; done`;
  const sending = lab.start(['bash', '-c', loop], neighbour);
  const sent = new Promise((done) => sending.once('close', done));
  for (let i = 1; i <= 10; i++) {
    const seen = verdicts().length;
    const written = readFileSync(daemon.folder.configuration, 'utf8');
    const next = written.replace(/\/[01]\.json/, `/${i % 2}.json`);
    writeFileSync(daemon.folder.configuration, next);
    daemon.signal('SIGHUP');
    await daemon.logged('was read again: verdict1:VERDICT changed', i);
    await until('more verdicts', () => verdicts().length > seen || seen === packets);
  }
  await sent;
  await until('every verdict', () => verdicts().length >= packets);
  expect(await daemon.stop()).toBe(0);
  expect(verdicts()).toHaveLength(packets);
  expect(daemon.log).not.toContain('without a verdict');
});

test.each([
  ['', []],
  [' after -u', ['-u', 'nobody']],
])(
  'with install=1 the rules are there as soon as a namespace is, and again when it comes back%s',
  async (user, flags) => {
    const name = `audit-again${user.length}-${process.pid}`;
    const daemon = await Daemon.start(
      lab,
      `[global]
stack=verdict1:VERDICT,base1:BASE,ip2str1:IP2STR,json1:JSON
[verdict1]
network_namespaces="${name}"
install=1
limit=7/minute
[json1]
file="/out/verdicts.json"
`,
      { flags },
    );
    lab.sh(`chmod 777 ${daemon.folder.path} ${lab.directory}`);
    for (const time of ['new', 'again']) {
      lab.namespace(name, { exact: true });
      // Root was given up: what puts the rules there has no more than what was kept.
      if (user !== '') expect(readFileSync(`/proc/${daemon.pid}/status`, 'utf8')).toMatch(/^Uid:\t65534/m);
      await until(`the rules in the ${time} namespace`, () => ruleset(name).includes('limit rate 7/minute'));
      lab.sh('iptables -A INPUT -p udp --dport 9 -j DROP', name);
      neighbourOf(name)(1);
      await until(
        'its verdict',
        () =>
          daemon.folder.objects('verdicts.json').filter((one) => 'verdict.action' in one).length ===
          (time === 'new' ? 1 : 2),
      );
      lab.sh(`ip netns del ${name}`);
    }
    expect(await daemon.stop()).toBe(0);
    expect(daemon.folder.objects('verdicts.json').find((one) => 'verdict.action' in one)).toMatchObject({
      'netns.name': name,
      'verdict.action': 'drop',
    });
  },
);

test('what rules of iptables-legacy drop is told, without the rule, which nobody traces: install says so', async () => {
  const name = lab.namespace('audit-legacy');
  lab.sh('iptables-legacy -A INPUT -p udp --dport 9 -j DROP', name);
  const install = await audit('install', '--netns', name);
  expect(install.stderr).toContain('it has rules of iptables-legacy, which the kernel does not trace');
  expect(await install.ended).toBe(0);
  const daemon = await Daemon.start(
    lab,
    `[global]\nstack=verdict1:VERDICT,base1:BASE,ip2str1:IP2STR,json1:JSON\n[json1]\nfile="/out/verdicts.json"\n`,
    { namespace: name },
  );
  const neighbour = lab.namespace('audit-neighbour');
  const send = neighbourOf(name, neighbour);
  send(60);
  // What they accept comes out behind them, as ever. Neutron writes them anew with this program, too.
  lab.sh("iptables-legacy-restore --noflush <<'END'\n*filter\n-I INPUT -p udp --dport 7 -j ACCEPT\nCOMMIT\nEND", name);
  lab.sh("bash -c 'echo >/dev/udp/192.0.2.1/7'", neighbour);
  const verdicts = await daemon.objects('verdicts.json', 61);
  const dropped = verdicts.filter((one) => one['verdict.action'] === 'drop');
  expect(dropped).toHaveLength(60);
  for (const one of dropped) {
    expect(one).toMatchObject({ 'verdict.by': 'silence', 'oob.prefix': 'DROP ', dest_port: 9, dest_ip: '192.0.2.1' });
    expect(one).not.toHaveProperty('verdict.chain');
  }
  expect(verdicts.filter((one) => one['verdict.action'] === 'accept')).toMatchObject([{ dest_port: 7 }]);
  // One that nobody had the time to be silent about stays without.
  send(2);
  await until('they are seen', async () => / input 63 seen/.test((await audit('show', '--netns', name)).stdout));
  expect(await daemon.stop()).toBe(0);
  expect(
    daemon.folder.lines('verdicts.json').length + Number(/(\d+) packets without a verdict/.exec(daemon.log)?.[1] ?? 0),
  ).toBe(63);
});

test('what cannot be done is said in one line', async () => {
  const none = await audit('install', '--netns', 'no-such-*');
  expect(none.stderr).toBe('flowlogd: no namespace in /run/netns matches "no-such-*"\n');
  expect(await none.ended).toBe(1);
  // A machine without nft.
  const bare = new Run(lab, ['audit', 'install'], {
    before: ['unshare', '-mn', 'sh', '-c', 'mount -t tmpfs none /usr/sbin && exec "$@"', 'sh'],
  });
  expect(await bare.ended).toBe(1);
  expect(bare.stderr).toBe(
    'flowlogd: this namespace: nft is not installed: the audit rules need it (Debian package nftables)\n',
  );
  // Without the rules the daemon says so, and goes on.
  const daemon = await Daemon.start(
    lab,
    `[global]\nstack=verdict1:VERDICT,base1:BASE,json1:JSON\n[verdict1]\nnetwork_namespace_path="/run/netns/${lab.outside}"\n[json1]\nfile="/out/verdicts.json"\n`,
  );
  await daemon.logged('the audit rules are not there');
  expect(await daemon.stop()).toBe(0);
});
