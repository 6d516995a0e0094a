// JSON over TCP, UDP and unix sockets: what peers of the real ulogd and of flowlogd receive, byte for byte.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { Lab, until } from '../../scripts/lab.js';
import { sendDatagrams } from '../support/daemon.ts';
import { daemonOf, GROUP, log, mask, SIDES, type Side } from '../support/differential.ts';

const PLUGINS = 'inppkt_NFLOG raw2packet_BASE filter_IFINDEX filter_IP2STR output_JSON';
const PACKETS = 50;
const PORT: Readonly<Record<Side, number>> = { ref: 12345, our: 12346 };

// Writes what it receives to a file as it is; of UDP, each datagram behind its length.
const COLLECTOR = `
  const { appendFileSync, writeFileSync } = require('node:fs');
  const [mode, where, file] = process.argv.slice(1);
  const ready = () => writeFileSync(file, '');
  if (mode === 'udp') {
    const socket = require('node:dgram').createSocket('udp4');
    socket.on('message', (bytes) => appendFileSync(file, bytes.length + ':' + bytes.toString('latin1'), 'latin1'));
    socket.bind(Number(where), '127.0.0.1', ready);
  } else {
    const server = require('node:net').createServer((socket) => socket.on('data', (bytes) => appendFileSync(file, bytes)));
    server.listen(mode === 'unix' ? where : { port: Number(where), host: '127.0.0.1' }, ready);
  }`;

let lab: Lab;
let namespace = '';
beforeAll(() => {
  lab = new Lab();
  namespace = lab.namespace('fl-json');
  lab.sh(
    `nft add table inet events
     nft 'add chain inet events out { type filter hook output priority 0; }'
     nft 'add rule inet events out udp dport 9 ${log('prefix "over the net: " queue-threshold 1')}'`,
    namespace,
  );
});
afterEach(() => lab.endProcesses());
afterAll(() => lab?.close());

function configuration(side: Side, mode: string, socket: string): string {
  return `[global]
logfile="${join(lab.directory, `${side}-${mode}.log`)}"
compat="ulogd-2.0.8"
${PLUGINS.split(' ')
  .map((name) => `plugin="/usr/lib/x86_64-linux-gnu/ulogd/ulogd_${name}.so"`)
  .join('\n')}
stack=log1:NFLOG,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,json1:JSON
[log1]
group=${GROUP[side]}
[json1]
mode="${mode}"
file="${socket}"
host="127.0.0.1"
port="${PORT[side]}"
sync=1
`;
}

test.each(['tcp', 'udp', 'unix'])('mode %s: the peers get the same bytes', async (mode) => {
  const sides = await Promise.all(
    SIDES.map(async (side) => {
      const file = join(lab.directory, `${side}-${mode}`);
      const socket = `${file}.socket`;
      const where = mode === 'unix' ? socket : String(PORT[side]);
      lab.start([process.execPath, '-e', COLLECTOR, mode, where, file], namespace);
      await until(`the peer of ${side}`, () => existsSync(file));
      writeFileSync(`${file}.conf`, configuration(side, mode, socket));
      const daemon = lab.start([daemonOf(side), '-c', `${file}.conf`], namespace, { stdio: 'ignore' });
      return { side, file, daemon };
    }),
  );
  const groups = () => readFileSync(`/proc/${sides[0]?.daemon.pid}/net/netfilter/nfnetlink_log`, 'latin1');
  const bound = (side: Side) => new RegExp(`^ *${GROUP[side]} +\\d+ +\\d+ +2 +65531 `, 'm').test(groups());
  await until('both to listen', () => bound('ref') && bound('our'));

  sendDatagrams(lab, namespace, PACKETS);
  const linesOf = (file: string) =>
    readFileSync(file, 'latin1')
      .split(/(?<=\n)/)
      .filter(Boolean);
  for (const { side, file } of sides) await until(`the lines of ${side}`, () => linesOf(file).length >= PACKETS);
  const [ref, our] = sides.map(({ side, file }) =>
    linesOf(file).map((line) => mask(line.replace(/^\d+:(?=\{)/, ''), side)),
  );
  expect(our).toEqual(ref);
  expect(our).toHaveLength(PACKETS);
  if (mode === 'udp') {
    for (const { file } of sides) {
      // Each datagram is one line, and says its own length.
      for (const line of linesOf(file)) expect(Number.parseInt(line, 10)).toBe(line.length - line.indexOf(':') - 1);
    }
  }
});
