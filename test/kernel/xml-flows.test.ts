// XML of connections that no event of the kernel told: polled ones, and those that SIGUSR2 shows.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { Lab, until } from '../../scripts/lab.js';
import { Daemon, killRest } from '../support/daemon.ts';

let lab: Lab;
let namespace = '';
beforeAll(() => {
  lab = new Lab();
  namespace = lab.namespace('fl-xml');
  lab.sh('sysctl -qw net.netfilter.nf_conntrack_acct=1', namespace);
});
afterEach(killRest);
afterAll(() => lab?.close());

const configuration = (options: string) => `[global]
stack=ct1:NFCT,xml1:XML
stack=ct1:NFCT,gp1:GPRINT
[ct1]
${options}
[xml1]
directory="/out/"
sync=1
[gp1]
file="/out/ends"
`;
const xml = ({ folder }: Daemon): string =>
  readdirSync(folder.path)
    .filter((name) => name.endsWith('.xml'))
    .map((name) => readFileSync(join(folder.path, name), 'utf8'))
    .join('');
/** The connections in it; the last line of a file that is being written may be half a one. */
const flows = (daemon: Daemon): string[] => xml(daemon).match(/^<flow>.*<\/flow>$/gm) ?? [];
/** Two connections, of IPv4 and IPv6. */
const CONNECTIONS = `conntrack -I -p udp -s 10.7.0.1 -d 10.7.0.2 --sport 1001 --dport 53 --mark 7 -t 600 2>&1
  conntrack -I -p tcp -s fd07::1 -d fd07::2 --sport 1002 --dport 80 --state ESTABLISHED -t 600 2>&1`;
const layers = (protonum: number, from: string, to: string) =>
  `<layer3 protonum="${protonum}" protoname="ipv${protonum === 2 ? 4 : 6}"><src>${from}</src><dst>${to}</dst></layer3>`;

test('a connection that a poll no longer shows is written as the last poll showed it', async () => {
  lab.sh(CONNECTIONS, namespace);
  const daemon = await Daemon.start(lab, configuration('pollinterval=1'), { namespace });
  await until('the connections of before are remembered', () => {
    daemon.signal('SIGUSR2'); // obeyed when the dump of the start is over
    return flows(daemon).length >= 2;
  });
  lab.sh('conntrack -F 2>&1', namespace);
  await until('both are found gone', () => daemon.folder.read('ends').match(/ct\.event=4,/g)?.length === 2);
  const text = flows(daemon).slice(-2).join('\n');
  expect(text).toContain(`<flow><meta direction="original">${layers(2, '10.7.0.1', '10.7.0.2')}`);
  expect(text).toContain(`<meta direction="reply">${layers(10, 'fd07::2', 'fd07::1')}`);
  expect(text).toMatch(
    /protoname="udp"><sport>53<\/sport><dport>1001<\/dport>.*<timeout>\d+<\/timeout><mark>7<\/mark><use>1<\/use><id>\d+<\/id><unreplied\/>/,
  );
  expect(text).toMatch(/<dport>1002<\/dport>.*<state>ESTABLISHED<\/state><timeout>\d+<\/timeout>/);
  expect(await daemon.stop()).toBe(0);
  expect(daemon.log).not.toContain('stopped by');
  expect(xml(daemon)).toMatch(/<\/conntrack>\n$/);
});

test('SIGUSR2 shows each remembered connection', async () => {
  lab.sh(`conntrack -F 2>&1; ${CONNECTIONS}`, namespace);
  const daemon = await Daemon.start(lab, configuration(''), { namespace });
  daemon.signal('SIGUSR2');
  await until('both', () => flows(daemon).length === 2);
  expect(flows(daemon).join('\n')).toMatch(/<state>ESTABLISHED<\/state><timeout>\d+<\/timeout>/);
  expect(await daemon.stop()).toBe(0);
});
