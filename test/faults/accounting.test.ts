// More than any reader can take: what is not in the file is in gap records. FULL=1 runs at the size of docs/reliability.md.
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { Lab } from '../../scripts/lab.js';
import { Daemon, FLOWS, killRest, sendDatagrams } from '../support/daemon.ts';
import { compile } from '../support/program.ts';

const FULL = process.env.FULL === '1';
const lab = new Lab();
const flood = compile('flood', lab.directory);
afterEach(killRest);
afterAll(() => lab.close());

/** What a file holds: lines of events, and what its gap records say. */
async function tally(path: string): Promise<{ events: number; gaps: number; lost: number; exact: boolean }> {
  const found = { events: 0, gaps: 0, lost: 0, exact: true };
  for await (const line of createInterface({ input: createReadStream(path) })) {
    const [, lost, exact] = / flowlogd: gap .* lost=(\d+) exact=(\d)/.exec(line) ?? [];
    const gap = line.includes('"flowlogd.event": "gap"') ? JSON.parse(line) : undefined;
    if (lost === undefined && gap === undefined) {
      found.events++;
      continue;
    }
    found.gaps++;
    found.lost += gap ? gap['flowlogd.gap.lost'] : Number(lost);
    found.exact &&= gap ? gap['flowlogd.gap.exact'] : exact === '1';
  }
  return found;
}

test('a flood of packets: lines written and lost in gap records are together the rule’s own count, exactly', async () => {
  const count = FULL ? 8_000_000 : 600_000;
  const namespace = lab.namespace('flood');
  lab.sh(
    `nft add table inet f
     nft 'add chain inet f out { type filter hook output priority 0; }'
     nft 'add rule inet f out meta l4proto udp counter log group 7'`,
    namespace,
  );
  const text = `[global]
stack=log1:NFLOG,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,print1:PRINTPKT,emu1:LOGEMU
[log1]
group=7
netlink_socket_buffer_size=1048576
[emu1]
file="/out/packets.log"
`;
  const daemon = await Daemon.start(lab, text, { namespace });
  // The daemon shares its processors with the flood; stopped for a moment, it is sure to miss some.
  daemon.signal('SIGSTOP');
  lab.sh(`${flood} 50000`, namespace);
  daemon.signal('SIGCONT');
  const began = performance.now();
  lab.sh(`${flood} ${count}`, namespace);
  const seconds = (performance.now() - began) / 1000;
  // The next packet that comes shows what was lost before it.
  await daemon.logged('the kernel dropped packets');
  lab.sh('sleep 1', namespace);
  sendDatagrams(lab, namespace, 1);
  expect(await daemon.stop()).toBe(0);
  const counted = Number(/packets (\d+)/.exec(lab.sh('nft list chain inet f out', namespace))?.[1]);
  const { events, gaps, lost, exact } = await tally(daemon.folder.file('packets.log'));
  console.log(
    `packets: ${counted} logged at ${Math.round(count / seconds)}/s, ${events} written, ${lost} lost in ${gaps} gaps`,
  );
  expect(counted).toBeGreaterThan(count);
  expect(lost).toBeGreaterThan(0);
  expect(events + lost).toBe(counted);
  expect(exact).toBe(true);
  expect(gaps, 'one a second at most').toBeLessThan(seconds + 10);
  expect(daemon.log).toContain(`emu1:LOGEMU: ${events} written`);
  const said = daemon.log.split('\n').filter((line) => line.includes('the kernel dropped'));
  expect(said.length, 'one line a second at most').toBeLessThan(seconds + 10);
});

describe('connections created as fast as they go, then flushed at once', () => {
  test('what is missing from the file is in gap records', async () => {
    const max = Number(lab.sh('cat /proc/sys/net/netfilter/nf_conntrack_max'));
    const count = Math.min(FULL ? 1_000_000 : 100_000, Math.floor(max * 0.9));
    const namespace = lab.namespace('churn');
    lab.sh('sysctl -qw net.netfilter.nf_conntrack_events=1 net.netfilter.nf_conntrack_udp_timeout=600', namespace);
    lab.sh(
      `nft add table inet t; nft 'add chain inet t o { type filter hook output priority 0; }'; nft 'add rule inet t o ct state new counter'`,
      namespace,
    );
    // Small enough to overflow: the loss is what is tested.
    const size = FULL ? 64 << 20 : 1 << 20;
    const buffer = `netlink_socket_buffer_size=${size}\nnetlink_socket_buffer_maxsize=${size * 2}\n`;
    const daemon = await Daemon.start(lab, `${FLOWS}hash_enable=0\n${buffer}`, { namespace });
    lab.sh(`${flood} ${count}`, namespace);
    const flows = Number(lab.sh('cat /proc/sys/net/netfilter/nf_conntrack_count', namespace));
    lab.sh('conntrack -F', namespace);
    expect(await daemon.stop()).toBe(0);
    const { events, lost, exact } = await tally(daemon.folder.file('flows.json'));
    console.log(`connections: ${flows} created and ended, ${events} events written, ${lost} lost by estimate`);
    expect(flows).toBeGreaterThan(count * 0.99);
    expect(lost === 0 || !exact).toBe(true);
    if (FULL) expect(lost / (2 * flows), 'share of the events').toBeLessThan(0.02);
    expect(Math.abs(events + lost - 2 * flows)).toBeLessThan(2 * flows * 0.005);
  });
});
