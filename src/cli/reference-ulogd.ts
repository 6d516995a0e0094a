import type { Plugin } from '../pipeline/plugin.ts';
import { codes, linkTo, page, table } from './markdown.ts';

/** Every plugin of ulogd 2.0.8 and its options, as `ulogd --info` prints them. */
const ULOGD: Readonly<Record<string, string>> = {
  NFLOG:
    'bufsize group unbind bind seq_local seq_global numeric_label netlink_socket_buffer_size netlink_socket_buffer_maxsize netlink_qthreshold netlink_qtimeout attach_conntrack',
  NFCT: 'pollinterval hash_enable hash_buckets hash_max_entries event_mask netlink_socket_buffer_size netlink_socket_buffer_maxsize netlink_resync_timeout reliable accept_src_filter accept_dst_filter accept_proto_filter',
  NFACCT: 'pollinterval zerocounter timestamp',
  UNIXSOCK: 'socket_path bufsize perms owner group',
  ULOG: 'bufsize nlgroup rmem numeric_label',
  BASE: '',
  HWHDR: '',
  IFINDEX: '',
  IP2BIN: '',
  IP2HBIN: '',
  IP2STR: '',
  MARK: 'mark mask',
  PRINTFLOW: '',
  PRINTPKT: '',
  PWSNIFF: '',
  GPRINT: 'file sync timestamp',
  GRAPHITE: 'host port prefix',
  IPFIX: 'oid host port proto mtu send_template',
  JSON: 'file sync timestamp eventv1 device boolean_label mode host port',
  LOGEMU: 'file sync',
  NACCT: 'file sync',
  OPRINT: 'file sync',
  PCAP: 'file sync',
  SYSLOG: 'facility level',
  XML: 'directory sync stdout',
  SQLITE3: 'db table',
  DBI: 'table reconnect connect_timeout procedure backlog_memcap backlog_oneshot_requests ring_buffer_size db dbtype host user pass port schema',
  MYSQL:
    'table reconnect connect_timeout procedure backlog_memcap backlog_oneshot_requests ring_buffer_size db host user pass port',
  PGSQL:
    'table reconnect connect_timeout procedure backlog_memcap backlog_oneshot_requests ring_buffer_size db host user pass port schema connstring',
};

/** What this version has of ulogd2: each plugin, and each option. */
export function ulogdPage(catalog: readonly Plugin[]): string {
  const rows = Object.entries(ULOGD).map(([name, words]) => {
    const theirs = words.split(' ').filter(Boolean);
    const plugin = catalog.find((one) => one.name === name);
    if (!plugin) return [name, 'no', '', codes(theirs), ''];
    const ours = Object.keys(plugin.options);
    return [
      linkTo(name),
      'yes',
      codes(theirs.filter((option) => ours.includes(option))),
      codes(theirs.filter((option) => !ours.includes(option))),
      codes(ours.filter((option) => !theirs.includes(option))),
    ];
  });
  const more = catalog.filter(({ name }) => !(name in ULOGD)).map(({ name }) => linkTo(name));
  return page(
    'Plugins and options of ulogd 2.0.8',
    'What this version of flowlogd knows of them. A `plugin=` line for any of them is accepted. A stack that needs one which is not here, and an option that is not known, are errors that `flowlogd check` names.',
    table(['plugin', 'here', 'options', 'options not here', 'options beyond ulogd'], rows),
    more.length > 0 ? `Plugins that ulogd does not have: ${more.join(', ')}.` : '',
    'The page of a plugin says what an option does, also where it is only accepted. The kernel has had no ULOG since Linux 3.17: use NFLOG.',
  );
}
