// IPFIX: what collectors of the real ulogd and of flowlogd receive for the same connections.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { Lab, until } from '../../scripts/lab.js';
import { daemonOf, SIDES, type Side } from '../support/differential.ts';
import { type Decoded, decodeIpfix } from '../support/ipfix.ts';

const PLUGINS = ['inpflow_NFCT', 'output_IPFIX'];
const PORT: Readonly<Record<Side, number>> = { ref: 4739, our: 4740 };
// Appends what it receives to a file; of both transports that is whole messages, one behind the other.
const COLLECTOR = `
  const { appendFileSync, writeFileSync } = require('node:fs');
  const [proto, port, file] = process.argv.slice(1);
  const take = (bytes) => appendFileSync(file, bytes);
  const ready = () => writeFileSync(file, '');
  if (proto === 'udp') require('node:dgram').createSocket('udp4').on('message', take).bind(Number(port), '127.0.0.1', ready);
  else require('node:net').createServer((socket) => socket.on('data', take)).listen(Number(port), '127.0.0.1', ready);`;
const TEMPLATE = 4 + 4 + 10 * 4;
const RECORD = 33;

let lab: Lab;
let namespace = '';
beforeAll(() => {
  lab = new Lab();
  namespace = lab.namespace('fl-ipfix');
  lab.sh(
    `sysctl -qw net.netfilter.nf_conntrack_acct=1 net.netfilter.nf_conntrack_timestamp=1 net.netfilter.nf_conntrack_events=1
     iptables -A INPUT -m conntrack --ctstate NEW -j ACCEPT`,
    namespace,
  );
});
afterAll(() => lab?.close());
afterEach(() => lab.endProcesses());

/** Makes and ends connections, one after the other. */
function flows(ports: readonly number[], rest = '--state ESTABLISHED -t 600'): void {
  const tuple = (port: number) => `-p tcp -s 10.77.0.9 -d 10.77.0.1 --sport ${port} --dport 443`;
  lab.sh(
    ports.map((port) => `conntrack -I ${tuple(port)} ${rest} -m ${port}; conntrack -D ${tuple(port)}`).join('\n'),
    namespace,
  );
}

const whole = (file: string): Decoded => {
  const bytes = readFileSync(file);
  try {
    return decodeIpfix(bytes);
  } catch (error) {
    if ((error as Error).message.startsWith('half a message')) return { messages: [], records: [], announced: [] };
    throw error;
  }
};

test.each([
  ['tcp', 'once'],
  ['tcp', 'always'],
  ['udp', 'once'],
  ['udp', 'always'],
])('over %s with templates %s the collectors get the same messages', async (proto, when) => {
  const file: { [side: string]: string } = {};
  let pid: number | undefined;
  // ulogd last: it waits one second for its first records, and is not to wait for us.
  for (const side of SIDES.toReversed()) {
    const path = join(lab.directory, `${side}-${proto}-${when}`);
    file[side] = path;
    lab.start([process.execPath, '-e', COLLECTOR, proto, String(PORT[side]), path], namespace);
    await until(`the collector of ${side}`, () => existsSync(path));
    const plugins = PLUGINS.map((plugin) => `plugin="/usr/lib/x86_64-linux-gnu/ulogd/ulogd_${plugin}.so"`).join('\n');
    writeFileSync(
      `${path}.conf`,
      `[global]\nlogfile="${path}.log"\ncompat="ulogd-2.0.8"\n${plugins}\nstack=ct1:NFCT,ipfix1:IPFIX
[ct1]\nhash_enable=0\nevent_mask=4\naccept_proto_filter=tcp,icmp\naccept_dst_filter=10.77.0.0/24
[ipfix1]\noid=4711\nhost="127.0.0.1"\nport=${PORT[side]}\nproto="${proto}"\nmtu=300\nsend_template="${when}"\n`,
    );
    const daemon = lab.start([daemonOf(side), '-c', `${path}.conf`], namespace, { stdio: 'ignore' });
    pid ??= daemon.pid;
  }
  // Columns: socket, protocol (12 = NETLINK_NETFILTER), port id, groups: af_netlink.c, netlink_native_seq_show().
  const joined = () =>
    [...readFileSync(`/proc/${pid}/net/netlink`, 'latin1').matchAll(/^[0-9a-f]+ 12 +[1-9]\d* +(?!00000000)/gm)].length;
  await until('both daemons listen', () => joined() === 2);

  // ulogd sends what is there one second after its start, and from then on only what fills a message.
  lab.sh('conntrack -I -p icmp -s 10.77.0.9 -d 10.77.0.1 --icmp-type 8 --icmp-code 0 --icmp-id 5 -t 60; conntrack -D -p icmp', namespace); // biome-ignore format: one command
  const first = (side: Side) => readFileSync(file[side] as string);
  for (const side of SIDES) await until(`the first message of ${side}`, () => first(side).length > 0);
  const firstOf = (side: Side) => {
    const bytes = Buffer.from(first(side));
    bytes.fill(0, 4, 8); // the time at which it was sent
    return bytes.toString('hex');
  };
  expect(firstOf('our')).toBe(firstOf('ref'));
  expect(first('our')).toHaveLength(16 + TEMPLATE + 4 + RECORD);

  flows(Array.from({ length: 30 }, (_, i) => i + 1));
  const count = (side: Side) => whole(file[side] as string).records.length;
  await until('all records of ours', () => count('our') === 31);
  await until('full messages of ulogd', () => count('ref') > 20);
  const [ref, our] = SIDES.map((side) => whole(file[side] as string)) as [Decoded, Decoded];
  const shape = ({ records }: Decoded) => records.slice(0, ref.records.length).map(({ template, domain, fields }) => ({ template, domain, fields })); // biome-ignore format: one value
  expect(shape(our)).toEqual(shape(ref));
  for (const { messages, announced } of [ref, our]) {
    let total = 0;
    for (const { length, sequence, records } of messages) {
      total += records;
      expect(sequence).toBe(total); // its own records included
      expect(length).toBeLessThanOrEqual(300);
    }
    expect(announced).toHaveLength(when === 'always' ? messages.length : 1);
  }
});
