// What flowlogd is for: an OpenStack router's new and ended connections and logged packets, from one process.
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { until } from '../../scripts/lab.js';
import { ADDRESS, RouterLab } from '../../scripts/router-lab.js';
import { Daemon, killRest } from '../support/daemon.ts';

const { vm, floating, outside, gateway, other } = ADDRESS;
const lab = new RouterLab();
const router = lab.router;
beforeAll(async () => {
  await lab.listen(lab.vm, 'tcp:22', 'udp:5353');
  await lab.listen(lab.other, 'tcp:22');
  await lab.listen(lab.outside, 'tcp:443');
  lab.sh('iptables -I FORWARD -p tcp --dport 8080 -j DROP', router);
  lab.sh('iptables -I FORWARD -p tcp --dport 8080 -j NFLOG --nflog-group 32 --nflog-prefix "dbg: FORWARD "', router);
});
afterEach(killRest);
afterAll(() => lab.close());

const host = hostname().split('.', 1)[0];
const LINE = `[A-Z][a-z]{2} [ 1-3]\\d [\\d:]{8} ${host} `;

/** A configuration with its files moved to /out/. */
const moved = (file: URL) =>
  readFileSync(file, 'utf8')
    .replaceAll(/"\/var\/log\/(?:ulog\/)?([\w.]+)"/g, '"/out/$1"')
    .replace('logfile="syslog"', 'logfile="/out/daemon.log"');

describe.each([
  ['etc/flowlogd.conf', new URL('../../etc/flowlogd.conf', import.meta.url)],
  ['an operator’s ulogd.conf', new URL('operator.conf', import.meta.url)],
])('%s', (_, file) => {
  test('NEW lines, DESTROY objects, packet lines and packet objects come from one process', async () => {
    const daemon = await Daemon.start(lab, moved(file), { namespace: router });
    expect(daemon.stderr).toBe(''); // not even a warning

    await lab.exchange(lab.outside, 'tcp', floating, 22);
    await lab.exchange(lab.vm, 'tcp', outside, 443, 20_000);
    await lab.exchange(lab.outside, 'udp', floating, 5353);
    await lab.exchange(lab.outside, 'tcp', gateway, 2222);
    lab.ping(lab.outside, floating);

    const begun = (await daemon.lines('syslogemu.log', 5)).join('\n');
    const counters = 'PKTS=0 BYTES=0';
    for (const [orig, reply] of [
      [
        `SRC=${outside} DST=${floating} PROTO=TCP SPT=(\\d+) DPT=22`,
        `SRC=${vm} DST=${outside} PROTO=TCP SPT=22 DPT=\\1`,
      ],
      [
        `SRC=${vm} DST=${outside} PROTO=TCP SPT=\\d+ DPT=443`,
        `SRC=${outside} DST=${floating} PROTO=TCP SPT=443 DPT=\\d+`,
      ],
      [
        `SRC=${outside} DST=${floating} PROTO=UDP SPT=(\\d+) DPT=5353`,
        `SRC=${vm} DST=${outside} PROTO=UDP SPT=5353 DPT=\\1`,
      ],
      [
        `SRC=${outside} DST=${gateway} PROTO=TCP SPT=(\\d+) DPT=2222`,
        `SRC=${other} DST=${outside} PROTO=TCP SPT=22 DPT=\\1`,
      ],
      [`SRC=${outside} DST=${floating} PROTO=ICMP TYPE=8 CODE=0`, `SRC=${vm} DST=${outside} PROTO=ICMP TYPE=8 CODE=0`],
    ]) {
      expect(begun).toMatch(
        new RegExp(`^${LINE}\\[NEW\\] ORIG: ${orig} ${counters} , REPLY: ${reply} ${counters} $`, 'm'),
      );
    }
    expect(begun).not.toContain('DESTROY');

    // 2 s after its last packet a connection has timed out; the kernel ends it when it next looks.
    await until('every connection ended', () => {
      lab.connections();
      return daemon.folder.read('ulogd.json').split('\n').length > 5;
    });
    const ended = daemon.folder.objects('ulogd.json');
    for (const flow of ended) expect(flow['ct.event']).toBe(4);
    const ssh = ended.find((flow) => flow['orig.l4.dport'] === 22);
    expect(ssh).toMatchObject({
      dvc: 'Netfilter',
      src_ip: outside,
      dest_ip: floating,
      'orig.ip.protocol': 6,
      'reply.ip.saddr.str': vm,
      'reply.ip.daddr.str': outside,
      'reply.ip.protocol': 6,
      'reply.l4.sport': 22,
      'reply.l4.dport': ssh?.['orig.l4.sport'],
      'oob.family': 2,
    });
    expect(Number(ssh?.['orig.raw.pktlen'])).toBeGreaterThan(600);
    expect(Number(ssh?.['reply.raw.pktlen'])).toBeGreaterThan(600);
    expect(Number(ssh?.['reply.raw.pktcount'])).toBeGreaterThan(2);
    expect(Number(ssh?.['flow.end.sec'])).toBeGreaterThanOrEqual(Number(ssh?.['flow.start.sec']));
    expect(ended.find((flow) => flow['orig.l4.dport'] === 443)).toMatchObject({
      src_ip: vm,
      dest_ip: outside,
      'reply.ip.saddr.str': outside,
      'reply.ip.daddr.str': floating,
    });
    expect(ended.find((flow) => flow['orig.l4.dport'] === 2222)).toMatchObject({
      dest_ip: gateway,
      'reply.ip.saddr.str': other,
      'reply.l4.sport': 22,
    });

    const dropped = lab.send(lab.outside, 'tcp', floating, 8080);
    const [line] = await daemon.lines('iptables.log', 1);
    const [packet] = await daemon.objects('packets.json', 1);
    dropped.kill('SIGKILL');
    // The prefix ends in a blank of its own, and one more parts it from what follows.
    expect(line).toMatch(
      new RegExp(
        `^${LINE}dbg: FORWARD  IN=qg-4f1c0d52-9a OUT=qr-9882c485-b8 MAC=[0-9a-f:]{41} SRC=${outside} DST=${vm} LEN=60 TOS=00 PREC=0x00 TTL=63 ID=\\d+ DF PROTO=TCP SPT=\\d+ DPT=8080 SEQ=\\d+ ACK=0 WINDOW=\\d+ SYN URGP=0 MARK=0x\\w+ $`,
      ),
    );
    expect(packet).toMatchObject({
      'oob.prefix': 'dbg: FORWARD ',
      'oob.in': 'qg-4f1c0d52-9a',
      'oob.out': 'qr-9882c485-b8',
      'oob.hook': 2,
      'ip.ttl': 63,
      'ip.protocol': 6,
      'tcp.syn': 1,
      dest_port: 8080,
      src_ip: outside,
      dest_ip: vm,
      'mac.saddr.str': expect.stringMatching(/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/),
    });
    expect(packet?.timestamp).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+0000$/);

    expect(await daemon.stop()).toBe(0);
    expect(daemon.log).not.toMatch(/<[78]>/);
    // Each event in every output of its stack: nothing lost, nothing twice.
    expect(daemon.folder.lines('iptables.log')).toHaveLength(daemon.folder.lines('packets.json').length);
    const written = (name: string) => Number(new RegExp(`${name}: (\\d+) written`).exec(daemon.log)?.[1]);
    expect(written('json1:JSON')).toBe(daemon.folder.lines('ulogd.json').length);
    expect(written('emu1:LOGEMU')).toBe(daemon.folder.lines('syslogemu.log').length);
  });
});
