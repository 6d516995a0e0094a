// SYSLOG and UNIXSOCK: what goes out to /dev/log, and what programs hand over.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Lab, until } from '../../scripts/lab.js';
import { daemonOf, GROUP, SIDES, type Side } from '../support/differential.ts';
import { ipv4, ipv6, tcp, udp } from '../support/packets.ts';

let lab: Lab;

beforeAll(() => {
  lab = new Lab();
});
afterAll(() => lab?.close());

const PLUGINS =
  'inppkt_NFLOG inppkt_UNIXSOCK raw2packet_BASE filter_IFINDEX filter_IP2STR filter_PRINTPKT output_SYSLOG output_GPRINT'.split(
    ' ',
  );
const head = (folder: string): string => `[global]
logfile="${folder}/log"
compat="ulogd-2.0.8"
${PLUGINS.map((plugin) => `plugin="/usr/lib/x86_64-linux-gnu/ulogd/ulogd_${plugin}.so"\n`).join('')}`;

/** A /dev of its own, in which python3 takes what is sent to /dev/log, a datagram a line. */
const LISTENER = `mount -t tmpfs tmpfs /dev
for node in 'null 3' 'zero 5' 'random 8' 'urandom 9'; do set -- $node; mknod -m 666 /dev/$1 c 1 $2; done
ln -s /proc/self/fd /dev/fd
python3 -c "
import socket
log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
log.bind('/dev/log')
while True: print(log.recv(9000), flush=True)
"`;

test('SYSLOG sends the same datagrams', async () => {
  const namespace = lab.namespace('fl-syslog');
  const groups = SIDES.map((side) => `log prefix "test" queue-threshold 1 group ${GROUP[side]}`).join(' ');
  lab.sh(
    `nft 'add table inet t; add chain inet t o { type filter hook output priority 0; }'
     nft 'add rule inet t o udp dport 9 ${groups}'`,
    namespace,
  );
  const outputs = ['', 'facility=LOG_LOCAL3\nlevel=LOG_WARNING', 'facility=LOG_USER\nlevel=LOG_DEBUG'];
  const stack = 'log1:NFLOG,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,print1:PRINTPKT';
  const commands = SIDES.map((side) => {
    const folder = join(lab.directory, `syslog-${side}`);
    mkdirSync(folder);
    const text = [
      head(folder),
      ...outputs.map((_, i) => `stack=${stack},sys${i}:SYSLOG`),
      `[log1]\ngroup=${GROUP[side]}`,
      ...outputs.map((options, i) => `[sys${i}]\n${options}`),
    ];
    writeFileSync(join(folder, 'conf'), `${text.join('\n')}\n`);
    return `${daemonOf(side)} -c ${folder}/conf &`;
  });
  const received = join(lab.directory, 'received');
  const script = `${LISTENER} > ${received} &\nwhile [ ! -S /dev/log ]; do sleep 0.02; done\n${commands.join('\n')}\nwait`;
  lab.start(['unshare', '-m', 'sh', '-c', script], namespace, { stdio: 'ignore' });
  const listening = () => lab.sh('cat /proc/net/netfilter/nfnetlink_log', namespace).trim().split('\n').length;
  await until('both daemons listen', () => listening() === 2);
  lab.sh(`bash -c 'echo hi > /dev/udp/127.0.0.1/9'`, namespace);
  const lines = () => (existsSync(received) ? readFileSync(received, 'utf8').split('\n').filter(Boolean) : []);
  await until('six datagrams', () => lines().length >= 6);
  const shown = lines().map((line) => line.replace(/\d\d:\d\d:\d\d/, 'TIME').replace(/\[\d+\]/, '[PID]'));
  const kinds = [...new Set(shown)].sort();
  expect(kinds.map((kind) => shown.filter((line) => line === kind).length)).toEqual([2, 2, 2]);
  expect(kinds.map((kind) => /<\d+>/.exec(kind)?.[0])).toEqual(['<156>', '<15>', '<29>']);
});

test('UNIXSOCK takes the same frames', async () => {
  const pad = (bytes: Buffer) => Buffer.concat([bytes, Buffer.alloc((8 - (bytes.length % 8)) % 8)]);
  const be32 = (...values: number[]) => Buffer.concat(values.map((value) => Buffer.from([value >>> 24, value >>> 16, value >>> 8, value]))); // biome-ignore format: one line
  const option = (id: number, value: Buffer) => Buffer.concat([be32(id, value.length), pad(value)]);
  const text = (id: number, value: string) => option(id, Buffer.from(`${value}\0`));
  const frame = (packet: Buffer, ...options: Buffer[]) => {
    const rest = Buffer.concat([pad(packet), ...options]);
    const sizes = Buffer.alloc(8);
    sizes.writeUInt16BE(rest.length + 8, 0);
    sizes.writeUInt16BE(packet.length, 6);
    return Buffer.concat([be32(0x41c90fd4), sizes, rest]);
  };
  const v4 = ipv4({}, tcp({}, Buffer.from('hello')));
  const frames = [
    frame(v4),
    frame(ipv6({}, udp({}, Buffer.from('hello'))), text(1, 'six')),
    frame(v4, text(1, 'all'), text(2, 'eth0'), text(3, 'eth1'), option(4, Buffer.from([0, 241, 83, 101])), text(200, 'alice'),
      option(201, Buffer.from([232, 3, 0, 0])), text(202, 'Linux'), text(203, '6.1'), text(204, '#1'), text(205, '/bin/ping')),
    frame(v4, text(1, 'last')),
  ]; // biome-ignore format: frames
  const read = (side: Side) => {
    const file = join(lab.directory, `unixsock-${side}`, 'out');
    return existsSync(file) ? readFileSync(file, 'latin1') : '';
  };
  for (const side of SIDES) {
    const folder = join(lab.directory, `unixsock-${side}`);
    const socket = join(folder, 'sock');
    mkdirSync(folder);
    writeFileSync(
      join(folder, 'conf'),
      `${head(folder)}stack=us1:UNIXSOCK,base1:BASE,gp1:GPRINT\n[us1]\nsocket_path="${socket}"\n[gp1]\nfile="${folder}/out"\nsync=1\n`,
    );
    lab.start([daemonOf(side), '-c', join(folder, 'conf')], undefined, { stdio: 'ignore' });
    await until(`${side} listens`, () => existsSync(socket));
    const client = connect(socket);
    client.write(Buffer.concat(frames));
    await until(`${side} has written`, () => read(side).split('\n').length > frames.length);
    client.destroy();
  }
  expect(read('our')).toBe(read('ref'));
  expect(read('our')).toContain('nufw.user.name=alice,');
});
