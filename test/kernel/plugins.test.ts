// Plugins with what stands at their other end: nfacct rules, rsyslogd, tcpdump, tshark, xmllint, a program on a socket.
import { type ChildProcess, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Lab, until } from '../../scripts/lab.js';
import { Daemon, killRest, logDatagrams, sendDatagrams } from '../support/daemon.ts';

let lab: Lab;
let namespace: string;

beforeAll(() => {
  lab = new Lab();
  namespace = lab.namespace('fl-plugins');
  logDatagrams(lab, namespace, 5, 'prefix "a<b & c" queue-threshold 1');
});
afterEach(killRest);
afterAll(() => lab?.close());

const run = (command: string, ...args: string[]): string =>
  execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

describe('NFACCT', () => {
  test('reads the counters of nfacct rules, and sets them to zero', async () => {
    lab.sh(
      `nfacct add pings; nfacct add nothing
       iptables -A OUTPUT -p icmp -m nfacct --nfacct-name pings`,
      namespace,
    );
    const daemon = await Daemon.start(
      lab,
      `[global]
stack=acct1:NFACCT,gp1:GPRINT
[acct1]
pollinterval=3600
timestamp=1
[gp1]
file="/out/sums"
`,
      { namespace },
    );
    lab.sh('ping -c 2 -i 0.01 -W 1 -s 100 127.0.0.1', namespace);
    daemon.signal('SIGUSR2');
    // Two requests and two answers go out here.
    const first = await daemon.lines('sums', 2);
    expect(first[0]).toMatch(/^sum\.name=pings,sum\.pkts=4,sum\.bytes=512,oob\.time\.sec=\d{10},oob\.time\.usec=\d+$/);
    expect(first[1]).toMatch(/^sum\.name=nothing,sum\.pkts=0,sum\.bytes=0,/);
    daemon.signal('SIGUSR2');
    expect((await daemon.lines('sums', 4))[2]).toMatch(/^sum\.name=pings,sum\.pkts=0,sum\.bytes=0,/);
    expect(await daemon.stop()).toBe(0);
  });
});

describe('PCAP, XML and PCAPFILE', () => {
  test('tcpdump and tshark read what PCAP wrote, xmllint what XML wrote', async () => {
    const daemon = await Daemon.start(
      lab,
      `[global]
stack=log1:NFLOG,base1:BASE,pcap1:PCAP
stack=log1:NFLOG,base1:BASE,pcap2:PCAP
stack=log1:NFLOG,xml1:XML
[log1]
group=5
[pcap1]
file="/out/raw.pcap"
[pcap2]
file="/out/ethernet.pcap"
linktype=ethernet
[xml1]
directory="/out/"
`,
      { namespace },
    );
    sendDatagrams(lab, namespace, 20);
    const raw = join(daemon.folder.path, 'raw.pcap');
    await until('20 packets are written', () => readFileSync(raw).length >= 24 + 20 * (16 + 28 + 2));
    expect(await daemon.stop()).toBe(0);
    for (const file of ['raw.pcap', 'ethernet.pcap']) {
      const path = join(daemon.folder.path, file);
      const lines = run('tcpdump', '-nnr', path).trim().split('\n');
      expect(lines.length).toBe(20);
      for (const line of lines) expect(line).toMatch(/ IP 127\.0\.0\.1\.\d+ > 127\.0\.0\.1\.9: UDP, length \d+$/);
      const fields = run('tshark', '-r', path, '-T', 'fields', '-e', 'udp.dstport', '-e', 'udp.length.bad');
      expect(fields.trim().split(/\s+/)).toEqual(Array.from({ length: 20 }, () => '9'));
    }
    const [xml] = readdirSync(daemon.folder.path).filter((name) => /^ulogd-pkt-\d{8}-\d{6}\.xml$/.test(name));
    const prefixes = run('xmllint', '--xpath', '/packet/log/prefix/text()', join(daemon.folder.path, xml!));
    expect(prefixes.trim().split('\n')).toEqual(Array.from({ length: 20 }, () => 'a&lt;b &amp; c'));
  });

  test('what tcpdump captured of an NFLOG group is logged without root, and the daemon ends', async () => {
    const capture = join(lab.directory, 'nflog.pcap');
    const tcpdump = lab.start(['tcpdump', '-c', '10', '-i', 'nflog:5', '-w', capture, '-Z', 'root'], namespace);
    const captured = new Promise((resolve) => tcpdump.once('exit', resolve));
    // Columns: group, port id, queued, copy mode (2: packets).
    const listens = () => / 5 +\d+ +\d+ +2 /.test(lab.sh('cat /proc/net/netfilter/nfnetlink_log', namespace));
    await until('tcpdump listens', listens);
    sendDatagrams(lab, namespace, 10);
    expect(await captured).toBe(0);

    const configuration = `[global]
stack=file1:PCAPFILE,base1:BASE,ip2str1:IP2STR,json1:JSON
[file1]
file="${capture}"
[json1]
file="/out/packets.json"
`;
    const daemon = Daemon.launch(lab, configuration, {
      before: ['setpriv', '--bounding-set=-all', '--inh-caps=-all', '--'],
    });
    expect(await daemon.ended).toBe(0);
    const packets = daemon.folder.objects('packets.json');
    expect(packets.length).toBe(10);
    for (const packet of packets) {
      expect(packet).toMatchObject({ 'oob.prefix': 'a<b & c', dest_port: 9, dest_ip: '127.0.0.1', 'oob.hook': 3 });
    }
  });
});

describe('SYSLOG', () => {
  test('rsyslogd takes the lines as those of other programs', async () => {
    const folder = lab.directory;
    const socket = join(folder, 'log');
    writeFileSync(
      join(folder, 'rsyslog.conf'),
      `module(load="imuxsock" SysSock.Use="off")
input(type="imuxsock" Socket="${socket}")
template(name="all" type="string" string="%syslogfacility-text%.%syslogseverity-text% %programname% %msg%\\n")
*.* action(type="omfile" file="${join(folder, 'messages')}" template="all")
`,
    );
    const startRsyslogd = async () => {
      rmSync(socket, { force: true });
      const words = ['-n', '-f', join(folder, 'rsyslog.conf'), '-i', join(folder, 'rsyslog.pid')];
      const started = lab.start(['rsyslogd', ...words]);
      await until('rsyslogd listens', () => existsSync(socket));
      return started;
    };
    const kill = async (child: ChildProcess) => {
      child.kill('SIGKILL');
      await once(child, 'exit');
      rmSync(join(folder, 'rsyslog.pid'), { force: true });
    };
    let rsyslogd = await startRsyslogd();
    const daemon = await Daemon.start(
      lab,
      `[global]
stack=log1:NFLOG,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,print1:PRINTPKT,sys1:SYSLOG
[log1]
group=5
[sys1]
facility=LOG_LOCAL3
level=LOG_WARNING
socket="${socket}"
`,
      { namespace },
    );
    sendDatagrams(lab, namespace, 10);
    const lines = () =>
      (existsSync(join(folder, 'messages')) ? readFileSync(join(folder, 'messages'), 'utf8') : '').trim().split('\n');
    await until('10 lines are in its file', () => lines().length >= 10);
    for (const line of lines()) {
      expect(line).toMatch(
        /^local3\.warning flowlogd {1,2}a<b & c IN= OUT=lo .*SRC=127\.0\.0\.1 DST=127\.0\.0\.1 .*DPT=9 /,
      );
    }
    // Killed and started again: what came meanwhile waits, and arrives.
    await kill(rsyslogd);
    sendDatagrams(lab, namespace, 5);
    await daemon.logged('wait in memory');
    rsyslogd = await startRsyslogd();
    await until('15 lines are in its file', () => lines().length >= 15);
    // One that does not read keeps nothing from being read here.
    rsyslogd.kill('SIGSTOP');
    sendDatagrams(lab, namespace, 200);
    await until('all are read', async () => {
      daemon.signal('SIGUSR1');
      return daemon.log.includes('log1:NFLOG: 215 events received');
    });
    rsyslogd.kill('SIGCONT');
    await until('215 lines are in its file', () => lines().length >= 215);
    await daemon.logged(': connected');
    // Nobody listens to the last ones: each is counted.
    await kill(rsyslogd);
    sendDatagrams(lab, namespace, 7);
    await daemon.logged('wait in memory', 2);
    expect(await daemon.stop()).toBe(0);
    expect(lines().length).toBe(215);
    expect(daemon.log).toContain('sys1:SYSLOG: 215 written, 7 dropped: stopped');
  });
});
