// `[global] metrics=`: what Prometheus, and whoever asks whether the daemon is well, get over HTTP.
import { once } from 'node:events';
import { createServer } from 'node:net';
import { afterAll, afterEach, expect, test } from 'vitest';
import { Lab, until } from '../../scripts/lab.js';
import { Daemon, killRest, logDatagrams, sendDatagrams } from '../support/daemon.ts';

const lab = new Lab();
const namespace = lab.namespace('metrics');
logDatagrams(lab, namespace, 5);
// Connections are followed where a rule asks for their state.
lab.sh(
  `sysctl -qw net.netfilter.nf_conntrack_events=1
   nft add table inet t; nft 'add chain inet t o { type filter hook output priority 0; }'
   nft 'add rule inet t o ct state new counter'`,
  namespace,
);
afterEach(killRest);
afterAll(() => lab.close());

/** The inputs listen in the lab's namespace, the daemon itself is where the test is: that is where metrics are served. */
const CONFIGURATION = `[global]
metrics="127.0.0.1:0"
stack=log1:NFLOG,mark1:MARK,base1:BASE,ip2str1:IP2STR,json1:JSON
stack=log1:NFLOG,base1:BASE,ip2str1:IP2STR,json2:JSON
stack=ct1:NFCT,ip2str1:IP2STR,json3:JSON
[log1]
group=5
network_namespace_path=/run/netns/${namespace}
[ct1]
hash_enable=0
event_mask=1
network_namespace_path=/run/netns/${namespace}
[mark1]
mark=1
[json1]
file="/out/marked.json"
[json2]
file="/out/packets.json"
[json3]
file="/out/flows.json"
`;

const portOf = (daemon: Daemon): number => Number(/metrics are served at port (\d+)/.exec(daemon.log)?.[1]);

/** Reads the text format (https://prometheus.io/docs/instrumenting/exposition_formats/); throws on whatever is not in it. */
function read(text: string): Map<string, number> {
  const series = new Map<string, number>();
  const types = new Map<string, string>();
  for (const line of text.split('\n').slice(0, -1)) {
    const [, keyword, metric, rest] = /^# (HELP|TYPE) (\w+) (.+)$/.exec(line) ?? [];
    if (keyword === 'TYPE') {
      if (types.has(metric as string)) throw new Error(`described twice: ${line}`);
      types.set(metric as string, rest as string);
    }
    if (keyword !== undefined || line === '') continue;
    const [, name, labels = '', value] = /^([a-z_]+)(\{(?:[a-z_]+="(?:[^"\\\n]|\\.)*",?)+\})? (\S+)$/.exec(line) ?? [];
    if (name === undefined || !types.has(name) || Number.isNaN(Number(value))) throw new Error(`no sample: ${line}`);
    if (types.get(name) === 'counter' && !name.endsWith('_total')) throw new Error(`no counter's name: ${line}`);
    if (/_(?:count|sum|bucket)$/.test(name)) throw new Error(`a name for histograms alone: ${line}`);
    if (series.has(name + labels)) throw new Error(`twice: ${line}`);
    series.set(name + labels, Number(value));
  }
  expect(text.endsWith('\n')).toBe(true);
  return series;
}

async function scrape(daemon: Daemon): Promise<Map<string, number>> {
  const response = await fetch(`http://127.0.0.1:${portOf(daemon)}/metrics`);
  expect([response.status, response.headers.get('content-type')]).toEqual([
    200,
    expect.stringContaining('version=0.0.4'),
  ]);
  return read(await response.text());
}

test.each([1, 2])('Prometheus gets the ledger, the conntrack and the process, with workers=%i', async (workers) => {
  const daemon = await Daemon.start(lab, CONFIGURATION.replace('[global]', `[global]\nworkers=${workers}`));
  sendDatagrams(lab, namespace, 40);
  await daemon.lines('packets.json', 40);
  await daemon.lines('flows.json', 20);
  const series = await scrape(daemon);
  expect(series.get('flowlogd_input_events_total{input="log1:NFLOG"}')).toBe(40);
  expect(series.get('flowlogd_input_lost_events_total{input="log1:NFLOG",exact="true"}')).toBe(0);
  expect(series.get('flowlogd_filtered_events_total{input="log1:NFLOG",output="json1:JSON",plugin="mark1:MARK"}')).toBe(
    40,
  );
  expect(series.get('flowlogd_output_written_events_total{output="json2:JSON"}')).toBe(40);
  expect(series.get('flowlogd_output_dropped_events_total{output="json2:JSON",reason="file not writable"}')).toBe(0);
  expect(series.get('flowlogd_input_buffer_bytes{input="ct1:NFCT"}')).toBe(8 << 20);
  expect(series.get('flowlogd_input_up{input="ct1:NFCT"}')).toBe(1);
  expect(series.get('flowlogd_missing_events_total')).toBe(0);
  expect(series.get('flowlogd_ledger_imbalances')).toBe(0);
  const [count, limit] = lab
    .sh('cat /proc/sys/net/netfilter/nf_conntrack_count /proc/sys/net/netfilter/nf_conntrack_max', namespace)
    .trim()
    .split('\n')
    .map(Number);
  const label = `{namespace="/run/netns/${namespace}"`;
  expect(count).toBeGreaterThan(0);
  expect(series.get(`flowlogd_conntrack_entries${label}}`)).toBe(count);
  expect(series.get(`flowlogd_conntrack_entries_limit${label}}`)).toBe(limit);
  for (const kind of ['insert_failed', 'drop', 'early_drop']) {
    expect(series.get(`flowlogd_conntrack_${kind}_total${label},cpu="0"}`), kind).toBeGreaterThanOrEqual(0);
  }
  expect(series.get('process_resident_memory_bytes')).toBeGreaterThan(1 << 20);
  const busy = [...series.keys()].filter((name) => name.startsWith('flowlogd_thread_busy_ratio'));
  expect(busy).toHaveLength(workers);
  for (const name of series.keys()) expect(name).not.toMatch(/127\.0\.0\.1|port=/);
  expect(await daemon.stop()).toBe(0);
});

test('an IPv6 address is as good as any', async () => {
  const daemon = await Daemon.start(lab, CONFIGURATION.replace('127.0.0.1:0', '[::1]:0'), { namespace });
  const program = `fetch('http://[::1]:${portOf(daemon)}/metrics').then((page) => page.text()).then(console.log)`;
  const text = lab.sh(`${process.execPath} -e "${program}"`, namespace);
  expect(read(text.slice(0, -1)).get('flowlogd_input_up{input="log1:NFLOG"}')).toBe(1);
});

test('after -u other namespaces are still read, and ready is what runs', async () => {
  const daemon = await Daemon.start(lab, CONFIGURATION, { flags: ['-u', 'nobody'] });
  const series = await scrape(daemon);
  expect(series.has(`flowlogd_conntrack_entries{namespace="/run/netns/${namespace}"}`)).toBe(true);
  for (const path of ['healthz', 'readyz']) {
    expect((await fetch(`http://127.0.0.1:${portOf(daemon)}/${path}`)).status, path).toBe(200);
  }
  expect(await daemon.stop()).toBe(0);
});

test('namespaces that come and go have series while they are there, and no scrape keeps one alive', async () => {
  const [outside, stays, goes] = [lab.namespace('outside'), lab.namespace('follow-a'), lab.namespace('follow-b')];
  lab.cable([outside, 'there'], [goes, 'here']);
  const [, common] = /^(.*follow)-/.exec(stays) as RegExpExecArray;
  const following = CONFIGURATION.replaceAll(/network_namespace_path=.*/g, `network_namespaces="${common}-*"`);
  const daemon = await Daemon.start(lab, following, { flags: ['-u', 'nobody'] });
  const shown = async () => {
    const found = [...(await scrape(daemon)).keys()].map(
      (name) => /_conntrack_entries\{.*netns\/(.*)"/.exec(name)?.[1],
    );
    return found.filter((name) => name !== undefined);
  };
  for (const name of [stays, goes]) await daemon.logged(`ct1:NFCT@${name}: attached`);
  expect((await shown()).sort()).toEqual([stays, goes]);
  lab.sh(`ip netns del ${goes}`);
  await until('it is gone', () => !lab.sh(`ip -n ${outside} -o link`).includes('there@'));
  expect(await shown()).toEqual([stays]);
  expect([...(await scrape(daemon)).keys()].filter((name) => name.includes(goes))).toEqual([]);
  expect(await daemon.stop()).toBe(0);
});

test('a stack that does not run is alive, and not ready: 503 says which and why', async () => {
  const daemon = await Daemon.start(lab, CONFIGURATION.replace('/out/flows.json', '/out/no/such/flows.json'));
  const ready = await fetch(`http://127.0.0.1:${portOf(daemon)}/readyz`);
  expect(ready.status).toBe(503);
  expect(await ready.text()).toMatch(/^ct1:NFCT: no output of it runs\njson3:JSON: cannot open .*flows\.json: ENOENT/);
  expect((await fetch(`http://127.0.0.1:${portOf(daemon)}/healthz`)).status).toBe(200);
  expect((await scrape(daemon)).get('flowlogd_output_up{output="json3:JSON"}')).toBe(0);
});

test('an address in use is one error, and the daemon goes on', async () => {
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  const { port } = taken.address() as { port: number };
  const daemon = await Daemon.start(lab, CONFIGURATION.replace('127.0.0.1:0', `127.0.0.1:${port}`));
  sendDatagrams(lab, namespace, 1);
  await daemon.lines('packets.json', 1);
  taken.close();
  expect(daemon.log.match(/<7>.*/g)).toEqual([
    `<7> there are no metrics: another program listens at 127.0.0.1:${port} already`,
  ]);
  expect(await daemon.stop()).toBe(0);
});

test('nobody listens unless it is asked for', async () => {
  const daemon = await Daemon.start(lab, CONFIGURATION.replace(/^metrics=.*$/m, ''));
  await until('it runs', () => daemon.log.includes('flowlogd runs'));
  expect(lab.sh(`ss -Hltnp | grep pid=${daemon.pid}, || true`)).toBe('');
});
