// Reliable mode with a table that fills up. Its limit is the machine's own (net.netfilter.nf_conntrack_max, which a network
// namespace cannot set), so the table of a namespace is filled to four fifths of that.
import { afterAll, afterEach, expect, test } from 'vitest';
import { Lab } from '../../scripts/lab.js';
import { Daemon, FLOWS, killRest } from '../support/daemon.ts';
import { compile } from '../support/program.ts';

const lab = new Lab();
const flood = compile('flood', lab.directory);
afterEach(killRest);
afterAll(() => lab.close());

test('is left, and says so, when the table is four fifths full, and comes back when it is not: no new connection is refused', {
  timeout: 600_000,
}, async () => {
  const namespace = lab.namespace('reliable');
  lab.sh('sysctl -qw net.netfilter.nf_conntrack_events=1 net.netfilter.nf_conntrack_udp_timeout=600', namespace);
  lab.sh(
    `nft add table inet t; nft 'add chain inet t o { type filter hook output priority 0; }'; nft 'add rule inet t o ct state new counter'`,
    namespace,
  );
  const most = Number(lab.sh('cat /proc/sys/net/netfilter/nf_conntrack_max', namespace));
  // That each connection ends is not what is tested here: none of them passes the filter.
  const options = 'reliable=1\nhash_enable=0\nevent_mask=4\naccept_proto_filter=tcp\n';
  const daemon = await Daemon.start(lab, FLOWS + options, { namespace });
  const is = (what: string) => `connections: reliable mode is ${what}`;
  lab.sh(`${flood} ${Math.round(most * 0.82)}`, namespace);
  await daemon.logged(is('left'));
  const [, entries] = new RegExp(`(\\d+) of ${most} ${is('left')}`).exec(daemon.log) ?? [];
  expect(Number(entries)).toBeGreaterThanOrEqual(most * 0.8);
  expect(daemon.log).not.toContain(is('taken up'));
  expect(lab.sh('conntrack -S', namespace)).not.toMatch(/ drop=[1-9]/);
  lab.sh('conntrack -F', namespace);
  await daemon.logged(is('taken up again'));
  expect(await daemon.stop()).toBe(0);
  expect(daemon.log.split(is('left'))).toHaveLength(2);
});
