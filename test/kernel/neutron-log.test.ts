// Neutron's packet log from NFLOG records: the lines that tools read, with the floating IP and the names of the map.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { until } from '../../scripts/lab.js';
import { ADDRESS, RouterLab } from '../../scripts/router-lab.js';
import { Daemon, killRest } from '../support/daemon.ts';

const lab = new RouterLab();
afterEach(() => killRest());
afterAll(() => lab.close());

const { vm, floating, outside } = ADDRESS;
const PORT = 'ce705c24-c1ef-408a-bda3-7bbd946164ab';
const PROJECT = '736672c700cd43e1bd321aeaf940365c';
const INSIDE = '9882c485-b808-4a34-a3fb-b537642c66b2';
const FWAAS_LOG = '7c1b0a1e-0000-4000-8000-000000000007';
const LOG = '2e030f3a-e93d-4a76-bc60-1d11c0f6561b';

const MAP = {
  floating_ips: [
    { ID: 'fip-1', 'Floating IP Address': floating, 'Fixed IP Address': vm, Port: PORT, Project: PROJECT },
  ],
  ports: [
    { ID: PORT, 'Fixed IP Addresses': [{ subnet_id: 's', ip_address: vm }] },
    { ID: INSIDE, 'Fixed IP Addresses': [{ subnet_id: 's', ip_address: '192.168.21.1' }], Project: PROJECT },
  ],
  logs: [
    { ID: LOG, Enabled: true, Event: 'DROP', Target: PORT, Project: PROJECT },
    { ID: FWAAS_LOG, Enabled: true, Event: 'ALL', Target: INSIDE, Project: PROJECT },
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
  const client = lab.send(lab.outside, 'tcp', floating, 8080);
  const [line = ''] = await daemon.lines('neutron.log', 1);
  const [, , , action, project, logs, port, packet] = LINE.exec(line) ?? [];
  expect([action, project, logs, port]).toEqual(['DROP', PROJECT, `'${LOG}'`, PORT]);
  expect(packet).toMatch(
    /^ethernet\(dst='[\da-f:]{17}',ethertype=2048,src='[\da-f:]{17}'\)ipv4\(csum=\d+,dst='192\.168\.21\.73',flags=2,header_length=5,.*,proto=6,src='10\.5\.0\.8',.*\)tcp\(ack=0,bits=2,.*,dst_port=8080,.*\)nat\(fixed_ip='192\.168\.21\.73',floating_ip='10\.5\.150\.82'\)$/,
  );
  // It would try again each second, and be counted by the next test.
  const over = new Promise((done) => client.once('exit', done));
  client.kill('SIGKILL');
  await over;
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

/** As neutron-fwaas's driver writes them (log.py, iptables_fwaas_v2.py): to group 0, a number for each port and event. */
const fwaasRules = (dropped: string, accepted: string) => `*filter
:neutron-l3-agent-accepted - [0:0]
:neutron-l3-agent-dropped - [0:0]
:neutron-l3-agent-iv4a1b2c3d4 - [0:0]
-A neutron-l3-agent-accepted -i qr-9882c485-b8 -m limit --limit 100/sec --limit-burst 25 -j NFLOG --nflog-prefix ${accepted}
-A neutron-l3-agent-accepted -o qr-9882c485-b8 -m limit --limit 100/sec --limit-burst 25 -j NFLOG --nflog-prefix ${accepted}
-A neutron-l3-agent-accepted -j ACCEPT
-A neutron-l3-agent-dropped -i qr-9882c485-b8 -m limit --limit 100/sec --limit-burst 25 -j NFLOG --nflog-prefix ${dropped}
-A neutron-l3-agent-dropped -o qr-9882c485-b8 -m limit --limit 100/sec --limit-burst 25 -j NFLOG --nflog-prefix ${dropped}
-A neutron-l3-agent-dropped -j DROP
-A neutron-l3-agent-iv4a1b2c3d4 -p udp -m udp --dport 4001 -j neutron-l3-agent-accepted
-A neutron-l3-agent-iv4a1b2c3d4 -p udp -m udp --dport 4002 -j neutron-l3-agent-dropped
-A neutron-l3-agent-iv4a1b2c3d4 -p udp -m udp --dport 4003 -j NFLOG --nflog-prefix 77
-I FORWARD -j neutron-l3-agent-iv4a1b2c3d4
COMMIT
`;

test("the numbers of neutron-fwaas's rules are told by the chains they stand in, also after its agent has chosen new ones", async () => {
  const restore = (rules: string) => lab.sh(`iptables-restore --noflush --wait <<'END'\n${rules}END`, lab.router);
  const daemon = await Daemon.start(lab, configuration('rate_limit=0').replace('group=33', 'group=0'));
  const told = async (port: number) => {
    const line = await until(`a packet to ${port}`, () => {
      lab.sh(`bash -c 'echo >/dev/udp/${floating}/${port}'`, lab.outside);
      return daemon.folder
        .read('neutron.log')
        .split('\n')
        .find((text) => text.includes(`dst_port=${port},`));
    });
    return LINE.exec(line as string)?.slice(3, 7);
  };
  restore(fwaasRules('12823226497704342389', '990011223344556677'));
  expect(await told(4001)).toEqual(['ACCEPT', PROJECT, `'${FWAAS_LOG}'`, INSIDE]);
  expect(await told(4002)).toEqual(['DROP', PROJECT, `'${FWAAS_LOG}'`, INSIDE]);
  restore(fwaasRules('15', '18446744073709551615').replaceAll('4002', '4004'));
  expect(await told(4004)).toEqual(['DROP', PROJECT, `'${FWAAS_LOG}'`, INSIDE]);
  // A number in a chain that decides nothing stays one, and is filtered.
  lab.sh(`bash -c 'echo >/dev/udp/${floating}/4003'`, lab.outside);
  await until('the number is read', () => daemon.folder.read('packets.json').includes('"oob.prefix": "77"'));
  expect(await daemon.stop()).toBe(0);
  expect(daemon.folder.read('neutron.log')).not.toContain('dst_port=4003');
});
