// A router of a pair: keepalived moves its addresses from one node to the other, and who has a floating IP goes with them.
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { HaLab } from '../../scripts/ha-lab.js';
import { until } from '../../scripts/lab.js';
import { ADDRESS } from '../../scripts/router-lab.js';
import { Daemon, killRest } from '../support/daemon.ts';

const lab = new HaLab();
const { vm, floating, outside, gateway, other } = ADDRESS;
const [first, second] = lab.nodes as [string, string];

const CONFIGURATION = `[global]
stack=ct1:NFCT,nat1:NAT,ip2str1:IP2STR,flows:JSON
stack=fip1:FIP,fips:JSON
[ct1]
event_mask=1
hash_enable=0
network_namespaces="${first} ${second}"
[fip1]
network_namespaces="${first} ${second}"
[flows]
file="/out/flows.json"
[fips]
file="/out/fips.json"
`;

beforeAll(async () => {
  await lab.keepAlive();
  await lab.listen(lab.vm, 'tcp:80');
  await lab.listen(lab.other, 'tcp:22');
  await lab.listen(lab.outside, 'tcp:443');
}, 120_000);
afterEach(() => killRest());
afterAll(() => lab.close());

type Line = Record<string, unknown>;
const where = (node: unknown) => (node === first ? 'first' : 'second');
const told = (daemon: Daemon) =>
  daemon.folder
    .objects('fips.json')
    .map(
      (line) =>
        `${line['flowlogd.event']} ${line['nat.floating_ip']} ${line['nat.fixed_ip']} ${where(line['netns.name'])}${line['fip.initial'] === 1 ? ' initial' : ''}`,
    );

/** NAT's view of the new connections to an address and port, since there were `before`. */
async function natOf(daemon: Daemon, before: number, target: string, port: number): Promise<unknown> {
  const flow = await until(`a connection to ${target} port ${port}`, () =>
    daemon.folder
      .objects('flows.json')
      .slice(before)
      .find((line: Line) => line.dest_ip === target && line['orig.l4.dport'] === port),
  );
  return [where(flow['netns.name']), flow['nat.class'], flow['nat.external_ip'], flow['nat.fixed_ip']];
}

/** A connection of each class through the router, wherever it is now. */
async function useRouter(daemon: Daemon): Promise<unknown[]> {
  const before = daemon.folder.objects('flows.json').length;
  await lab.exchange(lab.outside, 'tcp', floating, 80);
  await lab.exchange(lab.vm, 'tcp', outside, 443);
  await lab.exchange(lab.outside, 'tcp', gateway, 2222);
  return [
    await natOf(daemon, before, floating, 80),
    await natOf(daemon, before, outside, 443),
    await natOf(daemon, before, gateway, 2222),
  ];
}

test('a failover ends the floating IP on one node, begins it on the other, and connections right after it are known', async () => {
  const daemon = await Daemon.start(lab, CONFIGURATION);
  for (const node of lab.nodes) await daemon.logged(`fip1:FIP@${node}: attached`);
  for (const node of lab.nodes) await daemon.logged(`ct1:NFCT@${node}: attached`);
  // Both have the rule, one has the address.
  expect(told(daemon)).toEqual([`fip-map ${floating} ${vm} first initial`]);
  const through = (node: string) => [
    [node, 'fip-in', floating, vm],
    [node, 'fip-out', floating, vm],
    [node, 'port-forward', gateway, other],
  ];
  expect(await useRouter(daemon)).toEqual(through('first'));

  await lab.fail(first);
  expect(await useRouter(daemon)).toEqual(through('second'));
  await until('the change', () => told(daemon).length >= 3);
  expect(told(daemon).slice(1)).toEqual([`fip-unmap ${floating} ${vm} first`, `fip-map ${floating} ${vm} second`]);

  // nopreempt: the first is the backup now, and takes over when the second fails.
  lab.mend(first);
  await lab.fail(second);
  expect(await useRouter(daemon)).toEqual(through('first'));
  await until('the change back', () => told(daemon).length >= 5);
  expect(told(daemon).slice(3)).toEqual([`fip-unmap ${floating} ${vm} second`, `fip-map ${floating} ${vm} first`]);
  expect(await daemon.stop()).toBe(0);
  expect(told(daemon)).toHaveLength(5);
}, 180_000);
