// What comes from packets, rules and interfaces can neither begin a line of its own nor speak to a terminal, in any output.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { Lab, until } from '../../scripts/lab.js';
import { Daemon, killRest } from '../support/daemon.ts';

let lab: Lab;
let router: string;
let host: string;

/** Line ends, escape sequences, C1 controls, DEL, bytes that are no UTF-8, a line separator, markup, quotes of SQL and JSON. */
const HOSTILE = `a\\nb\\r\\x1b[2J\\x9b\\xc2\\x9b\\x7f\\xff\\xe2\\x80\\xa8<b>&'; DROP--\\\\{`;
/** Interface names may hold no blank, no slash and no colon; all else the kernel takes. */
const DEVICE = `e\\x1b[1m\\x9b\\x7f\\xff`;

beforeAll(() => {
  lab = new Lab();
  router = lab.namespace('fl-hostile');
  host = lab.namespace('fl-host');
  lab.sh(`bash -c "ip link add \\$'${DEVICE}' type veth peer name v netns ${host}"`, router);
  lab.sh(`bash -c "ip addr add 10.9.0.1/24 dev \\$'${DEVICE}'; ip link set \\$'${DEVICE}' up"`, router);
  lab.sh('ip addr add 10.9.0.2/24 dev v; ip link set v up; ip link set lo up', host);
  lab.sh(
    `nft add table inet t
     nft 'add chain inet t c { type filter hook input priority 0; }'
     nft 'add rule inet t c udp dport 9 log prefix "harmless" group 5 queue-threshold 1'
     bash -c "nft \\$'add rule inet t c udp dport 10 log prefix \\"${HOSTILE.replaceAll("'", "\\'")}\\" group 5 queue-threshold 1'"
     nft 'add rule inet t c tcp dport 21 log prefix "sniffed" group 6 queue-threshold 1'`,
    router,
  );
});
afterEach(killRest);
afterAll(() => lab?.close());

/** Prints each datagram, and `--` behind it. */
const SYSLOGD =
  'import socket,sys\ns=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM)\ns.bind(sys.argv[1])\nwhile True: sys.stdout.buffer.write(s.recv(9999)+b"\\n--\\n"); sys.stdout.flush()';

/** Every byte that a terminal or a reader of lines would obey; text must be UTF-8. */
function controls(bytes: Buffer): string[] {
  const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  return [...text.matchAll(/[\0-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]/g)].map(([found]) => JSON.stringify(found));
}

const send = (port: number) => lab.sh(`bash -c 'echo x > /dev/udp/10.9.0.1/${port}'`, host);
const linesOf = (bytes: Buffer) => bytes.filter((byte) => byte === 0x0a).length;

test('a rule’s prefix and the name of an interface reach no output as they are', async () => {
  const log = join(lab.directory, 'log');
  const syslog = lab.start(['python3', '-c', SYSLOGD, log]);
  const lines: Buffer[] = [];
  syslog.stdout?.on('data', (bytes) => lines.push(bytes));
  await until('the system takes lines for its log', () => existsSync(log));
  const socketPath = join(lab.directory, 'stream');
  const streamed: Buffer[] = [];
  const server = createServer((socket) => socket.on('data', (bytes) => streamed.push(bytes)));
  await new Promise<void>((done) => server.listen(socketPath, done));
  const packets = 'log1:NFLOG,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,mac2str1:HWHDR';
  const daemon = await Daemon.start(
    lab,
    `[global]
stack=${packets},json1:JSON
stack=${packets},json2:JSON
stack=${packets},print1:PRINTPKT,emu1:LOGEMU
stack=${packets},print1:PRINTPKT,sys1:SYSLOG
stack=${packets},gp1:GPRINT
stack=${packets},op1:OPRINT
stack=${packets},xml1:XML
[log1]
group=5
[json1]
file="/out/packets.json"
[json2]
mode=unix
file="${socketPath}"
[emu1]
file="/out/packets.emu"
[sys1]
socket="${log}"
[gp1]
file="/out/packets.gprint"
[op1]
file="/out/packets.oprint"
[xml1]
directory="/out/"
`,
    { namespace: router },
  );
  const files = () => readdirSync(daemon.folder.path).filter((name) => !/conf$|daemon\.log$|sock$/.test(name));
  const counts = () =>
    Object.fromEntries(files().map((name) => [name, linesOf(readFileSync(daemon.folder.file(name)))]));
  expect(files()).toHaveLength(5);
  send(9);
  await daemon.lines('packets.emu', 1);
  const before = counts();
  send(10);
  await daemon.lines('packets.emu', 2);
  await until('syslog has both', () => Buffer.concat(lines).toString().split('\n--\n').length === 3);
  await until('the stream has both', () => linesOf(Buffer.concat(streamed)) === 2);
  // XML ends with a line of its own; OPRINT has its lines for each event.
  const after = counts();
  expect(await daemon.stop()).toBe(0);
  server.close();

  for (const name of files()) {
    const bytes = readFileSync(daemon.folder.file(name));
    expect(controls(bytes), name).toEqual([]);
    // What is hostile has come through, in whatever form.
    expect(bytes.toString(), name).toContain('DROP');
  }
  expect(controls(Buffer.concat(streamed))).toEqual([]);
  // rsyslogd would make the line end of ulogd's lines a #012: one is there, at the end.
  const logged = Buffer.concat(lines).toString().split('\n--\n').filter(Boolean);
  expect(logged).toHaveLength(2);
  for (const line of logged) expect(controls(Buffer.from(line.trimEnd()))).toEqual([]);
  const xml = files().find((name) => name.endsWith('.xml')) as string;
  for (const [name, count] of Object.entries(after)) {
    if (name !== xml) expect([name, count]).toEqual([name, 2 * (before[name] as number)]);
  }
  lab.sh(`xmllint --noout ${daemon.folder.file(xml)}`);
  const [harmless, hostile] = daemon.folder.objects('packets.json');
  expect(harmless?.['oob.prefix']).toBe('harmless');
  expect(hostile?.['oob.prefix']).toContain('a\nb\r\u001b[2J');
});

test('names and passwords out of packets reach no output as they are', async () => {
  const daemon = await Daemon.start(
    lab,
    `[global]
stack=log1:NFLOG,base1:BASE,pwsniff1:PWSNIFF,gp1:GPRINT
stack=log1:NFLOG,base1:BASE,pwsniff1:PWSNIFF,op1:OPRINT
stack=log1:NFLOG,base1:BASE,pwsniff1:PWSNIFF,json1:JSON
[log1]
group=6
[gp1]
file="/out/sniffed.gprint"
[op1]
file="/out/sniffed.oprint"
[json1]
file="/out/sniffed.json"
`,
    { namespace: router },
  );
  const server = lab.start(
    [
      'python3',
      '-c',
      'import socket; s=socket.create_server(("10.9.0.1", 21)); print(flush=True); c=s.accept()[0]\nwhile c.recv(999): pass',
    ],
    router,
  );
  await new Promise((done) => server.stdout?.once('data', done));
  lab.sh(`bash -c 'printf "USER me\\x1b[2J\\x9b\\xff\\x0b\\rx\\r\\n" > /dev/tcp/10.9.0.1/21'`, host);
  await daemon.lines('sniffed.json', 1);
  expect(await daemon.stop()).toBe(0);
  for (const name of ['sniffed.gprint', 'sniffed.oprint', 'sniffed.json']) {
    const bytes = readFileSync(daemon.folder.file(name));
    expect(bytes.toString(), name).toContain('me');
    expect(controls(bytes), name).toEqual([]);
  }
  expect(daemon.folder.lines('sniffed.gprint')).toHaveLength(1);
});

test('names of counters reach no output as they are', async () => {
  lab.sh(`bash -c "nfacct add \\$'n\\nm\\x1b[1m\\x9b\\xff \\x0bo'"`, router);
  const daemon = await Daemon.start(
    lab,
    `[global]
stack=acct1:NFACCT,gp1:GPRINT
stack=acct1:NFACCT,graph1:GRAPHITE
stack=acct1:NFACCT,xml1:XML
[acct1]
pollinterval=3600
timestamp=1
[gp1]
file="/out/sums.gprint"
[graph1]
host="127.0.0.1"
port="1"
[xml1]
directory="/out/"
`,
    { namespace: router },
  );
  daemon.signal('SIGUSR2');
  await daemon.lines('sums.gprint', 1);
  expect(await daemon.stop()).toBe(0);
  const [gprint = '', ...more] = daemon.folder.lines('sums.gprint');
  expect(more).toEqual([]);
  expect(gprint).toMatch(/^sum\.name=n.*m.*o,sum\.pkts=0,/);
  for (const name of readdirSync(daemon.folder.path).filter((one) => /gprint|xml/.test(one))) {
    expect(controls(readFileSync(daemon.folder.file(name))), name).toEqual([]);
  }
});
