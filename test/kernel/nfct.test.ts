// NFCT against the kernel: events, the table, dumps, filters and overruns.
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Lab, until } from '../../scripts/lab.js';
import { Daemon, FLOWS, killRest } from '../support/daemon.ts';

const lab = new Lab();
const namespace = lab.namespace('nfct');
beforeAll(() => {
  // At 2, its default, the kernel tells nothing of a connection that began while nobody listened (nf_ct_ecache_ext_add).
  lab.sh('sysctl -qw net.netfilter.nf_conntrack_events=1 net.netfilter.nf_conntrack_timestamp=0', namespace);
});
afterEach(async () => {
  await killRest();
  lab.sh('conntrack -F', namespace);
});
afterAll(() => lab.close());

type Flow = Record<string, unknown>;

const start = (options: string) => Daemon.start(lab, FLOWS + options, { namespace });
const conntrack = (...lines: string[]) => lab.sh(lines.map((line) => `conntrack ${line}`).join('\n'), namespace);
/** Makes or ends connections by the hundred; each line is a conntrack command without its name. */
const many = (lines: readonly string[]) => {
  lab.sh(`cat >${lab.directory}/many <<'END'\n${lines.join('\n')}\nEND\nconntrack -R ${lab.directory}/many`, namespace);
};
const tcp = (port: number, source = '10.8.0.1') => `-s ${source} -d 10.8.9.9 -p tcp --sport ${port} --dport 22`;
const open = (port: number, source?: string) => `-I ${tcp(port, source)} --state ESTABLISHED -t 300`;
const udp = (port: number) => `-s 10.8.0.2 -d 10.8.9.9 -p udp --sport ${port} --dport 53`;
const EVENTS: Readonly<Record<number, string>> = { 1: 'new', 2: 'changed', 4: 'ended' };
/** What a record says, in brief. */
const brief = (flow: Flow) => `${EVENTS[Number(flow['ct.event'])]} ${flow.src_ip} ${flow['orig.l4.sport']}`;

/** The multicast groups that the process listens to, as a bit mask: 1 new, 2 changed, 4 ended. */
function groupsOf(pid: number): number {
  const inodes = lab.sh(`ls -l /proc/${pid}/fd`);
  return lab
    .sh('cat /proc/net/netlink', namespace)
    .split('\n')
    .map((line) => line.trim().split(/ +/))
    .filter(([, family, , , , , , , , inode]) => family === '12' && inodes.includes(`[${inode}]`))
    .reduce((mask, [, , , groups]) => mask | Number.parseInt(groups as string, 16), 0);
}

async function freeze(daemon: Daemon): Promise<void> {
  daemon.signal('SIGSTOP');
  await until('it stands still', () => lab.sh(`ps -o state= -p ${daemon.pid}`).trim() === 'T');
}

describe('event_mask', () => {
  test.each([0, 1, 2, 4, 5, 7])('%i joins those groups alone', async (mask) => {
    const daemon = await start(`event_mask=${mask}\nhash_enable=0\n`);
    expect(groupsOf(daemon.pid)).toBe(mask);
    expect(await daemon.stop()).toBe(0);
  });

  test('7 without a table writes begin, change and end as they come', async () => {
    const daemon = await start('event_mask=7\nhash_enable=0\n');
    conntrack(open(1), `-U ${tcp(1)} --mark 77`, `-D ${tcp(1)}`);
    const flows = await daemon.objects('flows.json', 3);
    expect(flows.map(brief)).toEqual(['new 10.8.0.1 1', 'changed 10.8.0.1 1', 'ended 10.8.0.1 1']);
    expect(flows.map((flow) => flow['ct.mark'])).toEqual([0, 77, 77]);
    expect(flows.map((flow) => 'flow.end.sec' in flow)).toEqual([false, false, true]);
    expect(new Set(flows.map((flow) => flow['ct.id'])).size).toBe(1);
    expect(await daemon.stop()).toBe(0);
    expect(daemon.log).not.toContain('<7>');
  });

  test('2 without a table writes changes alone', async () => {
    const daemon = await start('event_mask=2\nhash_enable=0\n');
    conntrack(open(1), `-U ${tcp(1)} --mark 78`, `-D ${tcp(1)}`);
    expect((await daemon.objects('flows.json', 1)).map(brief)).toEqual(['changed 10.8.0.1 1']);
    expect(await daemon.stop()).toBe(0);
    expect(daemon.folder.lines('flows.json')).toHaveLength(1);
  });
});

describe('the table', () => {
  test('gives one record at the end, with begin and end', async () => {
    const daemon = await start('');
    conntrack(open(1));
    await until('a second has passed between begin and end', () => new Promise((done) => setTimeout(done, 1100, true)));
    conntrack(`-D ${tcp(1)}`);
    const [flow] = await daemon.objects('flows.json', 1);
    expect(brief(flow as Flow)).toBe('ended 10.8.0.1 1');
    expect(Number(flow?.['flow.end.sec']) - Number(flow?.['flow.start.sec'])).toBeGreaterThanOrEqual(1);
    expect(Math.abs(Number(flow?.['flow.end.sec']) - Date.now() / 1000)).toBeLessThan(10);
    expect(await daemon.stop()).toBe(0);
    expect(daemon.folder.lines('flows.json')).toHaveLength(1);
  });

  test('knows connections that are older than the daemon', async () => {
    conntrack(
      open(1),
      `-I ${udp(1)} -t 300`,
      '-I -s 2001:db8::1 -d 2001:db8::2 -p tcp --sport 1 --dport 2 --state ESTABLISHED -t 300',
    );
    const daemon = await start('');
    conntrack(`-D ${tcp(1)}`, `-D ${udp(1)}`, '-D -f ipv6 -s 2001:db8::1');
    const flows = await daemon.objects('flows.json', 3);
    expect(flows.map(brief)).toEqual(['ended 10.8.0.1 1', 'ended 10.8.0.2 1', 'ended 2001:db8::1 1']);
    // Without nf_conntrack_timestamp nobody knows when they began.
    for (const flow of flows) expect(flow).not.toHaveProperty('flow.start.sec');
    expect(await daemon.stop()).toBe(0);
  });

  test('takes the kernel’s own times where it keeps them', async () => {
    lab.sh('sysctl -qw net.netfilter.nf_conntrack_timestamp=1', namespace);
    conntrack(open(5));
    lab.sh('sysctl -qw net.netfilter.nf_conntrack_timestamp=0', namespace);
    const born = Date.now() / 1000;
    await until('a second later', () => Date.now() / 1000 > born + 1.1);
    const daemon = await start('');
    conntrack(`-D ${tcp(5)}`);
    const [flow] = await daemon.objects('flows.json', 1);
    expect(Number(flow?.['flow.start.sec'])).toBeLessThanOrEqual(born);
    expect(await daemon.stop()).toBe(0);
  });

  test('that is full counts what it refuses, and reports its end all the same', async () => {
    const daemon = await start('hash_max_entries=2\n');
    conntrack(open(1), open(2), open(3), `-D ${tcp(3)}`, `-D ${tcp(1)}`);
    const flows = await daemon.objects('flows.json', 2);
    expect(flows.map((flow) => [brief(flow), 'flow.start.sec' in flow])).toEqual([
      ['ended 10.8.0.1 3', false],
      ['ended 10.8.0.1 1', true],
    ]);
    expect(await daemon.stop()).toBe(0);
    expect(daemon.log).toContain('1 connections found the table full');
  });
});

test('pollinterval reports what a dump no longer shows, with the counters and the mark of the last one', async () => {
  conntrack(open(1), `-I ${udp(7)} -t 300 --mark 9`, open(2));
  const daemon = await start('pollinterval=1\n');
  expect(groupsOf(daemon.pid)).toBe(0);
  conntrack(`-D ${tcp(1)}`, `-D ${udp(7)}`);
  const flows = await daemon.objects('flows.json', 2);
  expect(flows.map(brief).toSorted()).toEqual(['ended 10.8.0.1 1', 'ended 10.8.0.2 7']);
  expect(flows.find((flow) => flow['orig.l4.sport'] === 7)).toMatchObject({ 'ct.mark': 9, 'reply.l4.sport': 53 });
  conntrack(`-D ${tcp(2)}`);
  await daemon.lines('flows.json', 3);
  expect(await daemon.stop()).toBe(0);
  expect(daemon.folder.lines('flows.json')).toHaveLength(3);
});

describe('filters', () => {
  const ALL = [
    open(1, '10.8.0.1'),
    open(2, '10.8.1.1'),
    `-I ${udp(3)} -t 300`,
    '-I -s 10.8.0.4 -d 10.7.0.1 -p tcp --sport 4 --dport 80 --state ESTABLISHED -t 300',
    '-I -s 2001:db8:1::5 -d 2001:db8:9::9 -p tcp --sport 5 --dport 22 --state ESTABLISHED -t 300',
    '-I -s 2001:db8:2::6 -d 2001:db8:9::9 -p udp --sport 6 --dport 53 -t 300',
  ];
  test.each([
    ['accept_src_filter=10.8.0.0/24', [1, 3, 4]],
    ['accept_src_filter=10.8.1.1/32,2001:db8:1::/48', [2, 5]],
    ['accept_src_filter=2001:db8::/32', [5, 6]],
    ['accept_dst_filter=10.7.0.0/16', [4]],
    ['accept_dst_filter=10.8.9.9/32,2001:db8:9::9/128', [1, 2, 3, 5, 6]],
    ['accept_proto_filter=udp', [3, 6]],
    ['accept_proto_filter=17,tcp', [1, 2, 3, 4, 5, 6]],
    ['accept_src_filter=10.8.0.0/16\naccept_proto_filter=tcp\naccept_dst_filter=10.8.9.0/24', [1, 2]],
  ])('%s lets pass what it says, of events and of dumps', async (options, ports) => {
    const events = await start(`hash_enable=0\nevent_mask=1\n${options}\n`);
    many(ALL);
    await events.lines('flows.json', ports.length);
    expect(await events.stop()).toBe(0);
    expect(events.folder.objects('flows.json').map((flow) => flow['orig.l4.sport'])).toEqual(ports);

    const dumps = await start(`pollinterval=1\n${options}\n`);
    conntrack('-F');
    await dumps.lines('flows.json', ports.length);
    expect(await dumps.stop()).toBe(0);
    const seen = dumps.folder.objects('flows.json').map((flow) => flow['orig.l4.sport']);
    expect(seen.toSorted()).toEqual(ports);
  });
});

describe('an overrun', () => {
  const ports = Array.from({ length: 400 }, (_, i) => i + 1);

  test('is told, and after netlink_resync_timeout the table is right again: each end once', async () => {
    const daemon = await start('netlink_socket_buffer_size=4096\nnetlink_resync_timeout=1\n');
    many([open(9001), open(9002)]);
    await freeze(daemon);
    // Begins, and an end, that the daemon never hears of.
    many(ports.map((port) => open(port)));
    conntrack(`-D ${tcp(9001)}`);
    daemon.signal('SIGCONT');
    await daemon.logged('the kernel dropped events');
    await daemon.logged('dumping the connections');
    // First the gap; then what repairs it: the end that nobody saw, and the begins that are lost.
    const [gap] = await daemon.objects('flows.json', 1);
    const lost = gap?.['flowlogd.gap.lost'] as number;
    const lines = await daemon.objects('flows.json', lost + 1);
    expect(lines[0]).toMatchObject({ 'flowlogd.event': 'gap', 'flowlogd.input': 'ct1', 'flowlogd.gap.exact': false });
    expect(brief(lines[1] as Record<string, unknown>)).toBe('ended 10.8.0.1 9001');
    expect(lines[1]).toMatchObject({ 'flow.unobserved': 1 });
    const window = lines[1] as Record<string, number>;
    expect(window['flow.end.window.sec']).toBeLessThan(window['flow.end.sec'] as number);
    // As many as were dropped are found again: every begin that is not told of is in the file.
    expect(lines.slice(2).every((flow) => flow['flow.reconstructed'] === 1 && flow['ct.event'] === 1)).toBe(true);
    expect(lines).toHaveLength(lost + 1);
    // Those whose begin was lost are known now, so their end has a begin.
    conntrack(`-D ${tcp(400)}`, `-D ${tcp(9002)}`);
    const flows = (await daemon.objects('flows.json', lost + 3)).slice(lost + 1);
    expect(flows.map(brief)).toEqual(['ended 10.8.0.1 400', 'ended 10.8.0.1 9002']);
    for (const flow of flows) expect(flow).toHaveProperty(['flow.start.sec']);
    expect(await daemon.stop()).toBe(0);
    expect(daemon.folder.lines('flows.json')).toHaveLength(lost + 3);
  });

  test('grows the buffer up to netlink_socket_buffer_maxsize', async () => {
    const daemon = await start('hash_enable=0\nnetlink_socket_buffer_size=4096\nnetlink_socket_buffer_maxsize=10000\n');
    for (const size of [8192, 10_000]) {
      await freeze(daemon);
      many(ports.map((port) => open(port)));
      daemon.signal('SIGCONT');
      await daemon.logged(`the socket buffer of ${size} bytes was full`);
      conntrack('-F');
    }
    expect(await daemon.stop()).toBe(0);
  });

  test('cannot happen to a flood when netlink_socket_buffer_size alone is large enough', async () => {
    const daemon = await start('hash_enable=0\nevent_mask=1\nnetlink_socket_buffer_size=4000000\n');
    await freeze(daemon);
    many(ports.map((port) => open(port)));
    daemon.signal('SIGCONT');
    await daemon.lines('flows.json', ports.length);
    expect(await daemon.stop()).toBe(0);
    expect(daemon.log).not.toContain('dropped');
  });

  test('netlink_socket_buffer_maxsize alone never makes the buffer smaller', async () => {
    const daemon = await start('hash_enable=0\nevent_mask=1\nnetlink_socket_buffer_maxsize=4096\n');
    await freeze(daemon);
    many(ports.map((port) => open(port)));
    daemon.signal('SIGCONT');
    await daemon.lines('flows.json', ports.length);
    expect(await daemon.stop()).toBe(0);
    expect(daemon.log).not.toContain('dropped');
  });

  test('is not one with reliable=1: the kernel tells again what did not fit', async () => {
    const daemon = await start('reliable=1\nnetlink_socket_buffer_size=4096\n');
    many(ports.map((port) => open(port)));
    await freeze(daemon);
    conntrack('-F');
    daemon.signal('SIGCONT');
    const flows = await daemon.objects('flows.json', ports.length);
    expect(new Set(flows.map((flow) => flow['orig.l4.sport'])).size).toBe(ports.length);
    expect(await daemon.stop()).toBe(0);
    expect(daemon.log).not.toContain('dropped');
    // The kernel counts what it could not deliver at once, but that is not lost.
    expect(daemon.folder.read('flows.json')).not.toContain('gap');
  });
});

describe('several', () => {
  test('instances side by side, in this namespace and in another, keep their events apart', async () => {
    const other = lab.namespace('nfct-other');
    lab.sh('sysctl -qw net.netfilter.nf_conntrack_events=1', other);
    const daemon = await Daemon.start(
      lab,
      `[global]
stack=ct1:NFCT,ip2str1:IP2STR,print1:PRINTFLOW,emu1:LOGEMU
stack=ct2:NFCT,ip2str1:IP2STR,json2:JSON
stack=ct3:NFCT,ip2str1:IP2STR,json3:JSON
[ct1]
event_mask=1
hash_enable=0
[ct2]
[ct3]
network_namespace_path=/run/netns/${other}
[emu1]
file="/out/new.log"
[json2]
file="/out/here.json"
[json3]
file="/out/there.json"
`,
      { namespace },
    );
    conntrack(open(1), `-D ${tcp(1)}`);
    lab.sh(`conntrack ${open(2)}; conntrack -D ${tcp(2)}`, other);
    expect((await daemon.objects('here.json', 1)).map(brief)).toEqual(['ended 10.8.0.1 1']);
    expect((await daemon.objects('there.json', 1)).map(brief)).toEqual(['ended 10.8.0.1 2']);
    expect((await daemon.lines('new.log', 1))[0]).toMatch(
      /\[NEW\] ORIG: SRC=10\.8\.0\.1 DST=10\.8\.9\.9 PROTO=TCP SPT=1 DPT=22 PKTS=0 BYTES=0 , REPLY: SRC=10\.8\.9\.9 DST=10\.8\.0\.1 PROTO=TCP SPT=22 DPT=1 PKTS=0 BYTES=0 $/,
    );
    expect(await daemon.stop()).toBe(0);
    for (const name of ['here.json', 'there.json', 'new.log']) expect(daemon.folder.lines(name)).toHaveLength(1);
  });
});
