import type { OptionSpec } from '../config/option.ts';
import type { Plugin } from '../pipeline/plugin.ts';
import { linkTo, page, table } from './markdown.ts';

/** Every plugin of ulogd 2.0.8, and its options with their defaults, as `ulogd --info` prints them; `!` is one without. */
export const ULOGD: Readonly<Record<string, string>> = {
  NFLOG:
    'bufsize=150000 group=0 unbind=1 bind=0 seq_local=0 seq_global=0 numeric_label=0 netlink_socket_buffer_size=0 netlink_socket_buffer_maxsize=0 netlink_qthreshold=0 netlink_qtimeout=0 attach_conntrack=0',
  NFCT: 'pollinterval=0 hash_enable=1 hash_buckets=8192 hash_max_entries=32768 event_mask=5 netlink_socket_buffer_size=0 netlink_socket_buffer_maxsize=0 netlink_resync_timeout=60 reliable=0 accept_src_filter= accept_dst_filter= accept_proto_filter=',
  NFACCT: 'pollinterval=0 zerocounter=1 timestamp=0',
  UNIXSOCK: 'socket_path=/var/run/ulogd/ulogd2.sock bufsize=0 perms=384 owner= group=',
  ULOG: 'bufsize=150000 nlgroup=32 rmem=131071 numeric_label=0',
  BASE: '',
  HWHDR: '',
  IFINDEX: '',
  IP2BIN: '',
  IP2HBIN: '',
  IP2STR: '',
  MARK: 'mark=0 mask=-1',
  PRINTFLOW: '',
  PRINTPKT: '',
  PWSNIFF: '',
  GPRINT: 'file=/var/log/ulogd_gprint.log sync=0 timestamp=0',
  GRAPHITE: 'host= port= prefix=',
  IPFIX: 'oid=0 host= port=4739 proto=tcp mtu=512 send_template=once',
  JSON: 'file=/var/log/ulogd.json sync=0 timestamp=1 eventv1=0 device=Netfilter boolean_label=0 mode=file host=127.0.0.1 port=12345',
  LOGEMU: 'file=/var/log/ulogd_syslogemu.log sync=0',
  NACCT: 'file=/var/log/ulogd_nacct.log sync=0',
  OPRINT: 'file=/var/log/ulogd_oprint.log sync=0',
  PCAP: 'file=/var/log/ulogd.pcap sync=0',
  SYSLOG: 'facility=LOG_KERN level=LOG_NOTICE',
  XML: 'directory=/var/log/ sync=0 stdout=0',
  SQLITE3: 'db! table!',
  DBI: 'table! reconnect=2 connect_timeout=0 procedure! backlog_memcap=0 backlog_oneshot_requests=10 ring_buffer_size=0 db! dbtype! host= user! pass= port=0 schema=public',
  MYSQL:
    'table! reconnect=2 connect_timeout=0 procedure! backlog_memcap=0 backlog_oneshot_requests=10 ring_buffer_size=0 db! host! user! pass! port=0',
  PGSQL:
    'table! reconnect=2 connect_timeout=0 procedure! backlog_memcap=0 backlog_oneshot_requests=10 ring_buffer_size=0 db! host= user! pass= port=0 schema=public connstring=',
};

/** What this version does for each plugin and each option of ulogd2. `shown` writes a default. */
export function ulogdPage(catalog: readonly Plugin[], shown: (spec: OptionSpec) => string): string {
  const parts = Object.entries(ULOGD).map(([name, words]) => {
    const plugin = catalog.find((one) => one.name === name);
    const rows = words
      .split(' ')
      .filter(Boolean)
      .map((word) => optionRow(word, plugin, shown));
    const options =
      rows.length > 0
        ? table(['option', 'default in ulogd', 'default here', 'what it does here'], rows)
        : 'No options.';
    return `## ${name}\n\n${plugin ? `[${plugin.summary}](${name.toLowerCase()}.md)` : absence(name)}\n\n${options}`;
  });
  const more = [...new Set(catalog.map(({ name }) => name))].filter((name) => !(name in ULOGD)).map(linkTo);
  return page(
    'Plugins and options of ulogd 2.0.8',
    'What flowlogd does for each of them. A `plugin=` line for any is accepted. Options that flowlogd has beyond ulogd are on the page of each plugin; values that differ are in [the list of differences](../ulogd-compatibility.md).',
    more.length > 0 ? `Plugins that ulogd does not have: ${more.join(', ')}.` : '',
    ...parts,
  );
}

const absence = (name: string): string =>
  name === 'ULOG'
    ? 'An error that says so: the kernel has no ULOG since Linux 3.17. Use [NFLOG](nflog.md).'
    : 'Not in this version: a stack that needs it is an error that `flowlogd check` names.';

function optionRow(word: string, plugin: Plugin | undefined, shown: (spec: OptionSpec) => string): string[] {
  const [option = '', value] = word.replace('!', '').split('=');
  const theirs = value === undefined ? 'must be given' : value === '' ? 'none' : `\`${value}\``;
  const spec = plugin?.options[option];
  if (!spec) return [`\`${option}\``, theirs, '', plugin ? 'Not known: an error.' : ''];
  return [`\`${option}\``, theirs, spec.required ? 'must be given' : shown(spec), spec.doc];
}

/** The same in a few lines, for the README: links lead from there. */
export function ulogdSummary(catalog: readonly Plugin[]): string {
  const names = Object.keys(ULOGD);
  const find = (name: string) => catalog.find((plugin) => plugin.name === name);
  const link = (name: string) => `[${name}](docs/reference/${name.toLowerCase()}.md)`;
  const rows = (['input', 'filter', 'output'] as const).map((role) => [
    `${role}s`,
    names
      .filter((name) => find(name)?.role === role)
      .map(link)
      .join(', '),
    'every option',
  ]);
  const missing = names.filter((name) => !find(name) && name !== 'ULOG');
  return table(
    ['ulogd2', '', 'flowlogd'],
    [
      ...rows,
      ['input', 'ULOG', 'an error that says so: the kernel has none since Linux 3.17'],
      ...(missing.length > 0 ? [['outputs', missing.join(', '), 'not in this version']] : []),
    ],
  );
}
