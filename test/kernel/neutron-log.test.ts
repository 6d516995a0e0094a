// Neutron's packet log from NFLOG records: the lines that tools read, with the floating IP and the names of the map.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { ADDRESS, RouterLab } from '../../scripts/router-lab.js';
import { Daemon, killRest } from '../support/daemon.ts';

const lab = new RouterLab();
afterEach(() => killRest());
afterAll(() => lab.close());

const { vm, floating, outside } = ADDRESS;
const PORT = 'ce705c24-c1ef-408a-bda3-7bbd946164ab';
const PROJECT = '736672c700cd43e1bd321aeaf940365c';
const LOG = '2e030f3a-e93d-4a76-bc60-1d11c0f6561b';

const MAP = {
  floating_ips: [
    { ID: 'fip-1', 'Floating IP Address': floating, 'Fixed IP Address': vm, Port: PORT, Project: PROJECT },
  ],
  ports: [{ ID: PORT, 'Fixed IP Addresses': [{ subnet_id: 's', ip_address: vm }] }],
  logs: [
    { ID: LOG, Enabled: true, Event: 'DROP', Target: PORT, Project: PROJECT },
    { ID: 'another', Enabled: true, Event: 'ACCEPT', Target: PORT, Project: PROJECT },
    { ID: 'off', Enabled: false, Event: 'ALL', Target: PORT, Project: PROJECT },
  ],
};
const map = join(lab.directory, 'neutron.json');

const configuration = (options: string) => `[global]
stack=log1:NFLOG,base1:BASE,ifi1:IFINDEX,nat1:NAT,neutron1:NEUTRON
stack=log1:NFLOG,base1:BASE,ifi1:IFINDEX,nat1:NAT,ip2str1:IP2STR,json1:JSON
[neutron]
map="${map}"
[log1]
group=33
network_namespace_path="/run/netns/${lab.router}"
[neutron1]
file="/out/neutron.log"
${options}
[json1]
file="/out/packets.json"
`;

beforeAll(() => {
  writeFileSync(map, JSON.stringify(MAP));
  lab.sh(
    `iptables -I FORWARD -p tcp --dport 8080 -j DROP
     iptables -I FORWARD -p tcp --dport 8080 -j NFLOG --nflog-group 33 --nflog-threshold 1 --nflog-prefix 'fw DROP '
     iptables -I FORWARD -p icmp -m conntrack --ctstate NEW -j NFLOG --nflog-group 33 --nflog-threshold 1 --nflog-prefix 'fw ACCEPT '
     iptables -I FORWARD -p udp --dport 9 -j NFLOG --nflog-group 33 --nflog-threshold 1 --nflog-prefix 'fw DROP '
     iptables -I FORWARD -p udp --dport 7 -j NFLOG --nflog-group 33 --nflog-threshold 1 --nflog-prefix 'says nothing'`,
    lab.router,
  );
});

// The regular expression of the tools (reference of neutron-fwaas's line).
const LINE =
  /^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}) (\d+) INFO neutron_fwaas\.services\.logapi\.agents\.drivers\.iptables\.log \[-\] action=(ACCEPT|DROP), project_id=([0-9a-f-]*), log_resource_ids=\[(.*?)\], port=([0-9a-f-]{36}), pkt=(.*)$/;

test('a packet that is dropped has the floating IP that it was sent to, and the names of its port', async () => {
  const daemon = await Daemon.start(lab, configuration(''));
  lab.send(lab.outside, 'tcp', floating, 8080);
  const [line = ''] = await daemon.lines('neutron.log', 1);
  const [, , , action, project, logs, port, packet] = LINE.exec(line) ?? [];
  expect([action, project, logs, port]).toEqual(['DROP', PROJECT, `'${LOG}'`, PORT]);
  expect(packet).toMatch(
    /^ethernet\(dst='[\da-f:]{17}',ethertype=2048,src='[\da-f:]{17}'\)ipv4\(csum=\d+,dst='192\.168\.21\.73',flags=2,header_length=5,.*,proto=6,src='10\.5\.0\.8',.*\)tcp\(ack=0,bits=2,.*,dst_port=8080,.*\)nat\(fixed_ip='192\.168\.21\.73',floating_ip='10\.5\.150\.82'\)$/,
  );
  // The same in JSON.
  const [object] = await daemon.objects('packets.json', 1);
  expect(object).toMatchObject({
    'nat.floating_ip': floating,
    'nat.fixed_ip': vm,
    'floating_ip.id': 'fip-1',
    'port.id': PORT,
  });

  lab.ping(lab.vm, outside, 1);
  const accepted = (await daemon.lines('neutron.log', 2))
    .map((text) => LINE.exec(text))
    .find((match) => match?.[3] === 'ACCEPT');
  expect(accepted?.[5]).toBe("'another'");
  expect(accepted?.[7]).toMatch(/icmp\(code=0,csum=\d+,data=echo\(data=b['"].*['"],id=\d+,seq=1\),type=8\)nat\(/);
  expect(await daemon.stop()).toBe(0);
});

test('what the limit holds back is counted, and said in the log; what no rule explains is filtered', async () => {
  const daemon = await Daemon.start(lab, configuration('rate_limit=1\nburst_limit=2'));
  lab.sh(`bash -c 'for i in $(seq 50); do echo $i >/dev/udp/${outside}/9; done; echo >/dev/udp/${outside}/7'`, lab.vm);
  await daemon.objects('packets.json', 51);
  expect(await daemon.stop()).toBe(0);
  const lines = daemon.folder.lines('neutron.log');
  const written = lines.filter((line) => line.includes(' INFO ')).length;
  const suppressed = lines.flatMap(
    (line) => /WARNING .* suppressed=(\d+), rate_limit=1 burst_limit=2$/.exec(line)?.[1] ?? [],
  );
  const missing = suppressed.reduce((sum, count) => sum + Number(count), 0);
  expect(written).toBeGreaterThanOrEqual(2);
  expect(written + missing).toBe(50);
  expect(daemon.log).toMatch(new RegExp(`neutron1:NEUTRON: .*${missing} .*rate limit`));
  expect(daemon.log).toContain('1 stopped by neutron1:NEUTRON');
});
