import type { OutputPlugin } from '../pipeline/plugin.ts';

type Load = () => Promise<{ default: OutputPlugin }>;

/** Every output, loaded when a stack names it. */
export const outputs: Readonly<Record<string, Load>> = {
  DBI: (() => import('./dbi.ts')) as Load,
  GPRINT: (() => import('./gprint.ts')) as Load,
  GRAPHITE: (() => import('./graphite.ts')) as Load,
  IPFIX: (() => import('./ipfix.ts')) as Load,
  JSON: (() => import('./json.ts')) as Load,
  LOGEMU: (() => import('./logemu.ts')) as Load,
  MYSQL: (() => import('./mysql.ts')) as Load,
  NACCT: (() => import('./nacct.ts')) as Load,
  NEUTRON: (() => import('./neutron.ts')) as Load,
  OPRINT: (() => import('./oprint.ts')) as Load,
  PCAP: (() => import('./pcap.ts')) as Load,
  PGSQL: (() => import('./pgsql.ts')) as Load,
  SQLITE3: (() => import('./sqlite3.ts')) as Load,
  SYSLOG: (() => import('./syslog.ts')) as Load,
  XML: (() => import('./xml.ts')) as Load,
};
