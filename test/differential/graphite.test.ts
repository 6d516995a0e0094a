// GRAPHITE: what a peer of the real ulogd and of flowlogd receives for the same counters, byte for byte.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { Lab, until } from '../../scripts/lab.js';
import { daemonOf, SIDES, type Side } from '../support/differential.ts';

const PLUGINS = ['inpflow_NFACCT', 'output_GRAPHITE'];
const COLLECTOR = `
  const { appendFileSync, writeFileSync } = require('node:fs');
  const [port, file] = process.argv.slice(1);
  const server = require('node:net').createServer((socket) => socket.on('data', (bytes) => appendFileSync(file, bytes)));
  server.listen({ port: Number(port), host: '127.0.0.1' }, () => writeFileSync(file, ''));`;
const PORT: Readonly<Record<Side, number>> = { ref: 2003, our: 2004 };

let lab: Lab;
let namespace = '';
beforeAll(() => {
  lab = new Lab();
  namespace = lab.namespace('fl-graphite');
  lab.sh(
    `nfacct add http; nfacct add 'a b.c;d=e'; nfacct add nothing
     for name in http 'a b.c;d=e'; do iptables -A OUTPUT -p icmp -m nfacct --nfacct-name "$name"; done
     ping -c 3 -i 0.01 -W 1 -s 100 127.0.0.1`,
    namespace,
  );
});
afterAll(() => lab?.close());
afterEach(() => lab.endProcesses());

test.each([
  ['a prefix', 'prefix="fw.edge"', ''],
  ['no prefix', '', ''],
  ['the time of the reading', 'prefix="fw"', 'timestamp=1'],
])('with %s the peers get the same bytes', async (name, output, input) => {
  const files: Record<string, string> = {};
  for (const side of SIDES) {
    const file = join(lab.directory, `${side} ${name}`);
    files[side] = file;
    lab.start([process.execPath, '-e', COLLECTOR, String(PORT[side]), file], namespace);
    await until(`the peer of ${side}`, () => existsSync(file));
    const plugins = PLUGINS.map((plugin) => `plugin="/usr/lib/x86_64-linux-gnu/ulogd/ulogd_${plugin}.so"`).join('\n');
    writeFileSync(
      `${file}.conf`,
      `[global]\nlogfile="${file}.log"\ncompat="ulogd-2.0.8"\n${plugins}\nstack=acct1:NFACCT,graphite1:GRAPHITE
[acct1]\npollinterval=1\nzerocounter=0\n${input}\n[graphite1]\nhost="127.0.0.1"\nport="${PORT[side]}"\n${output}\n`,
    );
    lab.start([daemonOf(side), '-c', `${file}.conf`], namespace, { stdio: 'ignore' });
  }
  const linesOf = (side: Side) => readFileSync(files[side] as string, 'latin1').split(/(?<=\n)/);
  // Each reads when it likes: the time is what differs.
  const reading = (side: Side) =>
    linesOf(side)
      .slice(0, 6)
      .map((line) => line.replace(/ \d{10}\n$/, ' TIME\n'));
  for (const side of SIDES) await until(`a reading of ${side}`, () => linesOf(side).length > 6);
  expect(reading('our')).toEqual(reading('ref'));
  expect(reading('our').filter((line) => line.includes('http.pkts 6 '))).toHaveLength(1);
});
