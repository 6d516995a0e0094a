// Peers that accept and never read or answer: each is said in one line and counted, and the other stacks go on.
import { once } from 'node:events';
import { join } from 'node:path';
import { afterAll, afterEach, expect, test } from 'vitest';
import { Lab, until } from '../../scripts/lab.js';
import { Daemon, killRest, logDatagrams, sendDatagrams } from '../support/daemon.ts';

const EVENTS = 20_000;
const lab = new Lab();
const namespace = lab.namespace('silent');
logDatagrams(lab, namespace, 5);
const stream = join(lab.directory, 'stream');
const datagrams = join(lab.directory, 'datagrams');

afterEach(killRest);
afterAll(() => lab.close());

const PEERS = `
import signal, socket
stream = socket.socket(socket.AF_UNIX); stream.bind('${stream}'); stream.listen()
datagrams = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); datagrams.bind('${datagrams}')
listeners = [socket.create_server(('127.0.0.1', port)) for port in (7001, 7002, 7003)]
print('listening', flush=True)
signal.pause()
`;
const LINES = 'log1:NFLOG,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,print1:PRINTPKT';
const server = (port: number) =>
  `host="127.0.0.1"\nport=${port}\ndb="ulogd"\nuser="ulogd"\npass="secret"\ntable="t"\nprocedure="INSERT"\nconnect_timeout=1`;
const PLACES: Readonly<Record<string, string>> = {
  'tcp1:JSON': 'mode="tcp"\nhost="127.0.0.1"\nport=7001',
  'unix1:JSON': `mode="unix"\nfile="${stream}"`,
  'sys1:SYSLOG': `socket="${datagrams}"`,
  'pg1:PGSQL': server(7002),
  'my1:MYSQL': server(7003),
};
const configuration = `[global]
${Object.keys(PLACES)
  .map((output) => `stack=${LINES},${output}\n`)
  .join('')}stack=${LINES},json1:JSON
[log1]
group=5
netlink_socket_buffer_size=16777216
netlink_socket_buffer_maxsize=33554432
[json1]
file="/out/packets.json"
${Object.entries(PLACES)
  .map(([output, options]) => `[${output.split(':')[0]}]\n${options}\nqueue_max=1M\nstop_timeout=1\n`)
  .join('')}`;

test('each is one line that names the output; what it does not take is counted, and the file has every event', async () => {
  const peers = lab.start(['python3', '-c', PEERS], namespace);
  await once(peers.stdout!, 'data');
  const daemon = await Daemon.start(lab, configuration, { namespace });
  const errors = () => daemon.log.split('\n').filter((line) => line.includes('<7>'));
  await until('the databases are found not to answer', () => errors().length === 2);
  sendDatagrams(lab, namespace, EVENTS);
  await daemon.lines('packets.json', EVENTS);
  await until('each peer is complained of', () => errors().length === 5);
  expect(await daemon.stop()).toBe(0);
  for (const output of Object.keys(PLACES)) {
    const [line, ...more] = errors().filter((error) => error.includes(` ${output}: `));
    expect(line).toMatch(/is connected and takes nothing|takes less than comes|no connection within 1 s/);
    expect(more).toEqual([]);
    const counts = new RegExp(`  ${output}: (.*)`)
      .exec(daemon.log)![1]!
      .match(/\d+(?= written| dropped)/g)!
      .map(Number);
    expect(counts.reduce((sum, count) => sum + count)).toBe(EVENTS);
    expect(counts.slice(1).reduce((sum, count) => sum + count)).toBeGreaterThan(1000);
  }
  expect(daemon.log).toContain(`json1:JSON: ${EVENTS} written`);
});
