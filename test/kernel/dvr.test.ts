// A distributed router: floating IPs of the node in qrouter-, where no device has their address, the shared SNAT in snat-.
import { afterAll, afterEach, expect, test } from 'vitest';
import { DvrLab, SHARED } from '../../scripts/dvr-lab.js';
import { until } from '../../scripts/lab.js';
import { ADDRESS } from '../../scripts/router-lab.js';
import { Daemon, killRest } from '../support/daemon.ts';

const lab = new DvrLab();
afterEach(() => killRest());
afterAll(() => lab.close());

const { vm, floating, other, outside } = ADDRESS;

const CONFIGURATION = `[global]
stack=ct1:NFCT,nat1:NAT,ip2str1:IP2STR,json1:JSON
stack=ct2:NFCT,nat1:NAT,ip2str1:IP2STR,json2:JSON
stack=fip1:FIP,json3:JSON
stack=fip2:FIP,json4:JSON
[ct1]
event_mask=1
hash_enable=0
network_namespace_path="/run/netns/${lab.router}"
[ct2]
event_mask=1
hash_enable=0
network_namespace_path="/run/netns/${lab.edge}"
[fip1]
network_namespace_path="/run/netns/${lab.router}"
[fip2]
network_namespace_path="/run/netns/${lab.edge}"
[json1]
file="/out/qrouter.json"
[json2]
file="/out/snat.json"
[json3]
file="/out/fip.json"
[json4]
file="/out/fip-snat.json"
`;

/** The NAT keys of the first connection from one address to another. */
async function natOf(daemon: Daemon, file: string, source: string, target: string): Promise<Record<string, unknown>> {
  const flow = await until(`${source} to ${target} in ${file}`, () =>
    daemon.folder
      .read(file)
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Record<string, unknown>)
      .find((one) => one.src_ip === source && one.dest_ip === target),
  );
  return Object.fromEntries(Object.entries(flow).filter(([key]) => key.startsWith('nat.')));
}

test('each namespace of a distributed router says what it did', async () => {
  const daemon = await Daemon.start(lab, CONFIGURATION);
  const [mapping] = await daemon.objects('fip.json', 1);
  expect(mapping).toMatchObject({ 'flowlogd.event': 'fip-map', 'nat.floating_ip': floating, 'nat.fixed_ip': vm });

  await lab.ping(lab.outside, floating);
  const behind = { 'nat.floating_ip': floating, 'nat.external_ip': floating, 'nat.fixed_ip': vm };
  expect(await natOf(daemon, 'qrouter.json', outside, floating)).toEqual({
    'nat.type': 'dnat',
    'nat.class': 'fip-in',
    ...behind,
  });

  await lab.ping(lab.vm, outside);
  expect(await natOf(daemon, 'qrouter.json', vm, outside)).toEqual({
    'nat.type': 'snat',
    'nat.class': 'fip-out',
    ...behind,
  });

  // Two namespaces, two views: routed here, translated there.
  await lab.ping(lab.other, outside);
  expect(await natOf(daemon, 'qrouter.json', other, outside)).toEqual({ 'nat.type': 'none', 'nat.class': 'routed' });
  expect(await natOf(daemon, 'snat.json', other, outside)).toEqual({
    'nat.type': 'snat',
    'nat.class': 'snat',
    'nat.external_ip': SHARED,
    'nat.fixed_ip': other,
  });
  expect(await daemon.stop()).toBe(0);
  expect(daemon.folder.read('fip-snat.json')).toBe('');
});
