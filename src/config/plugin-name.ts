import { suggestion } from './nearest.ts';
import { quote } from './problem.ts';

/** Plugins that configurations still name although the kernel has dropped what they read. */
const GONE: ReadonlyMap<string, string> = new Map([['ULOG', 'the kernel has no ULOG since Linux 3.17: use NFLOG']]);

/** Everything that ulogd 2.0.8 or 2.0.9 can load: a `plugin=` line for one of these is never a mistake. */
const ULOGD: ReadonlySet<string> = new Set(
  (
    'NFLOG ULOG UNIXSOCK NFCT NFACCT IFINDEX IP2STR IP2BIN IP2HBIN PRINTPKT PRINTFLOW HWHDR MARK PWSNIFF BASE ' +
    'LOGEMU SYSLOG XML SQLITE3 GPRINT OPRINT NACCT PCAP PGSQL MYSQL DBI GRAPHITE JSON IPFIX'
  ).split(' '),
);

/** True when a `plugin=` line may name it: a plugin of ours, or one of ulogd's that no stack need use. */
export const isLoadable = (name: string, known: readonly string[]): boolean => known.includes(name) || ULOGD.has(name);

/** The plugin that a `plugin=` line loads: NFLOG for `/usr/lib/ulogd/ulogd_inppkt_NFLOG.so`; undefined for other files. */
export function pluginOfPath(path: string): string | undefined {
  const base = path.slice(path.lastIndexOf('/') + 1);
  return /^ulogd_(?:inppkt|inpflow|filter|output|raw2packet)_(\w+)\.so$/.exec(base)?.[1];
}

/** The message for a plugin that there is not, with what was probably meant. */
export function unknownPlugin(name: string, known: readonly string[]): string {
  const gone = GONE.get(name);
  if (gone !== undefined) return `unknown plugin ${quote(name)}: ${gone}`;
  if (ULOGD.has(name)) return `plugin ${quote(name)} of ulogd is not in this version of flowlogd`;
  return `unknown plugin ${quote(name)}${suggestion(name, known)}`;
}
