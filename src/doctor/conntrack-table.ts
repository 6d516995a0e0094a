import type { Check, Finding } from './check.ts';
import { sysctlRemedy } from './sysctl.ts';
import type { View } from './view.ts';

/** `reliable=1` is given up at four fifths (src/input/conntrack/reliable-mode.ts); behind nine tenths it is a matter of time. */
const HIGH = 0.8;
const FULL = 0.95;
/** Entries in a bucket when the table is full: the kernel's own default is 1 (nf_conntrack_init_start). */
const LONG_CHAIN = 8;

/** nf_conntrack_max, _buckets, _count, and what the kernel had to give up. */
export const conntrackTable: Check = {
  name: 'conntrack-table',
  about: "How full the kernel's table of connections is, and whether it had to turn connections away.",
  look: (site) =>
    site.views.filter((view) => site.readsConnections(view)).flatMap((view) => [...fill(view), ...losses(view)]),
};

function fill(view: View): Finding[] {
  const [count, max, buckets] = ['count', 'max', 'buckets'].map((what) =>
    Number(view.sysctl(`net.netfilter.nf_conntrack_${what}`) ?? Number.NaN),
  ) as [number, number, number];
  const findings: Finding[] = [];
  if (max > 0 && count / max >= HIGH) {
    findings.push({
      severity: count / max >= FULL ? 'error' : 'warning',
      view,
      message: `the table of connections holds ${count} of ${max}: when it is full the kernel drops the packets of new connections, and they are in no log`,
      remedy: sysctlRemedy(view.first, 'net.netfilter.nf_conntrack_max', max * 2),
    });
  }
  if (max / buckets > LONG_CHAIN) {
    findings.push({
      severity: 'note',
      view,
      message: `nf_conntrack_max is ${max} and nf_conntrack_buckets ${buckets}: with a full table each look-up walks ${Math.round(max / buckets)} entries`,
      remedy: sysctlRemedy(view.first, 'net.netfilter.nf_conntrack_buckets', max),
    });
  }
  return findings;
}

const COUNTERS: Readonly<Record<string, string>> = {
  drop: 'packets were dropped because the table was full: their connections are in no log',
  early_drop: 'connections were forgotten early to make room: their records end before they did',
  insert_failed: 'connections lost a race for their entry: the packet was dropped, mostly to be sent again',
};

/** Counters since the namespace was made: nothing resets them, so they are no more than worth a look. */
function losses(view: View): Finding[] {
  const statistics = view.read('/proc/net/stat/nf_conntrack');
  if (statistics === undefined) {
    const message = 'the kernel does not show /proc/net/stat/nf_conntrack: "conntrack -S" may have what it gave up';
    return view.sysctl('net.netfilter.nf_conntrack_count') === undefined ? [] : [{ severity: 'note', view, message }];
  }
  const [names = [], ...processors] = statistics.split('\n').map((line) => line.trim().split(/\s+/));
  return Object.entries(COUNTERS).flatMap(([name, means]): Finding[] => {
    const column = names.indexOf(name);
    const sum = processors.reduce((total, row) => total + Number.parseInt(row[column] || '0', 16), 0);
    return column >= 0 && sum > 0 ? [{ severity: 'note', view, message: `${name} is ${sum} so far: ${means}` }] : [];
  });
}
