// The filter VERDICT on what the rules of `audit install --group` log, in front of a router's own rules and behind them.
import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest';
import { until } from '../../scripts/lab.js';
import { ADDRESS, RouterLab } from '../../scripts/router-lab.js';
import { Daemon, killRest, Run } from '../support/daemon.ts';

const lab = new RouterLab();
const { vm, floating, outside } = ADDRESS;
const RULES = {
  nft: 'iptables',
  legacy: 'iptables-legacy',
};
/** Ports that are let through, dropped, and dropped by a rule that logs before. */
const [OPEN, SHUT, LOGGED] = [7, 9, 11];
/** Stands for OPEN: one port for each datagram, since one that comes from a port that is known already begins no connection. */
let nextOpen = 7000;

beforeEach(async () => {
  await audit('install', '--group', '60');
});
afterEach(async () => {
  await killRest();
  await audit('remove');
  for (const program of Object.values(RULES)) lab.sh(`${program} -F FORWARD`, lab.router);
});
afterAll(() => lab.close());

async function audit(...words: string[]): Promise<void> {
  const run = new Run(lab, ['audit', ...words, '--netns', lab.router]);
  expect(await run.ended, run.stderr).toBe(0);
}

function block(program: string): void {
  lab.sh(
    `${program} -A FORWARD -p udp --dport ${SHUT} -j DROP
     ${program} -A FORWARD -p udp --dport ${LOGGED} -j NFLOG --nflog-group 60 --nflog-prefix 'fw-11: '
     ${program} -A FORWARD -p udp --dport ${LOGGED} -j DROP`,
    lab.router,
  );
}

const configuration = (file = 'packets') => `[global]
stack=log1:NFLOG,base1:BASE,ifi1:IFINDEX,nat1:NAT,ip2str1:IP2STR,verdict1:VERDICT,json1:JSON
stack=ct1:NFCT,ip2str1:IP2STR,verdict1:VERDICT,json2:JSON
[log1]
network_namespaces="${lab.router}"
group=60
[ct1]
network_namespaces="${lab.router}"
hash_enable=0
event_mask=1
[json1]
file="/out/${file}.json"
[json2]
file="/out/flows.json"
`;

/** Sends `each` datagrams to the floating address on each port. */
function send(each: number, ports: readonly number[]): void {
  const words: string[] = [];
  for (let i = 0; i < each; i++)
    for (const port of ports) words.push(`echo >/dev/udp/${floating}/${port === OPEN ? nextOpen++ : port}`);
  lab.sh(`bash -c '${words.join(';')}'`, lab.outside);
}

const tally = (events: readonly Record<string, unknown>[]): Record<string, number> => {
  const counts: Record<string, number> = {};
  for (const event of events) {
    const port = Number(event.dest_port ?? event['orig.l4.dport']);
    const what = `${event['verdict.action']} ${port >= 7000 ? OPEN : port}`;
    counts[what] = (counts[what] ?? 0) + 1;
  }
  return counts;
};

test.each(Object.entries(RULES))(
  'rules of iptables-%s: what they drop is told as dropped, with the rule that logged it, and what comes out as accepted',
  async (_, program) => {
    block(program);
    const daemon = await Daemon.start(lab, configuration());
    send(20, [OPEN, SHUT, LOGGED]);
    const events = await daemon.objects('packets.json', 60);
    expect(tally(events)).toEqual({ [`accept ${OPEN}`]: 20, [`drop ${SHUT}`]: 20, [`drop ${LOGGED}`]: 20 });
    const one = (port: number) => events.find((event) => Object.keys(tally([event]))[0]?.endsWith(` ${port}`));
    expect(one(SHUT)).toMatchObject({
      src_ip: outside,
      dest_ip: vm,
      'nat.floating_ip': floating,
      'oob.prefix': 'DROP ',
      'oob.hook': 2,
      'oob.in': expect.stringMatching(/^qg-/),
      'netns.name': lab.router,
    });
    expect(one(SHUT)).not.toHaveProperty('verdict.prefix');
    expect(one(LOGGED)).toMatchObject({ 'verdict.prefix': 'fw-11: ', 'oob.prefix': 'DROP fw-11: ' });
    expect(one(OPEN)).toMatchObject({ 'oob.prefix': 'ACCEPT ', 'nat.floating_ip': floating });
    expect(tally(await daemon.objects('flows.json', 20))).toEqual({ [`accept ${OPEN}`]: 20 });
    expect(await daemon.stop()).toBe(0);
    expect(daemon.log).toMatch(
      /log1:NFLOG@\S+: 100 events received\n.*json1:JSON: 60 written, 40 stopped by verdict1:VERDICT/,
    );
  },
);

test('the limit lets nothing be taken for dropped: what was logged in front is logged behind', async () => {
  block('iptables');
  await audit('install', '--group', '60', '--limit', '5/hour');
  const daemon = await Daemon.start(lab, configuration());
  // The one that is logged in front last comes after many that come out and are not to be logged.
  send(3, [SHUT]);
  send(40, [OPEN]);
  const events = await daemon.objects('packets.json', 5);
  expect(tally(events)).toEqual({ [`accept ${OPEN}`]: 2, [`drop ${SHUT}`]: 3 });
  expect(await daemon.stop()).toBe(0);
  expect(tally(daemon.folder.objects('packets.json'))).toEqual(tally(events));
});

test('packets that belong to no connection are judged too', async () => {
  lab.sh('sysctl -qw net.netfilter.nf_conntrack_tcp_loose=0', lab.router);
  lab.sh('iptables -A FORWARD -m conntrack --ctstate INVALID -p tcp --dport 99 -j DROP', lab.router);
  const daemon = await Daemon.start(lab, configuration());
  const stray = `import socket,struct
s=socket.socket(socket.AF_INET,socket.SOCK_RAW,socket.IPPROTO_TCP)
for port in (98,99): s.sendto(struct.pack('!HHIIBBHHH',4000,port,5,6,0x50,0x10,100,0,0),('${vm}',0))
`;
  lab.sh(`ip route add ${vm}/32 via ${ADDRESS.gateway}`, lab.outside);
  lab.sh(`python3 - <<'END'\n${stray}END`, lab.outside);
  lab.sh(`ip route del ${vm}/32`, lab.outside);
  const ours = () => daemon.folder.objects('packets.json').filter((one) => one.src_port === 4000);
  await until('both verdicts', () => ours().length >= 2);
  expect(tally(ours())).toEqual({ 'accept 98': 1, 'drop 99': 1 });
  expect(await daemon.stop()).toBe(0);
});

test('a reload under traffic loses no packet; what waits then is told as unknown', async () => {
  await audit('install', '--group', '60', '--limit', '100000/second');
  block('iptables');
  const daemon = await Daemon.start(lab, configuration('0'));
  for (let i = 1; i <= 5; i++) {
    send(20, [OPEN, SHUT]);
    await until('the packets are read', () => {
      const rules = lab.sh('nft list chain inet flowlogd_audit forward_before', lab.router);
      return Number(/new .*? counter packets (\d+)/.exec(rules)?.[1]) === 40 * i;
    });
    const written = readFileSync(daemon.folder.configuration, 'utf8');
    writeFileSync(daemon.folder.configuration, written.replace(/\/[01]\.json/, `/${i % 2}.json`));
    daemon.signal('SIGHUP');
    await daemon.logged('was read again', i);
  }
  expect(await daemon.stop()).toBe(0);
  const events = ['0', '1'].flatMap((file) => daemon.folder.objects(`${file}.json`)).filter((one) => one.dest_port);
  const {
    [`accept ${OPEN}`]: accepted,
    [`drop ${SHUT}`]: dropped = 0,
    [`unknown ${SHUT}`]: unknown = 0,
  } = tally(events);
  expect(accepted).toBe(100);
  expect(dropped + unknown).toBe(100);
  expect(unknown).toBeGreaterThan(0);
});

test('what waits when its namespace goes is told as unknown, before the last record', async () => {
  const name = lab.namespace('verdict-gone');
  const daemon = await Daemon.start(lab, configuration().replaceAll(lab.router, name));
  lab.sh(
    `ip link set lo up
     iptables -A INPUT -p udp --dport 9 -j NFLOG --nflog-group 60 --nflog-prefix 'flowlogd NEW '
     bash -c 'echo >/dev/udp/127.0.0.1/9'`,
    name,
  );
  lab.sh(`ip netns del ${name}`);
  const lines = await until('the last record', () => {
    const objects = daemon.folder.objects('packets.json');
    return objects.length >= 2 ? objects : undefined;
  });
  expect(lines.map((line) => line['verdict.action'] ?? line['flowlogd.event'])).toEqual(['unknown', 'end']);
  expect(await daemon.stop()).toBe(0);
});
