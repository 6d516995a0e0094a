// IPFIX of real connections, read by nfdump's nfcapd, by libfixbuf's ipfixDump and by tshark; collectors that die and come back.
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { Lab, until } from '../../scripts/lab.js';
import { Daemon, killRest } from '../support/daemon.ts';
import { decodeIpfix } from '../support/ipfix.ts';

const COLLECTOR = fileURLToPath(new URL('../support/ipfix-collector.js', import.meta.url));
const PORT = 4739;

let lab: Lab;
let namespace = '';
beforeAll(() => {
  lab = new Lab();
  namespace = lab.namespace('fl-ipfix');
  lab.sh(
    `ip addr add fd00::1/128 dev lo; ip addr add fd00::9/128 dev lo
     sysctl -qw net.netfilter.nf_conntrack_acct=1 net.netfilter.nf_conntrack_timestamp=1 net.netfilter.nf_conntrack_events=1
     for chain in OUTPUT PREROUTING; do for proto in tcp udp; do for end in d s; do
       iptables -t raw -A $chain -p $proto --\${end}port ${PORT} -j NOTRACK
     done; done; done
     iptables -t nat -A OUTPUT -d 127.0.0.9 -p udp --dport 53 -j DNAT --to 127.0.0.1:5353
     ip6tables -t nat -A OUTPUT -d fd00::9 -p udp --dport 53 -j DNAT --to [fd00::1]:5353`,
    namespace,
  );
});
afterEach(async () => {
  await killRest();
  await lab.endProcesses();
  lab.sh('conntrack -F', namespace);
});
afterAll(() => lab?.close());

function folderOf(name: string): string {
  const path = join(lab.directory, name);
  mkdirSync(path, { mode: 0o777 });
  return path;
}

function start(command: string[]): ReturnType<Lab['start']> {
  return lab.start(command, namespace, { stdio: ['ignore', 'pipe', 'ignore'] });
}

async function collect(proto: string, folder: string): Promise<ReturnType<Lab['start']>> {
  const child = start([process.execPath, COLLECTOR, proto, String(PORT), folder]);
  await once(child.stdout as NodeJS.ReadableStream, 'data');
  return child;
}

async function kill(child: ReturnType<Lab['start']>): Promise<void> {
  child.kill('SIGKILL');
  await until('its end', () => child.signalCode !== null || child.exitCode !== null);
}

const daemonOn = (proto: string, more = '', input = '') =>
  Daemon.start(
    lab,
    `[global]
stack=ct1:NFCT,ipfix1:IPFIX
[ct1]
${input}
[ipfix1]
oid=77
host="127.0.0.1"
port=${PORT}
proto="${proto}"
reconnect=1
${more}
`,
    { namespace },
  );

/** What a collector has got over a connection; half a message at the end is what its death has cut off. */
function streams(folder: string) {
  return readdirSync(folder)
    .sort()
    .map((name) => {
      const bytes = readFileSync(join(folder, name));
      let end = 0;
      while (end + 4 <= bytes.length && end + bytes.readUInt16BE(end + 2) <= bytes.length)
        end += bytes.readUInt16BE(end + 2);
      return decodeIpfix(bytes.subarray(0, end));
    });
}

/** Five connections of all kinds, and their end. */
function traffic(): void {
  lab.sh(
    `ping -c 1 -W 1 127.0.0.1 >&2; ping -c 1 -W 1 fd00::1 >&2
     bash -c 'echo hi > /dev/udp/127.0.0.9/53; echo hello > /dev/udp/fd00::9/53; (echo > /dev/tcp/127.0.0.1/81) 2>&-; true'
     conntrack -F 2>&1`,
    namespace,
  );
}

interface Seen {
  readonly [field: string]: unknown;
}
/** By the protocol and family that each of the five has alone. */
const pick = (flows: readonly Seen[], protocol: string, source: string) => {
  const found = flows.filter((flow) => String(flow[protocol]) !== 'undefined' && source in flow);
  return (number: number) => found.find((flow) => Number(flow[protocol]) === number);
};

/** Every flow in what tshark makes of a capture: objects with an address, however deep. */
function flowsOf(value: unknown): Seen[] {
  if (typeof value !== 'object' || value === null) return [];
  if ('cflow.srcaddr' in value || 'cflow.srcaddrv6' in value) return [value as Seen];
  return Object.values(value).flatMap(flowsOf);
}

function checkWithTshark(capture: string, proto: string): void {
  const text = execFileSync(
    'tshark',
    ['-r', capture, '-d', `${proto}.port==${PORT},cflow`, '-T', 'json', '--no-duplicate-keys'],
    { encoding: 'utf8', maxBuffer: 64 << 20, stdio: ['ignore', 'pipe', 'ignore'] },
  );
  expect(text).not.toMatch(/malformed|"cflow\.unknown/i);
  const flows = flowsOf(JSON.parse(text));
  const [four, six] = [
    pick(flows, 'cflow.protocol', 'cflow.srcaddr'),
    pick(flows, 'cflow.protocol', 'cflow.srcaddrv6'),
  ];
  expect(flows).toHaveLength(5);
  expect(four(1)).toMatchObject({ 'cflow.icmp_type_code_ipv4': '0x0800', 'cflow.permanent_octets': ['84', '84'] });
  expect(four(6)).toMatchObject({
    'cflow.dstport': '81',
    'cflow.permanent_octets': ['60', '40'],
    'cflow.permanent_packets': ['1', '1'],
    'cflow.flow_end_reason': '3',
    'cflow.firewall_event': '2',
  });
  expect(four(17)).toMatchObject({
    'cflow.srcaddr': '127.0.0.1',
    'cflow.dstaddr': '127.0.0.9',
    'cflow.dstport': '53',
    'cflow.post_natsource_ipv4_address': '127.0.0.1',
    'cflow.post_natdestination_ipv4_address': '127.0.0.1',
    'cflow.post_naptdestination_transport_port': '5353',
    'cflow.nat_event': '5',
    'cflow.flow_end_reason': '4',
  });
  expect(six(17)).toMatchObject({
    'cflow.dstaddrv6': 'fd00::9',
    'cflow.post_nat_destination_ipv6_address': 'fd00::1',
    'cflow.post_naptdestination_transport_port': '5353',
    'cflow.permanent_octets': ['54', '0'],
  });
  expect(six(58)).toMatchObject({ 'cflow.icmp_ipv6_type': '128', 'cflow.permanent_octets': ['104', '104'] });
}

async function capture(proto: string, during: () => Promise<void>): Promise<string> {
  const file = join(lab.directory, `${proto}.pcap`);
  const tcpdump = start(['tcpdump', '-i', 'lo', '-U', '-s', '0', '-Z', 'root', '-w', file, `${proto} port ${PORT}`]);
  await until('tcpdump', () => existsSync(file) && readFileSync(file).length >= 24);
  await during();
  const records = () => {
    try {
      const flags = ['-r', file, '-d', `${proto}.port==${PORT},cflow`, '-T', 'fields', '-e', 'cflow.flow_id'];
      return execFileSync('tshark', flags, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).match(/\d+/g);
    } catch {
      return []; // half a packet in the file
    }
  };
  await until('tcpdump to have written', () => (records()?.length ?? 0) >= 5);
  tcpdump.kill('SIGTERM');
  return file;
}

test('nfcapd and tshark read every field of what comes over UDP', async () => {
  const folder = folderOf('nfcapd');
  const file = await capture('udp', async () => {
    const nfcapd = start(['nfcapd', '-w', folder, '-p', String(PORT), '-b', '127.0.0.1']);
    const queue = () =>
      new RegExp(`^ *\\d+: 0100007F:${PORT.toString(16).toUpperCase()} .* \\d\\d [0-9A-F]{8}:([0-9A-F]{8}) `, 'm').exec(
        lab.sh('cat /proc/net/udp', namespace),
      )?.[1];
    await until('nfcapd listens', queue);
    const daemon = await daemonOn('udp');
    traffic();
    expect(await daemon.stop()).toBe(0);
    expect(daemon.log).toContain('ipfix1:IPFIX: 5 written');
    await until('nfcapd has read all', () => queue() === '00000000');
    nfcapd.kill('SIGTERM');
    await until('the end of nfcapd', () => nfcapd.exitCode !== null);
  });
  const flows = JSON.parse(
    execFileSync('nfdump', ['-R', folder, '-o', 'json'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }),
  ) as Seen[];
  expect(flows).toHaveLength(5);
  const [four, six] = [pick(flows, 'proto', 'src4_addr'), pick(flows, 'proto', 'src6_addr')];
  const once = { in_packets: 1, out_packets: 1 };
  expect(four(1)).toMatchObject({ ...once, icmp_type: 8, icmp_code: 0, in_bytes: 84, out_bytes: 84 });
  expect(four(6)).toMatchObject({ ...once, src4_addr: '127.0.0.1', dst_port: 81, in_bytes: 60, out_bytes: 40 });
  expect(four(17)).toMatchObject({ dst4_addr: '127.0.0.9', dst_port: 53, in_bytes: 31, in_packets: 1 });
  expect(four(17)).toMatchObject({ dst4_xlt_ip: '127.0.0.1', dst_xlt_port: '5353' });
  expect(six(17)).toMatchObject({ src6_addr: 'fd00::9', dst6_addr: 'fd00::9', in_bytes: 54 });
  // nfdump 1.7.1 keeps the ports of NAT, and of its IPv6 addresses nothing.
  expect(six(17)).toMatchObject({ dst_xlt_port: '5353' });
  expect(six(58)).toMatchObject({ ...once, icmp_type: 128, icmp_code: 0, in_bytes: 104, out_bytes: 104 });
  for (const { first, last } of flows) {
    expect(Date.parse(`${last}Z`) - Date.parse(`${first}Z`)).toBeGreaterThanOrEqual(0);
    expect(Math.abs(Date.now() - Date.parse(`${first}Z`))).toBeLessThan(600_000);
  }
  checkWithTshark(file, 'udp');
});

test('ipfixDump and tshark read every field of what comes over TCP', async () => {
  const folder = folderOf('tcp');
  const file = await capture('tcp', async () => {
    await collect('tcp', folder);
    const daemon = await daemonOn('tcp');
    traffic();
    expect(await daemon.stop()).toBe(0);
    expect(daemon.log).toContain('ipfix1:IPFIX: 5 written');
  });
  const text = execFileSync('ipfixDump', ['--data', '--in', join(folder, '000')], { encoding: 'utf8' });
  const records = text.split('--- data record').slice(1);
  expect(records).toHaveLength(5);
  const fields = (record: string | undefined) =>
    Object.fromEntries([...(record ?? '').matchAll(/\)\s+(\w+) : (.*)$/gm)].map(([, name, value]) => [name, value]));
  const of = (...words: string[]) => fields(records.find((record) => words.every((word) => record.includes(word))));
  expect(of('protocolIdentifier : 17', 'sourceIPv4Address')).toMatchObject({
    destinationIPv4Address: '127.0.0.9',
    destinationTransportPort: '53',
    postNATDestinationIPv4Address: '127.0.0.1',
    postNAPTDestinationTransportPort: '5353',
    natEvent: '5',
    firewallEvent: '2',
    flowEndReason: '4',
    octetTotalCount: '31',
    packetTotalCount: '1',
    reverseOctetTotalCount: '0',
  });
  expect(of('sourceIPv6Address : fd00::0009', 'protocolIdentifier : 17')).toMatchObject({
    postNATDestinationIPv6Address: 'fd00::0001',
    octetTotalCount: '54',
  });
  expect(of('protocolIdentifier : 6')).toMatchObject({
    octetTotalCount: '60',
    reverseOctetTotalCount: '40',
    reversePacketTotalCount: '1',
    flowEndReason: '3',
  });
  expect(of('icmpTypeCodeIPv4')).toMatchObject({ icmpTypeCodeIPv4: '2048', octetTotalCount: '84' });
  expect(of('icmpTypeCodeIPv6')).toMatchObject({ icmpTypeCodeIPv6: '32768', octetTotalCount: '104' });
  for (const record of records) {
    const { flowStartMilliseconds, flowEndMilliseconds } = fields(record);
    expect(Date.parse(`${flowStartMilliseconds}Z`)).toBeLessThanOrEqual(Date.parse(`${flowEndMilliseconds}Z`));
  }
  checkWithTshark(file, 'tcp');
});

test('flowEndReason is what the kernel tells of each end, and is left out where it tells nothing', async () => {
  const folder = folderOf('ends');
  await collect('tcp', folder);
  const daemon = await daemonOn('tcp', '', 'hash_enable=0\nevent_mask=4');
  lab.sh(
    `ip link add fl-end type veth peer name fl-end-peer; ip link set fl-end up; ip link set fl-end-peer up
     ip addr add 10.78.0.1/24 dev fl-end; ip neigh add 10.78.0.2 lladdr 02:00:00:00:00:02 dev fl-end
     iptables -t nat -A POSTROUTING -o fl-end -j MASQUERADE
     sysctl -qw net.netfilter.nf_conntrack_tcp_timeout_time_wait=1 net.netfilter.nf_conntrack_tcp_timeout_close=1 net.netfilter.nf_conntrack_udp_timeout=1
     ${process.execPath} -e "
       const net = require('node:net');
       const server = net.createServer((socket) => socket.end()).listen(8001, '127.0.0.1', () =>
         net.connect(8001, '127.0.0.1').resume().on('close', () => server.close()));"
     bash -c '(echo > /dev/tcp/127.0.0.1/8002) 2>&-; echo hi > /dev/udp/127.0.0.1/8003; true'
     conntrack -I -p tcp -s 10.77.0.9 -d 10.77.0.1 --sport 1 --dport 8004 --state ESTABLISHED -t 1
     conntrack -I -p tcp -s 10.77.0.9 -d 10.77.0.1 --sport 1 --dport 8005 --state ESTABLISHED -t 600
     conntrack -D -p tcp --orig-port-dst 8005
     sysctl -qw net.netfilter.nf_conntrack_udp_timeout=600
     bash -c 'echo hi > /dev/udp/10.78.0.2/8006'
     conntrack -L -p udp --orig-port-dst 8006 2>&1
     ip link set fl-end down`,
    namespace,
  );
  const reasons = () =>
    Object.fromEntries(
      streams(folder).flatMap(({ records }) =>
        records.flatMap(({ fields }) => {
          const port = Number.parseInt(fields[11] ?? '', 16);
          return port > 8000 && port < 8100 ? [[port, fields[136]]] : [];
        }),
      ),
    );
  await until('all ends', () => {
    lab.sh('conntrack -L 2>&1', namespace); // which ends what has had its time
    return Object.keys(reasons()).length === 6;
  });
  const [idle, ended, forced] = ['01', '03', '04'];
  expect(reasons()).toEqual({ 8001: ended, 8002: ended, 8003: idle, 8004: idle, 8005: forced, 8006: undefined });
  expect(await daemon.stop()).toBe(0);
});

/** Makes and ends TCP connections from these ports, one after the other. */
function flows(first: number, count: number): void {
  lab.sh(
    `for port in $(seq ${first} ${first + count - 1}); do
       echo "-I -p tcp -s 10.77.0.9 -d 10.77.0.1 --sport $port --dport 443 --state ESTABLISHED -t 600"
       echo "-D -p tcp -s 10.77.0.9 -d 10.77.0.1 --sport $port --dport 443"
     done > ${lab.directory}/many; conntrack -R ${lab.directory}/many`,
    namespace,
  );
}
const sourcePort = (fields: { readonly [element: string]: string }) => Number.parseInt(fields[7] as string, 16);

test('a collector that dies over TCP misses nothing: templates go first, and a record sent again has its old number', async () => {
  const folder = folderOf('killed');
  let collector = await collect('tcp', folder);
  const daemon = await daemonOn('tcp', '', 'hash_enable=0\nevent_mask=4');
  const got = () => new Set(streams(folder).flatMap(({ records }) => records.map(({ fields }) => sourcePort(fields))));
  flows(1, 200);
  await until('the first connections', () => got().size >= 200);
  flows(201, 200);
  await kill(collector);
  flows(401, 200);
  collector = await collect('tcp', folder);
  flows(601, 200);
  await until('all connections', () => got().size >= 800);
  expect(await daemon.stop()).toBe(0);
  expect(daemon.log).toContain('ipfix1:IPFIX: 800 written');

  const lives = streams(folder);
  expect(lives.length).toBeGreaterThan(1);
  const numbers = new Map<number, number>();
  for (const { messages, records } of lives) {
    let at = 0;
    for (const { sequence, records: count } of messages) {
      for (let i = 0; i < count; i++) {
        const port = sourcePort(records[at++]?.fields ?? {});
        expect(numbers.get(sequence + i) ?? port).toBe(port);
        numbers.set(sequence + i, port);
      }
    }
  }
  expect([...numbers.keys()].sort((a, b) => a - b)).toEqual(Array.from({ length: 800 }, (_, i) => i));
});

test('over UDP templates go again after a while and to a collector that comes back, and no number is left out', async () => {
  const folder = folderOf('udp');
  let collector = await collect('udp', folder);
  const daemon = await daemonOn('udp', 'template_interval=1', 'hash_enable=0\nevent_mask=4');
  let made = 0;
  const refreshed = () => (streams(folder)[0]?.announced.filter((id) => id === 264).length ?? 0) > 1;
  await until('templates to come again', () => {
    flows(++made, 1);
    return refreshed();
  });
  await until('all connections', () => streams(folder)[0]?.records.length === made);
  const [{ messages }] = streams(folder) as [ReturnType<typeof decodeIpfix>];
  let next = 0;
  for (const { sequence, records } of messages) {
    expect(sequence).toBe(next);
    next += records;
  }
  await kill(collector);
  collector = await collect('udp', folder);
  // What comes before the next announcement, a collector that forgot cannot read: nobody told us that it was away.
  const readable = () => {
    const bytes = readFileSync(join(folder, '001'));
    for (let at = 0; at < bytes.length; at += bytes.readUInt16BE(at + 2))
      if (bytes.readUInt16BE(at + 16) === 2) return decodeIpfix(bytes.subarray(at)).records.length > 0;
    return false;
  };
  await until('records that it can read', () => {
    flows(++made, 1);
    return existsSync(join(folder, '001')) && readable();
  });
  expect(await daemon.stop()).toBe(0);
});
