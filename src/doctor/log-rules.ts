import { isInstalled, type View } from './view.ts';

/** A firewall rule that hands packets to an NFLOG group. */
export interface LogRule {
  readonly group: number;
  /** Where it stands, as one would look for it. */
  readonly place: string;
  /** The command that shows it. */
  readonly show: readonly string[];
}

/** The rules of a namespace, and why they may not be all. */
export interface LogRules {
  readonly rules: readonly LogRule[];
  readonly unread: readonly string[];
}

/** Programs that print rules in the form of iptables-save; nftables' own names come from nft. */
const SAVERS = ['iptables-nft-save', 'ip6tables-nft-save', 'iptables-legacy-save', 'ip6tables-legacy-save'];

/** The kernel's list of tables that only the legacy programs see. */
const LEGACY_TABLES: Readonly<Record<string, string>> = {
  'iptables-legacy-save': '/proc/net/ip_tables_names',
  'ip6tables-legacy-save': '/proc/net/ip6_tables_names',
};

/** Reads the rules with the firewall's own tools. */
export function readLogRules(view: View): LogRules {
  const rules = new Map<string, LogRule>();
  const unread: string[] = [];
  const add = (found: readonly LogRule[]) => {
    for (const rule of found) rules.set(`${rule.place} ${rule.group}`, rule);
  };
  const attempt = (program: string, read: () => readonly LogRule[]) => {
    try {
      add(read());
    } catch (error) {
      unread.push(`${program} failed: ${(error as Error).message}`);
    }
  };
  if (isInstalled('nft')) attempt('nft', () => rulesOfNft(view.run('nft', '-j', 'list', 'ruleset')));
  for (const program of SAVERS) {
    const tables = LEGACY_TABLES[program];
    // The legacy programs load their kernel modules: not for rules that are not there.
    if (tables !== undefined && !view.read(tables)?.trim()) continue;
    if (isInstalled(program)) attempt(program, () => rulesOfSave(view.run(program), program));
    else if (tables !== undefined) unread.push(`${program} is not installed, and the kernel has rules of its kind`);
  }
  if (!isInstalled('nft') && !isInstalled('iptables-nft-save')) {
    unread.push('nft is not installed: rules of nftables were not looked at');
  }
  return { rules: [...rules.values()], unread };
}

interface NftRule {
  readonly family: string;
  readonly table: string;
  readonly chain: string;
  readonly expr: readonly { readonly log?: { readonly group?: number } | null }[];
}

/** Rules of `nft -j list ruleset` (libnftables-json(5)): a log statement without a group is not NFLOG's. */
export function rulesOfNft(json: string): LogRule[] {
  const { nftables } = JSON.parse(json) as { nftables: readonly { readonly rule?: NftRule }[] };
  return nftables.flatMap(({ rule }) =>
    (rule?.expr ?? []).flatMap(({ log }) =>
      rule === undefined || log?.group === undefined
        ? []
        : [
            {
              group: log.group,
              place: `nft ${rule.family} ${rule.table} ${rule.chain}`,
              show: ['nft', '-a', 'list', 'chain', rule.family, rule.table, rule.chain],
            },
          ],
    ),
  );
}

/** Rules of iptables-save; a target without --nflog-group logs to group 0. */
export function rulesOfSave(text: string, program: string): LogRule[] {
  const family = program.startsWith('ip6') ? 'ip6' : 'ip';
  const kind = program.includes('legacy') ? `${family}tables-legacy` : `nft ${family}`;
  let table = '';
  return text.split('\n').flatMap((line) => {
    if (line.startsWith('*')) table = line.slice(1);
    // A prefix in quotes may hold anything.
    const bare = line.replace(/"(?:[^"\\]|\\.)*"/g, '""');
    const chain = /^(?:\[\d+:\d+\] )?-A (\S+) .*-j NFLOG\b/.exec(bare)?.[1];
    if (chain === undefined) return [];
    const group = Number(/--nflog-group (\d+)/.exec(bare)?.[1] ?? 0);
    return [
      { group, place: `${kind} ${table} ${chain}`, show: [program.replace(/-save$/, ''), '-t', table, '-S', chain] },
    ];
  });
}
