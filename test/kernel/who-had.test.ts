// Real translations by a router as Neutron makes one, logged by the real daemon into files that rotate and are compressed:
// who had the address?
import { readdirSync } from 'node:fs';
import { afterAll, afterEach, expect, test } from 'vitest';
import { until } from '../../scripts/lab.js';
import { ADDRESS, RouterLab } from '../../scripts/router-lab.js';
import { Daemon, killRest, Run } from '../support/daemon.ts';

const lab = new RouterLab();
const { vm, floating, other, gateway, outside } = ADDRESS;
const ROUTER_ID = '82ff3e71-e021-4ce2-aa92-5ec6cb6d7c3d';

afterEach(killRest);
afterAll(() => lab.close());

const CONFIGURATION = `[global]
stack=ct1:NFCT,nat1:NAT,ip2str1:IP2STR,json1:JSON
stack=fip1:FIP,json2:JSON
[ct1]
event_mask=5
hash_enable=0
network_namespace_path="/run/netns/${lab.router}"
[fip1]
network_namespace_path="/run/netns/${lab.router}"
[json1]
file="/out/flows.json"
rotate_size=2000
compress=1
[json2]
file="/out/fip.json"
`;

interface Reply {
  readonly code: number | string;
  readonly found: boolean;
  readonly holders: readonly {
    readonly address: string;
    readonly evidence: readonly { readonly kind: string; readonly inside: { readonly port?: number } }[];
  }[];
}

/** Moves the floating IP to the other machine, as Neutron's agent does: all rules at once. */
const moveFloatingIp = () =>
  lab.sh(
    `iptables-save -t nat | sed -e '/${floating}/s/${vm}/${other}/g' | iptables-restore --wait; conntrack -D -d ${floating} 2>/dev/null || true`,
    lab.router,
  );

test('a shared address, a forwarded port and a floating IP that moves: each is the right machine, in rotated and compressed files', async () => {
  lab.sh('sysctl -qw net.netfilter.nf_conntrack_events=1', lab.router);
  await lab.listen(lab.vm, 'tcp:80');
  await lab.listen(lab.other, 'tcp:22', 'tcp:80');
  await lab.listen(lab.outside, 'tcp:443');
  const daemon = await Daemon.start(lab, CONFIGURATION);
  const connections = () => readAll(daemon);
  const filesOf = () =>
    readdirSync(daemon.folder.path)
      .filter((name) => name.startsWith('flows.json') || name === 'fip.json')
      .map((name) => daemon.folder.file(name));
  async function ask(...words: string[]): Promise<Reply> {
    const run = new Run(lab, ['who-had', ...words, '--json', ...filesOf()]);
    const code = await run.ended;
    if (run.stdout === '') throw new Error(run.stderr);
    return { code, ...(JSON.parse(run.stdout) as Omit<Reply, 'code'>) };
  }
  /** The port and time of the newest connection to this target. */
  const latest = async (target: string, port: number) => {
    const flow = await until(`a connection to ${target}:${port}`, async () =>
      (await connections()).findLast(
        (one) => one['ct.event'] === 1 && one.dest_ip === target && one['orig.l4.dport'] === port,
      ),
    );
    const begin = Number(flow['flow.start.sec']) + Number(flow['flow.start.usec']) / 1e6 + 0.001;
    return { at: begin.toFixed(6), external: flow['reply.l4.dport'], source: flow['orig.l4.sport'] };
  };

  await lab.exchange(lab.other, 'tcp', outside, 443);
  const shared = await latest(outside, 443);
  await lab.exchange(lab.outside, 'tcp', gateway, 2222);
  const forwarded = await latest(gateway, 2222);
  await lab.exchange(lab.outside, 'tcp', floating, 80);
  const before = await latest(floating, 80);
  moveFloatingIp();
  await until('the mapping after', () => daemon.folder.read('fip.json').includes(`"${other}"`));
  await lab.exchange(lab.outside, 'tcp', floating, 80);
  const after = await latest(floating, 80);
  lab.sh('conntrack -F 2>/dev/null', lab.router);
  await until('the end of every connection', async () => {
    const events = (await connections()).map((one) => one['ct.event']);
    const count = (event: number) => events.filter((one) => one === event).length;
    return count(1) >= 4 && count(4) === count(1);
  });
  await until('a compressed file', () => filesOf().some((name) => name.endsWith('.gz')));

  const answer = await ask(`${gateway}:${shared.external}`, '--proto', 'tcp', '--at', shared.at);
  expect(answer).toMatchObject({ code: 0, holders: [{ address: other }] });
  expect(answer.holders[0]?.evidence[0]?.inside.port).toBe(shared.source);
  expect(await ask(`${gateway}:2222`, '--at', forwarded.at)).toMatchObject({
    code: 0,
    holders: [{ address: other, evidence: [{ kind: 'connection', inside: { address: other, port: 22 } }] }],
  });
  const first = await ask(floating, '--at', before.at);
  const second = await ask(floating, '--at', after.at);
  const kinds = (reply: Reply) => reply.holders.map(({ evidence }) => new Set(evidence.map(({ kind }) => kind)));
  expect(first).toMatchObject({ code: 0, holders: [{ address: vm }] });
  expect(second).toMatchObject({ code: 0, holders: [{ address: other }] });
  expect([...kinds(first), ...kinds(second)]).toEqual([
    new Set(['connection', 'mapping']),
    new Set(['connection', 'mapping']),
  ]);
  // A lab beside another one has a router of another name.
  if (lab.router === `qrouter-${ROUTER_ID}`) {
    expect(second.holders[0]).toMatchObject({ identity: { 'router.id': ROUTER_ID } });
  }
  expect((await ask('10.5.0.99', '--at', before.at)).code).toBe(1);
  expect((await ask('10.5.0.99', '--at', '0')).code).toBe(3);
  expect(await daemon.stop()).toBe(0);
});

/** Every connection that was written, in the order of the names of the files. */
async function readAll(daemon: Daemon): Promise<Record<string, unknown>[]> {
  const text = lab.sh(
    `cd ${daemon.folder.path}; for file in $(ls flows.json.* 2>/dev/null | grep -v tmp | sort) flows.json; do zcat -f $file; done`,
  );
  return text
    .split('\n')
    .filter((line) => line.endsWith('}'))
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}
