// The guides of the network node: their commands are run in a router as Neutron makes it, and what they show is what comes of it.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { until } from '../../scripts/lab.js';
import { ADDRESS, RouterLab } from '../../scripts/router-lab.js';
import { Daemon, killRest } from '../support/daemon.ts';
import { NetworkNode } from '../support/network-node.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const lab = new RouterLab();
afterAll(() => lab.close());

const ROUTER = 'qrouter-82ff3e71-e021-4ce2-aa92-5ec6cb6d7c3d';
const { vm, floating, gateway, outside } = ADDRESS;

/** What the client of OpenStack prints for the lab, by its command (python-openstackclient, `-f json`). */
const OPENSTACK: Readonly<Record<string, readonly Record<string, unknown>[]>> = {
  'floating ip list --long -f json': [
    {
      ID: '5c2f4a1e-7a41-4e6c-9b0b-2b6b3c1f0a82',
      'Floating IP Address': floating,
      'Fixed IP Address': vm,
      Port: 'ce705c24-c1ef-408a-bda3-7bbd946164ab',
      'Floating Network': '376da547-b977-4cfe-9cba-275c80debf57',
      Project: '736672c700cd43e1bd321aeaf940365c',
      Router: '82ff3e71-e021-4ce2-aa92-5ec6cb6d7c3d',
      Status: 'ACTIVE',
      Description: '',
      Tags: [],
    },
  ],
  'port list --long -f json': [
    {
      ID: 'ce705c24-c1ef-408a-bda3-7bbd946164ab',
      Name: '',
      'MAC Address': 'fa:16:3e:1b:3e:67',
      'Fixed IP Addresses': [{ subnet_id: 's', ip_address: vm }],
      Status: 'ACTIVE',
      'Security Groups': [],
      'Device Owner': 'compute:nova',
      Tags: [],
    },
  ],
  'server list --all-projects -f json': [
    { ID: '0d3f6a53-15bb-4c55-8f4a-0b9dd3c1c7aa', Name: 'web', Status: 'ACTIVE', Networks: { net: [vm, floating] } },
  ],
  'network log list --long -f json': [
    {
      ID: '2e030f3a-e93d-4a76-bc60-1d11c0f6561b',
      Enabled: true,
      Event: 'ALL',
      Resource: null,
      Target: 'ce705c24-c1ef-408a-bda3-7bbd946164ab',
      Project: '736672c700cd43e1bd321aeaf940365c',
    },
  ],
};
const openstack = `case "$*" in\n${Object.entries(OPENSTACK)
  .map(([command, rows]) => `'${command}') echo '${JSON.stringify(rows)}';;`)
  .join('\n')}\n*) echo "openstack: $*: unknown" >&2; exit 2;;\nesac`;

/** The rule of the lab's firewall that drops, in the chain in which Neutron has those of address scopes. */
const SCOPE = `*filter
:neutron-l3-agent-FORWARD - [0:0]
:neutron-l3-agent-scope - [0:0]
-A FORWARD -j neutron-l3-agent-FORWARD
-A neutron-l3-agent-FORWARD -j neutron-l3-agent-scope
-A neutron-l3-agent-scope -p tcp -m tcp --dport 8080 -j DROP
COMMIT
`;

interface Block {
  readonly language: string;
  readonly text: string;
}

/** The fenced blocks of a document. */
const blocksOf = (document: string): Block[] =>
  [...readFileSync(join(ROOT, document), 'utf8').matchAll(/^```(\w+)\n(.*?)^```$/gms)].map(
    ([, language = '', text = '']) => ({ language, text }),
  );
const GUIDE = blocksOf('docs/openstack.md');
const AUDIT = blocksOf('docs/guides/audit.md');

/** The guide's block of commands with these words in it. */
function commands(words: string): string {
  const found = GUIDE.filter(({ language, text }) => language === 'sh' && text.includes(words));
  expect(found, `blocks with "${words}"`).toHaveLength(1);
  return found[0]?.text ?? '';
}
const linesOf = (blocks: readonly Block[], language: string): string[] =>
  blocks.filter((block) => block.language === language).flatMap(({ text }) => text.split('\n').filter(Boolean));

/** What differs from run to run. */
const VOLATILE = /^(timestamp|oob\.time\..*|netns\.id|host\.name|flow\.duration|ct\.id|verdict\.rule|orig\.l4\.sport)$/;
const isVolatile = (key: string, object: Record<string, unknown>) =>
  VOLATILE.test(key) || (key === 'nat.external_port' && object['nat.class'] === 'snat');
/** Values that differ as what they are: text, number. */
const normal = (object: Record<string, unknown>): string =>
  JSON.stringify(Object.entries(object).map(([key, value]) => [key, isVolatile(key, object) ? typeof value : value]));
/** The keys of `like` alone, in the order that `object` has them. */
const part = (object: Record<string, unknown>, like: Record<string, unknown>) =>
  Object.fromEntries(Object.entries(object).filter(([key]) => key in like));

let node: NetworkNode;

beforeAll(async () => {
  lab.sh(`iptables-restore --noflush --wait <<'END'\n${SCOPE}END`, lab.router);
  await lab.listen(lab.vm, 'tcp:80');
  await lab.listen(lab.outside, 'tcp:443');
  node = await NetworkNode.start(
    lab,
    { [ROUTER]: lab.router },
    { openstack, systemctl: 'test "$*" = "restart flowlogd"' },
  );
});

describe('docs/openstack.md', () => {
  test('what it has added to the unit systemd understands', () => {
    const unit = join(lab.directory, 'flowlogd.service');
    const own = readFileSync(join(ROOT, 'etc/flowlogd.service'), 'utf8').replace(
      '/opt/flowlogd/dist/main.js',
      join(ROOT, 'dist/main.js'),
    );
    const more = GUIDE.find(({ text }) => text.includes('LogsDirectory='))?.text;
    writeFileSync(
      unit,
      own
        .replace('[Service]\n', more as string)
        .replace(/^Documentation=.*\n/m, '')
        .replace('/usr/bin/node', process.execPath),
    );
    const { stderr } = spawnSync('systemd-analyze', ['verify', unit], { encoding: 'utf8' });
    expect(stderr.split('\n').filter((line) => line.includes('flowlogd.service'))).toEqual([]);
  });

  test('its commands work, in their order, and each line that it shows is one that was written', async () => {
    expect(node.sh(commands('ip netns list\n'))).toBe(`${ROUTER}\n`);
    node.sh(commands('sysctl -qw'));
    node.sh(commands('openstack floating ip list'));
    const start = commands('cp etc/examples/network-node.conf');
    expect(node.sh(start)).toContain(' 0 errors, 0 warnings');
    await node.restart();
    await until('the rules are there', () => node.sh(commands('flowlogd netns')).includes(`${ROUTER}: installed`));

    await lab.exchange(lab.outside, 'tcp', floating, 80, 5000);
    await lab.exchange(lab.other, 'tcp', outside, 443, 5000);
    lab.send(lab.outside, 'tcp', floating, 8080);
    const all = () =>
      ['connections', 'verdicts', 'packets'].flatMap((name) => node.objects(`/var/log/flowlogd/${name}.json`));
    const shown = linesOf(GUIDE, 'json').map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(shown.length).toBeGreaterThan(3);
    for (const like of shown) {
      const wanted = normal(like);
      await until(`a record like ${wanted}`, () => {
        lab.connections(); // has the kernel remove those that have ended
        return all().some((one) => normal(part(one, like)) === wanted);
      }).catch((error) => {
        const near = all().filter(
          (one) => one['nat.class'] === like['nat.class'] && one['ct.event'] === like['ct.event'],
        );
        throw new Error(`${(error as Error).message}\n${near.map((one) => JSON.stringify(one)).join('\n')}`);
      });
    }

    const text = node.read('/var/log/flowlogd/neutron.log');
    // Addresses of the link layer, checksums, ports and numbers of packets, time and process.
    const bare = (line: string) =>
      line
        .replace(/^\S+ \S+ \d+ /, 'TIME PROCESS ')
        .replaceAll(/[\da-f]{2}(:[\da-f]{2}){5}/g, 'MAC')
        .replaceAll(/(csum|identification|seq|src_port|ack|ts_val|ts_ecr)=\d+/g, '$1=N');
    const told = text.split('\n').map(bare);
    const lines = linesOf(GUIDE, 'text').filter((line) => line.includes(' action='));
    expect(lines.length).toBeGreaterThan(1);
    for (const line of lines) expect(told).toContain(bare(line));

    const end = node
      .objects('/var/log/flowlogd/connections.json')
      .find((one) => one['nat.class'] === 'fip-in' && one['ct.event'] === 4);
    const within = new Date((Number(end?.['flow.start.sec']) + 1) * 1000).toISOString();
    const question = commands('flowlogd who-had').replace(/--at \S+/, `--at ${within}`);
    /** Without the times, the client's port, and what was searched. */
    const bareAnswer = (answer: string) =>
      (answer.split('\nSearched')[0] ?? '')
        .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, 'TIME')
        .replace(/from 10\.5\.0\.8:\d+/, 'from 10.5.0.8:PORT')
        .replace(/host: \S+/, 'host: HOST')
        .trim();
    const answer = GUIDE[GUIDE.findIndex(({ text: block }) => block.includes('flowlogd who-had')) + 1]?.text ?? '';
    expect(bareAnswer(node.sh(question))).toBe(bareAnswer(answer));

    // A rule of one's own, which the daemon reads beside.
    node.sh(`router=${ROUTER}\n${commands('table inet mylog')}`);
    lab.send(lab.outside, 'tcp', floating, 8080);
    await until('the packet of that rule', () =>
      node
        .objects('/var/log/flowlogd/packets.json')
        .some((one) => one['oob.prefix'] === 'DROP ' && one.dest_port === 8080),
    );
    await node.stop();
    expect(node.said).not.toMatch(/error|<7>/i);
  });
});

/** What a container is given: a root of its own, and the folder of namespaces mounted into it as runc does for `-v` with this word. */
const CONTAINER = `
mount --rbind / "$0"
mount -t tmpfs none "$0/run"
mkdir "$0/run/netns"
mount --rbind /run/netns "$0/run/netns"
mount --make-r$1 "$0/run/netns"
root=$0
shift
exec chroot "$root" "$@"`;
const propagationOfGuide = /-v \/run\/netns:\/run\/netns:(\w+)/.exec(commands('docker run'))?.[1];

describe('a container as docs/openstack.md starts it', () => {
  afterEach(killRest);

  test.each([
    [`the guide's ${propagationOfGuide}`, propagationOfGuide, true],
    ['slave', 'slave', true],
    ['private, what docker does unless told,', 'private', false],
  ])(
    'with /run/netns mounted %s it sees routers that the host makes later, or says why not',
    async (_, propagation, sees) => {
      const root = mkdtempSync(join(lab.directory, 'root-'));
      const name = `container-${propagation}-${process.pid}`;
      const daemon = await Daemon.start(
        lab,
        `[global]
stack=ct1:NFCT,ip2str1:IP2STR,json1:JSON
[ct1]
network_namespaces="${name}"
hash_enable=0
event_mask=1
[json1]
file="/out/flows.json"
`,
        { before: ['unshare', '-m', '--propagation', 'slave', 'sh', '-ec', CONTAINER, root, `${propagation}`] },
      );
      lab.namespace(name, { exact: true });
      if (sees) {
        await daemon.logged('attached');
        lab.sh('iptables -A OUTPUT -m conntrack --ctstate NEW; ping -q -c 1 127.0.0.1', name);
        expect(await daemon.objects('flows.json', 1)).toMatchObject([{ 'netns.name': name }]);
        // What the container sees it does not hold: the host can remove it.
        lab.sh(`ip netns del ${name}`);
        await daemon.logged('detached');
      } else
        await daemon.logged(
          'mounts do not reach this process (in a container: mount /run/netns with rslave or shared propagation)',
        );
      expect(await daemon.stop()).toBe(0);
    },
  );
});

describe('docs/guides/audit.md', () => {
  test('what it shows of verdicts and of the rules is what comes', async () => {
    const verdicts = node.objects('/var/log/flowlogd/verdicts.json');
    for (const line of linesOf(AUDIT, 'json')) {
      const like = JSON.parse(line) as Record<string, unknown>;
      expect(verdicts.map((one) => normal(part(one, like)))).toContain(normal(like));
    }
    const counts = (text: string) => text.replaceAll(/\d+ (seen|judged|let)/g, 'N $1').trim();
    const shown = linesOf(AUDIT, 'text').find((line) => line.includes(': installed'));
    expect(counts(node.sh(`flowlogd audit show --netns '*'`))).toBe(counts(shown ?? ''));
    const configuration = AUDIT.find(({ language, text }) => language === 'ini' && text.includes('[verdict1]'))?.text;
    node.sh(`cat >/etc/verdicts.conf <<'END'\n${configuration}END\nflowlogd check /etc/verdicts.conf`);
    const before = counts(node.sh(`ip netns exec ${ROUTER} nft list ruleset`));
    expect(before).toContain('flowlogd_audit');
    const words =
      AUDIT.find(({ language, text }) => language === 'sh' && text.includes('flowlogd audit install'))?.text ?? '';
    expect(node.sh(words)).toContain(`${ROUTER}: removed`);
    expect(node.sh(`ip netns exec ${ROUTER} nft list tables`)).not.toContain('flowlogd_audit');
  });
});

describe('etc/examples', () => {
  const records = (file: string) => node.objects(`/var/log/flowlogd/${file}.json`);
  const use = async (example: string) => {
    node.sh(
      `rm -rf /var/log/flowlogd; cp etc/examples/${example}.conf /etc/ulogd.conf; flowlogd check /etc/ulogd.conf`,
    );
    await node.restart(ROUTER);
  };

  test('single-router.conf logs connections, verdicts, and the packets of the rules that it names', async () => {
    await use('single-router');
    await until('the rules are there', () => lab.sh('nft list tables', lab.router).includes('flowlogd_audit'));
    lab.ping(lab.vm, outside, 1);
    await until('the end of the connection', () => {
      lab.connections();
      return records('connections').some((one) => one['nat.class'] === 'fip-out' && one['orig.ip.protocol'] === 1);
    });
    expect(records('verdicts')).toContainEqual(expect.objectContaining({ 'verdict.action': 'accept', 'icmp.type': 8 }));
    // The rules in its comment.
    const rules = [...node.sh('cat etc/examples/single-router.conf').matchAll(/^# {3}(nft 'add rule .*)$/gm)].map(
      ([, rule]) => rule,
    );
    expect(rules).toHaveLength(2);
    lab.sh(
      `nft 'table inet filter { chain forward { type filter hook forward priority 0; }; }'\n${rules.join('\n')}`,
      lab.router,
    );
    lab.send(lab.outside, 'udp', floating, 4567);
    await until('the packet', () =>
      records('packets').some((one) => one['oob.prefix'] === 'DROP ' && one.dest_port === 4567),
    );
    await until('its verdict', () =>
      records('verdicts').some(
        (one) => one['verdict.table'] === 'filter' && one['verdict.action'] === 'drop' && one.dest_port === 4567,
      ),
    );
    await until('its line', () => node.read('/var/log/flowlogd/packets.log').includes('DPT=4567'));
    await node.stop();
    lab.sh('nft delete table inet filter; nft delete table inet flowlogd_audit', lab.router);
  });

  test('cgnat-gateway.conf logs the translations of customers, and of nobody else', async () => {
    await use('cgnat-gateway');
    lab.sh('ip route add 100.64.0.0/10 dev qr-9882c485-b8', lab.router);
    lab.sh('ip addr add 100.64.0.7/32 dev eth0', lab.other);
    lab.ping(lab.vm, outside, 1);
    lab.sh(`ping -q -n -c 1 -W 5 -I 100.64.0.7 ${outside}`, lab.other);
    await until('begin and end', () => {
      lab.connections();
      return records('translations').length >= 2;
    });
    await node.stop();
    expect(records('translations')).toMatchObject([
      { 'ct.event': 1, 'nat.class': 'snat', 'nat.fixed_ip': '100.64.0.7', 'nat.external_ip': gateway },
      { 'ct.event': 4, 'nat.class': 'snat', 'nat.fixed_ip': '100.64.0.7', 'nat.external_ip': gateway },
    ]);
    const [begin] = records('translations');
    expect(
      node.sh(
        `flowlogd who-had ${gateway} --at ${String(begin?.timestamp).replace('+0000', 'Z')} /var/log/flowlogd/*.json`,
      ),
    ).toContain('100.64.0.7');
  });
});
