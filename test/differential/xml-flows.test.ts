// XML of connections that no event told: those that a poll no longer shows, and those that SIGUSR2 shows.
import type { ChildProcess } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Lab, until } from '../../scripts/lab.js';
import { daemonOf, SIDES, type Side } from '../support/differential.ts';

const CONNECTIONS = [
  '-p udp -s 192.0.2.1 -d 198.51.100.1 --sport 1001 --dport 53 --mark 7',
  '-p udp -s 192.0.2.2 -d 198.51.100.1 --sport 1002 --dport 53 --zone 5 --status ASSURED,SEEN_REPLY',
  '-p tcp -s 2001:db8::1 -d 2001:db8::2 --sport 1003 --dport 80 --state ESTABLISHED --mark 4294967295',
  '-p sctp -s 192.0.2.4 -d 198.51.100.1 --orig-port-src 1004 --orig-port-dst 3868 --state ESTABLISHED --orig-vtag 1 --reply-vtag 2',
  '-p gre -s 192.0.2.5 -d 198.51.100.1 --srckey 0x11 --dstkey 0x12',
  '-p icmp -s 192.0.2.6 -d 198.51.100.1 --icmp-type 8 --icmp-code 0 --icmp-id 77',
  '-p 99 -s 192.0.2.7 -d 198.51.100.1',
  '-p dccp -s 192.0.2.8 -d 198.51.100.1 --sport 1008 --dport 5001 --state REQUEST --role client',
  '-p udp -s 192.0.2.9 -d 198.51.100.1 --sport 1009 --dport 53 --orig-zone 8',
  '-p udp -s 192.0.2.10 -d 198.51.100.1 --sport 1010 --dport 53 --reply-zone 9',
];
const MARKER = /<sport>65001<\/sport>/;

let lab: Lab;
let namespace: string;
let daemons: ChildProcess[];

beforeEach(() => {
  lab = new Lab();
  namespace = lab.namespace('fl-xml-flows');
  lab.sh(
    'sysctl -qw net.netfilter.nf_conntrack_acct=1 net.netfilter.nf_conntrack_timestamp=1 net.netfilter.nf_conntrack_events=1',
    namespace,
  );
});
afterEach(() => lab.close());

const conntrack = (line: string) => lab.sh(`conntrack ${line} 2>&1`, namespace);

function start(options: string): void {
  daemons = SIDES.map((side) => {
    const folder = join(lab.directory, side);
    mkdirSync(folder);
    const plugins = ['inpflow_NFCT', 'output_XML'].map(
      (name) => `plugin="/usr/lib/x86_64-linux-gnu/ulogd/ulogd_${name}.so"\n`,
    );
    writeFileSync(
      join(lab.directory, `${side}.conf`),
      `[global]\nlogfile="${lab.directory}/${side}.log"\ncompat="ulogd-2.0.8"\n${plugins.join('')}stack=ct1:NFCT,xml1:XML\n` +
        `[ct1]\n${options}\n[xml1]\ndirectory="${folder}/"\nsync=1\n`,
    );
    return lab.start([daemonOf(side), '-c', join(lab.directory, `${side}.conf`)], namespace, { stdio: 'ignore' });
  });
}

/** The connections that a side has written, as whole lines. */
const flows = (side: Side): string[] =>
  readdirSync(join(lab.directory, side)).flatMap(
    (name) => readFileSync(join(lab.directory, side, name), 'latin1').match(/^<flow>.*<\/flow>$/gm) ?? [],
  );

/** In any order; without the times, which are those at which each side looked, and the kernel's count of who holds the entry: ulogd2 is one of them. */
const comparable = (side: Side): string[] =>
  flows(side)
    .filter((flow) => !MARKER.test(flow))
    .map((flow) =>
      flow
        .replace(/<when>.*<\/when>/, '<when/>')
        .replace(/(<timeout>)5\d\d(<\/timeout>)/, '$1T$2')
        .replace(/(<use>)[12](<\/use>)/, '$1N$2')
        .replace(/(<deltatime>)\d{1,2}(<\/deltatime>)/, '$1D$2'),
    )
    .sort();

/** Makes a connection and ends it later and later, until both sides have seen it live and tell of its end. */
async function untilBothPolled(): Promise<void> {
  for (let port = 1, pause = 1100; pause < 20_000; port++, pause *= 1.5) {
    const tuple = `-p udp -s 192.0.2.250 -d 198.51.100.1 --sport 65001 --dport ${port}`;
    conntrack(`-I ${tuple} -t 600`);
    await new Promise((resolve) => setTimeout(resolve, pause));
    conntrack(`-D ${tuple}`);
    const told = (side: Side) => flows(side).some((flow) => MARKER.test(flow) && flow.includes(`<dport>${port}<`));
    const both = until('the marker', () => SIDES.every(told), 3);
    if (await both.then(() => true, () => false)) return; // biome-ignore format: one question
  }
  throw new Error('a connection of twenty seconds is in no poll');
}

test('polled connections that are gone are written as the last poll showed them', async () => {
  for (const connection of CONNECTIONS) conntrack(`-I ${connection} -t 600`);
  start('pollinterval=1');
  await untilBothPolled();
  conntrack('-F');
  await until('the end of all', () => SIDES.every((side) => comparable(side).length >= CONNECTIONS.length));
  expect(comparable('our')).toEqual(comparable('ref'));
  expect(comparable('our').join()).toContain('<timeout>T</timeout><mark>7</mark><use>N</use>');
  expect(comparable('our').join()).toContain('<deltatime>D</deltatime>');
  expect(comparable('our').join()).toContain('</layer4><zone>9</zone>');
});

test('SIGUSR2 shows each remembered connection', async () => {
  start('hash_enable=1');
  const listeners = () => lab.sh('cat /proc/net/netlink', namespace).match(/^\w+ 12 +[1-9]\d* +(?!0{8})/gm)?.length;
  await until('both listen', () => listeners() === 2);
  for (const connection of CONNECTIONS) conntrack(`-I ${connection} -t 600`);
  conntrack('-I -p udp -s 192.0.2.250 -d 198.51.100.1 --sport 65001 --dport 1 -t 600');
  conntrack('-D -p udp -s 192.0.2.250');
  await until('both have read all events', () => SIDES.every((side) => flows(side).length === 1));
  for (const daemon of daemons) daemon.kill('SIGUSR2');
  await until('all of them', () => SIDES.every((side) => comparable(side).length >= CONNECTIONS.length));
  expect(comparable('our')).toEqual(comparable('ref'));
});
