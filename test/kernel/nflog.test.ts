// NFLOG against the kernel: groups, privileges, options, and packets of every size.
import { spawnSync } from 'node:child_process';
import { statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Lab, until } from '../../scripts/lab.js';
import { Daemon, killRest, logDatagrams, PACKETS, Run, sendDatagrams } from '../support/daemon.ts';

const lab = new Lab();
const namespace = lab.namespace('nflog');
beforeAll(() => {
  logDatagrams(lab, namespace, 5);
});
afterEach(killRest);
afterAll(() => lab.close());

/** Two stacks on two groups, the files named after the groups. */
const TWO_GROUPS = `[global]
stack=log5:NFLOG,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,print1:PRINTPKT,emu5:LOGEMU
stack=log7:NFLOG,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,print1:PRINTPKT,emu7:LOGEMU
[log5]
group=5
[log7]
group=7
[emu5]
file="/out/5.log"
[emu7]
file="/out/7.log"
`;

const nft = (rule: string, inside = namespace) =>
  lab.sh(
    `nft -f - <<'END'
table ip extra
delete table ip extra
table ip extra { chain out { type filter hook output priority 1; ${rule}; }; }
END`,
    inside,
  );
const noExtraRule = () => lab.sh('nft delete table ip extra', namespace);

test('from inside a user namespace a refused group is not said to be held', () => {
  const folder = lab.directory;
  const config = join(folder, 'user-namespace.conf');
  writeFileSync(
    config,
    `[global]\nstack=log1:NFLOG,base1:BASE,json1:JSON\n[log1]\ngroup=61\n[json1]\nfile="${folder}/out"\n`,
  );
  const command = ['netns', 'exec', namespace, 'unshare', '-Ur', process.execPath, 'dist/main.js', '-v', '-c', config];
  const { status, stderr } = spawnSync('ip', command, { encoding: 'utf8' });
  expect(status).toBe(1);
  expect(stderr).toContain('or CAP_NET_ADMIN does not reach this network namespace, as from inside a user namespace');
});

describe('a group that another process holds', () => {
  test('is named with that process, and the other stacks run', async () => {
    const holder = await Daemon.start(lab, PACKETS, { namespace });
    const daemon = await Daemon.start(lab, TWO_GROUPS, { namespace });
    const name = lab.sh(`cat /proc/${holder.pid}/comm`).trim();
    expect(daemon.log).toMatch(
      new RegExp(`<7> stack log5:NFLOG: NFLOG group 5 is held by process ${holder.pid} \\(${name}\\).*not run`),
    );
    nft('udp dport 9 log prefix "seven" queue-threshold 1 group 7');
    sendDatagrams(lab, namespace);
    expect((await daemon.lines('7.log', 1))[0]).toContain('seven');
    expect(await daemon.stop()).toBe(0);
    expect(daemon.folder.read('5.log')).toBe('');
    expect(await holder.stop()).toBe(0);
    noExtraRule();
  });

  test('ends the daemon with 1 if no other stack is left', async () => {
    const holder = await Daemon.start(lab, PACKETS, { namespace });
    const daemon = Daemon.launch(lab, PACKETS, { namespace });
    expect(await daemon.ended).toBe(1);
    expect(daemon.log).toContain(`held by process ${holder.pid} `);
    expect(daemon.stderr).toContain('not a single stack could be started');
    expect(await holder.stop()).toBe(0);
  });

  test('is named when the holder is the same daemon', async () => {
    // The same namespace by two names: only the kernel knows.
    const same = `group=5\nnetwork_namespace_path="/run/netns/${namespace}"`;
    const daemon = await Daemon.start(lab, TWO_GROUPS.replace('group=7', same), { namespace });
    expect(daemon.log).toContain(`stack log7:NFLOG: NFLOG group 5 is held by process ${daemon.pid} `);
    expect(await daemon.stop()).toBe(0);
  });

  test('is free again when the holder was killed', async () => {
    const holder = await Daemon.start(lab, PACKETS, { namespace });
    await holder.stop('SIGKILL');
    const daemon = await Daemon.start(lab, PACKETS, { namespace });
    expect(daemon.log).not.toContain('<7>');
    expect(await daemon.stop()).toBe(0);
  });
});

test('without CAP_NET_ADMIN it says that this is what is missing', async () => {
  const before = ['setpriv', '--bounding-set=-net_admin', '--inh-caps=-net_admin', '--reuid=65534', '--clear-groups'];
  const root = Daemon.launch(lab, PACKETS, { namespace, before: before.slice(0, 3) });
  expect(await root.ended).toBe(1);
  expect(root.log).toContain('NFLOG group 5: CAP_NET_ADMIN is needed');
});

describe('in another network namespace', () => {
  test('it reads there, with names from there, while the daemon stays at home', async () => {
    const home = lab.namespace('nflog-home');
    const configuration = `${PACKETS}network_namespace_path=/run/netns/${namespace}\n`;
    const daemon = await Daemon.start(lab, configuration, { namespace: home });
    sendDatagrams(lab, namespace, 2);
    const lines = await daemon.lines('packets.log', 2);
    expect(lines[0]).toMatch(/ testIN= OUT=lo |test IN= OUT=lo /);
    expect(lab.sh(`readlink /proc/${daemon.pid}/ns/net; readlink /proc/self/ns/net`, home).split('\n')[0]).toBe(
      lab.sh('readlink /proc/self/ns/net', home).trim(),
    );
    expect(await daemon.stop()).toBe(0);
  });

  test('that is not there, the message names its path, and the other stacks run', async () => {
    const configuration = TWO_GROUPS.replace('group=7', 'group=7\nnetwork_namespace_path=/run/netns/nowhere');
    const daemon = await Daemon.start(lab, configuration, { namespace });
    expect(daemon.log).toMatch(/<7> stack log7:NFLOG.*ENOENT.*\/run\/netns\/nowhere/);
    sendDatagrams(lab, namespace);
    await daemon.lines('5.log', 1);
    expect(await daemon.stop()).toBe(0);
  });

  test('that is made anew, it follows its name: the end is told, and the new one is read', async () => {
    const [home, there] = [lab.namespace('nflog-home2'), lab.namespace('nflog-anew')];
    const configuration = `${PACKETS}network_namespace_path=/run/netns/${there}\n`;
    const daemon = await Daemon.start(lab, configuration, { namespace: home });
    logDatagrams(lab, there, 5);
    sendDatagrams(lab, there, 2);
    await daemon.lines('packets.log', 2);
    lab.sh(`ip netns del ${there}`);
    await daemon.logged(`stack log1:NFLOG`);
    expect(daemon.log).toMatch(/<7> stack log1:NFLOG: .*ENOENT.*; this stack is not run/);
    const end = (await daemon.objects('packets.json', 3))[2];
    expect(end).toMatchObject({
      'flowlogd.event': 'end',
      'flowlogd.gap.cause': `network namespace /run/netns/${there} is gone`,
    });
    const status = new Run(lab, ['status', '-c', daemon.folder.configuration]);
    expect(await status.ended).toBe(1);
    expect(status.stdout).toMatch(/DOES NOT RUN: .*ENOENT/);
    lab.sh(`ip netns add ${there} && ip -n ${there} link set lo up`);
    await daemon.logged(`log1:NFLOG: listens in /run/netns/${there} again`);
    logDatagrams(lab, there, 5);
    sendDatagrams(lab, there, 3);
    const after = (await daemon.objects('packets.json', 6)).slice(3);
    expect(after.map((packet) => packet['netns.id'])).toEqual(Array(3).fill(statSync(`/run/netns/${there}`).ino));
    expect(await daemon.stop()).toBe(0);
  });

  test('that is made anew at one stroke, it follows too', async () => {
    const [home, there] = [lab.namespace('nflog-home3'), lab.namespace('nflog-stroke')];
    const configuration = `${PACKETS}network_namespace_path=/run/netns/${there}\n`;
    const daemon = await Daemon.start(lab, configuration, { namespace: home });
    lab.sh(`ip netns del ${there}; ip netns add ${there}; ip -n ${there} link set lo up`);
    await daemon.logged(`log1:NFLOG: listens in /run/netns/${there} again`);
    logDatagrams(lab, there, 5);
    sendDatagrams(lab, there, 2);
    await daemon.lines('packets.log', 2);
    expect(await daemon.stop()).toBe(0);
  });

  test('a held group is told apart from a missing capability', async () => {
    const holder = await Daemon.start(lab, PACKETS, { namespace });
    const home = lab.namespace('nflog-other');
    const configuration = `${PACKETS}network_namespace_path=/run/netns/${namespace}\n`;
    const daemon = Daemon.launch(lab, configuration, { namespace: home });
    expect(await daemon.ended).toBe(1);
    expect(daemon.log).toContain(`NFLOG group 5 is held by process ${holder.pid} `);
    expect(await holder.stop()).toBe(0);
  });
});

describe('options', () => {
  test('seq_local and seq_global give numbers without a gap; without them there are none', async () => {
    const numbered = await Daemon.start(lab, `${PACKETS}seq_local=1\nseq_global=1\n`, { namespace });
    sendDatagrams(lab, namespace, 20);
    const objects = await numbered.objects('packets.json', 20);
    expect(objects.map((packet) => packet['oob.seq.local'])).toEqual(Array.from({ length: 20 }, (_, i) => i));
    const first = Number(objects[0]?.['oob.seq.global']);
    expect(objects.map((packet) => packet['oob.seq.global'])).toEqual(Array.from({ length: 20 }, (_, i) => first + i));
    expect(await numbered.stop()).toBe(0);

    const plain = await Daemon.start(lab, PACKETS, { namespace });
    sendDatagrams(lab, namespace);
    const [packet] = await plain.objects('packets.json', 1);
    expect(packet).not.toHaveProperty(['oob.seq.local']);
    expect(packet).not.toHaveProperty(['oob.seq.global']);
    expect(await plain.stop()).toBe(0);
  });

  test('netlink_qthreshold keeps packets back until there are so many', async () => {
    nft('udp dport 9 log prefix "few" group 8');
    const configuration = PACKETS.replace('group=5', 'group=8\nnetlink_qthreshold=5\nnetlink_qtimeout=6000');
    const daemon = await Daemon.start(lab, configuration, { namespace });
    sendDatagrams(lab, namespace, 4);
    expect(lab.sh('cat /proc/net/netfilter/nfnetlink_log', namespace)).toMatch(/^ *8 +\d+ +4 2 65531 +6000 /m);
    expect(daemon.folder.read('packets.log')).toBe('');
    sendDatagrams(lab, namespace, 1);
    await daemon.lines('packets.log', 5);
    sendDatagrams(lab, namespace, 2);
    expect(await daemon.stop()).toBe(0);
    expect(daemon.folder.lines('packets.log')).toHaveLength(7);
    noExtraRule();
  });

  test('netlink_qtimeout sends them on when the time is up', async () => {
    nft('udp dport 9 log prefix "slow" group 8');
    const configuration = PACKETS.replace('group=5', 'group=8\nnetlink_qthreshold=100\nnetlink_qtimeout=10');
    const daemon = await Daemon.start(lab, configuration, { namespace });
    sendDatagrams(lab, namespace, 3);
    await daemon.lines('packets.log', 3);
    expect(await daemon.stop()).toBe(0);
    noExtraRule();
  });

  test.each(['group=0', 'group=5\nbind=1', 'group=5\nbind=1\nunbind=0'])(
    '%s makes NFLOG the system’s logger',
    async (options) => {
      const other = lab.namespace('nflog-bind');
      const loggers = () => lab.sh('cat /proc/net/netfilter/nf_log', other);
      expect(loggers()).not.toMatch(/^ ?2 nfnetlink_log/m);
      const daemon = await Daemon.start(lab, PACKETS.replace('group=5', options), { namespace: other });
      for (const family of [2, 7, 10]) expect(loggers()).toMatch(new RegExp(`^ *${family} nfnetlink_log `, 'm'));
      expect(await daemon.stop()).toBe(0);
    },
  );

  test('any bufsize and buffer size works, also without end', async () => {
    for (const options of [
      'bufsize=0',
      'bufsize=1',
      'bufsize=500000',
      'bufsize=4294967295',
      'netlink_socket_buffer_size=1',
      'netlink_socket_buffer_maxsize=1',
    ]) {
      const daemon = await Daemon.start(lab, `${PACKETS}${options}\n`, { namespace });
      sendDatagrams(lab, namespace);
      await daemon.lines('packets.log', 1);
      expect(await daemon.stop()).toBe(0);
    }
  });

  test('numeric_label is given to every packet', async () => {
    const daemon = await Daemon.start(lab, `${PACKETS}numeric_label=010\n`, { namespace });
    sendDatagrams(lab, namespace);
    expect((await daemon.objects('packets.json', 1))[0]).toMatchObject({ 'raw.label': 8 });
    expect(await daemon.stop()).toBe(0);
  });

  test('attach_conntrack on a kernel that cannot is said, and packets come all the same', async () => {
    const can = lab.sh('zcat /proc/config.gz | grep -c ^CONFIG_NETFILTER_NETLINK_GLUE_CT= || :').trim() !== '0';
    const daemon = await Daemon.start(lab, `${PACKETS}attach_conntrack=1\nseq_local=1\n`, { namespace });
    expect(daemon.log.includes('cannot attach connections')).toBe(!can);
    sendDatagrams(lab, namespace);
    // The kernel forgets every flag of a message that it refuses: the numbers must have been asked for again.
    expect((await daemon.objects('packets.json', 1))[0]).toMatchObject({ 'oob.seq.local': 0 });
    expect(await daemon.stop()).toBe(0);
  });
});

describe('packets', () => {
  test('of 64 KiB are whole', async () => {
    nft('tcp dport 99 log prefix "big" queue-threshold 1 group 8');
    const daemon = await Daemon.start(lab, PACKETS.replace('group=5', 'group=8'), { namespace });
    const script = `
const { createServer, connect } = require('node:net');
const server = createServer((peer) => peer.resume().on('end', () => process.exit(0)));
server.listen(99, '127.0.0.1', () => connect(99, '127.0.0.1').end(Buffer.alloc(4 << 20)));`;
    lab.sh(`${process.execPath} -e "${script.replaceAll('\n', ' ')}"`, namespace);
    await until('a packet of 65 kB', () =>
      daemon.folder.objects('packets.json').some((packet) => Number(packet['raw.pktlen']) > 60_000),
    );
    expect(await daemon.stop()).toBe(0);
    const packets = daemon.folder.objects('packets.json');
    for (const packet of packets) {
      // NFULNL_COPY_RANGE_MAX: the kernel hands over no more of one packet. A length of 0 is BIG TCP's: beyond 64 KiB.
      expect(packet['raw.pktlen']).toBe(Math.min(Number(packet['ip.totlen']) || 1 << 20, 65_531));
      expect(packet['oob.prefix']).toBe('big');
    }
    expect(daemon.log).not.toContain('malformed');
    noExtraRule();
  });

  test('with a line break or anything else in their prefix stay one line each', async () => {
    nft('udp dport 9 log prefix "two\nlines \\\\ \tetc" queue-threshold 1 group 8');
    const daemon = await Daemon.start(lab, PACKETS.replace('group=5', 'group=8'), { namespace });
    sendDatagrams(lab, namespace, 2);
    const [first, second] = await daemon.objects('packets.json', 2);
    expect(first?.['oob.prefix']).toMatch(/^two\nlines /);
    expect(second?.['oob.prefix']).toBe(first?.['oob.prefix']);
    expect(await daemon.stop()).toBe(0);
    const lines = daemon.folder.lines('packets.log');
    expect(lines).toHaveLength(2);
    for (const line of lines) expect(line).toMatch(/two.*lines.*DPT=9/);
    noExtraRule();
  });

  test('that the kernel had to drop are told of, and reading goes on', async () => {
    const daemon = await Daemon.start(lab, `${PACKETS}netlink_socket_buffer_size=4096\n`, { namespace });
    daemon.signal('SIGSTOP');
    await until('it stands still', () => lab.sh(`ps -o state= -p ${daemon.pid}`).trim() === 'T');
    sendDatagrams(lab, namespace, 200);
    daemon.signal('SIGCONT');
    await daemon.logged('the kernel dropped packets of group 5');
    const before = daemon.folder.lines('packets.log').length;
    sendDatagrams(lab, namespace, 1);
    await daemon.lines('packets.log', before + 1);
    expect(before).toBeLessThan(200);
    expect(await daemon.stop()).toBe(0);
  });
});
