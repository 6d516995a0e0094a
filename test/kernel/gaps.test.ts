// What the kernel dropped is told in every output's own stream, and the stream and what it tells are together all there was.
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, expect, test } from 'vitest';
import { Lab, until } from '../../scripts/lab.js';
import { Daemon, killRest, sendDatagrams } from '../support/daemon.ts';
import { compile } from '../support/program.ts';

const lab = new Lab();
const flood = compile('flood', lab.directory);
const namespace = lab.namespace('gaps');
lab.sh(
  `nft add table inet g
   nft 'add chain inet g out { type filter hook output priority 0; }'
   nft 'add rule inet g out meta l4proto udp counter log prefix "gaps" group 5 queue-threshold 1'`,
  namespace,
);
afterEach(killRest);
afterAll(() => lab.close());

const PACKETS = 'log1:NFLOG,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,mac2str1:HWHDR';
const SCHEMA = new URL('../../etc/sql/sqlite3/flowlogd.sql', import.meta.url).pathname;
/** Stands in for the system's log: prints each datagram as a line. */
const SYSLOGD =
  'import socket,sys\ns=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM)\ns.bind(sys.argv[1])\nwhile True: sys.stdout.buffer.write(s.recv(9999)+b"\\n"); sys.stdout.flush()';

const sqlite = (path: string, text: string): string =>
  execFileSync('sqlite3', ['-cmd', '.timeout 5000', path, text], { encoding: 'utf8' }).trim();

/** Runs all outputs over a loss; returns what each has as events and tells as lost, and what the rule counted. */
async function streamsOver(loss: { readonly global: string; readonly said: boolean }) {
  lab.sh('nft flush chain inet g out', namespace);
  lab.sh(`nft 'add rule inet g out meta l4proto udp counter log prefix "gaps" group 5 queue-threshold 1'`, namespace);
  const socket = join(lab.directory, `log-${Math.random()}`);
  const syslogd = lab.start(['python3', '-c', SYSLOGD, socket]);
  let syslog = '';
  syslogd.stdout?.on('data', (text) => {
    syslog += text;
  });
  await until('the system takes lines for its log', () => existsSync(socket));
  const database = `${socket}.db`;
  sqlite(database, `.read ${SCHEMA}`);
  const daemon = await Daemon.start(
    lab,
    `[global]
${loss.global}
stack=${PACKETS},json1:JSON
stack=${PACKETS},print1:PRINTPKT,emu1:LOGEMU
stack=${PACKETS},print1:PRINTPKT,sys1:SYSLOG
stack=${PACKETS},gp1:GPRINT
stack=${PACKETS},op1:OPRINT
stack=${PACKETS},xml1:XML
stack=${PACKETS},db1:SQLITE3
[log1]
group=5
netlink_socket_buffer_size=8192
netlink_socket_buffer_maxsize=8192
[json1]
file="/out/packets.json"
[emu1]
file="/out/packets.emu"
[sys1]
socket="${socket}"
[gp1]
file="/out/packets.gprint"
[op1]
file="/out/packets.oprint"
[xml1]
directory="/out/"
[db1]
db="${database}"
table="ulog_pkt"
`,
    { namespace },
  );
  sendDatagrams(lab, namespace, 3);
  daemon.signal('SIGSTOP');
  lab.sh(`${flood} 1000`, namespace);
  daemon.signal('SIGCONT');
  await daemon.logged('the kernel dropped packets');
  // What is lost before a packet that is read, its number tells.
  await until('a packet behind the loss is read', () => {
    if (daemon.folder.read('packets.json').includes('"dest_port": 99,')) return true;
    lab.sh(`bash -c 'echo x > /dev/udp/127.0.0.1/99'`, namespace);
    return false;
  });
  expect(await daemon.stop()).toBe(0);
  const counted = Number(/packets (\d+)/.exec(lab.sh('nft list chain inet g out', namespace))?.[1]);
  const [, received] = /log1:NFLOG: (\d+) events received/.exec(daemon.log) as RegExpExecArray;
  await until('the system has every line', () => syslog.split('gaps IN=').length - 1 === Number(received));
  if (loss.said) await until('the system has the gaps', () => / gap input=log1 /.test(syslog));
  syslogd.kill();
  const xml = readdirSync(daemon.folder.path).find((name) => name.endsWith('.xml')) as string;
  const stream = (text: string, event: string, gap: RegExp) => ({
    events: text.split(event).length - 1,
    lost: [...text.matchAll(gap)].reduce((sum, [, lost]) => sum + Number(lost), 0),
  });
  return {
    counted,
    daemon,
    streams: {
      json: stream(
        daemon.folder.read('packets.json'),
        '"oob.prefix": "gaps"',
        /"flowlogd.gap.lost": (\d+), "flowlogd.gap.exact": true/g,
      ),
      logemu: stream(
        daemon.folder.read('packets.emu'),
        'gaps IN=',
        / flowlogd: gap input=log1 .* lost=(\d+) exact=1 /g,
      ),
      syslog: stream(syslog, 'gaps IN=', /: gap input=log1 .* lost=(\d+) exact=1 /g),
      gprint: stream(daemon.folder.read('packets.gprint'), 'oob.prefix=gaps', /flowlogd\.gap\.lost=(\d+),/g),
      oprint: stream(daemon.folder.read('packets.oprint'), 'oob.prefix=gaps', /^flowlogd\.gap\.lost=(\d+)$/gm),
      xml: stream(readFileSync(daemon.folder.file(xml), 'utf8'), '<log>', /<!-- flowlogd: gap .* lost=(\d+) exact=1 /g),
      sqlite: {
        events: Number(sqlite(database, 'SELECT count(*) FROM ulog_pkt')),
        lost: Number(sqlite(database, 'SELECT coalesce(sum(lost), 0) FROM flowlogd_gap WHERE exact')),
      },
    },
  };
}

test('every output has all events that were read, and tells of all that were not, exactly', async () => {
  const { counted, daemon, streams } = await streamsOver({ global: '', said: true });
  const { events, lost } = streams.json;
  expect(lost).toBeGreaterThan(0);
  expect(events + lost).toBe(counted);
  for (const [name, stream] of Object.entries(streams)) expect(stream, name).toEqual({ events, lost });
  const gap = daemon.folder.objects('packets.json').find((line) => line['flowlogd.event'] === 'gap');
  expect(gap).toMatchObject({ 'flowlogd.input': 'log1', 'flowlogd.gap.cause': 'socket overrun' });
  const [from, to] = ['from', 'to'].map((end) => Date.parse(String(gap?.[`flowlogd.gap.${end}`]))) as [number, number];
  expect(from).toBeLessThanOrEqual(to);
  expect(Date.now() - from).toBeLessThan(600_000);
});

test.each(['gap_records=0', 'compat="ulogd-2.0.8"'])(
  '%s: no output has a line for it, and it is counted all the same',
  async (global) => {
    const { counted, daemon, streams } = await streamsOver({ global, said: false });
    for (const [name, { lost }] of Object.entries(streams)) expect([name, lost]).toEqual([name, 0]);
    for (const name of readdirSync(daemon.folder.path).filter((one) => /^packets|xml$/.test(one)))
      expect(daemon.folder.read(name), name).not.toContain('flowlogd');
    const [, lost] = /log1:NFLOG: \d+ events received.* (\d+) lost/.exec(daemon.log) as RegExpExecArray;
    expect(streams.json.events + Number(lost)).toBe(counted);
  },
);
