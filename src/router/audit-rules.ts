import type { ExecFileException } from 'node:child_process';
import { execFile } from 'node:child_process';

/** Name of the table that is ours, and nobody else's, in each namespace that is audited. */
export const AUDIT_TABLE = 'flowlogd_audit';
/** Connections a second that are judged unless one says otherwise: what Neutron's packet log takes, too. */
export const DEFAULT_LIMIT = '100/second';

/** How the two rules of `--group` call what they log, in front of all others and behind them. */
export const AUDIT_PREFIX = { before: 'flowlogd NEW ', behind: 'flowlogd ACCEPT ' } as const;

const LIMIT = /^([1-9]\d{0,8})\/(second|minute|hour|day)$/;
/** A user's PATH often lacks the folder where nft is. */
const environment = { ...process.env, PATH: `${process.env.PATH ?? ''}:/usr/sbin:/sbin`, LC_ALL: 'C' };

/** What is wrong with a limit such as 100/second; undefined when nothing is. */
export const limitFault = (text: string): string | undefined =>
  LIMIT.test(text)
    ? undefined
    : `"${text}" is no limit: write a number and a unit, such as ${DEFAULT_LIMIT} or 20/minute`;

export interface AuditSettings {
  /** Connections that are judged at most, such as 100/second; as many may follow a pause at once. */
  readonly limit: string;
  /** NFLOG group that gets the first packet of each connection too; undefined for none. */
  readonly group?: number;
}

/** What the rules of one hook have counted, in packets. */
export interface AuditCounts {
  readonly hook: string;
  /** First packets of connections, and packets that belong to none (INVALID). */
  readonly seen: number;
  /** Those of them that the limit let have a verdict. */
  readonly judged: number;
  /** Those of `seen` that came out behind the other rules. */
  readonly passed: number;
}

/** Hooks that are audited: what is sent on, and what is for the router itself. */
export const AUDIT_HOOKS = ['forward', 'input'];
/** Ports and TCP's sequence number, or the like: a packet is known again by it, also one that belongs to no connection. */
const PACKET = '@th,0,64';
/** The first packet of a connection, which is entered into the kernel's table only when it has passed everything; and what is no part of one. */
const WHOM = ['ct state new ct status & confirmed == 0', 'ct state invalid'];

/**
 * The rules, for `nft -f -`: one transaction, whatever was there before. They see packets before mangle and after security,
 * between which are the rules of everybody else, and decide nothing.
 */
export function auditScript({ limit, group }: AuditSettings): string {
  const burst = LIMIT.exec(limit)?.[1] ?? '1';
  const rate = `limit rate ${limit} burst ${burst} packets`;
  const logged = (rule: string) => (group === undefined ? '' : rule);
  const log = (prefix: string) => `log prefix "${prefix}" group ${group}`;
  // What is logged in front and accepted is logged behind, and nothing else is: a limit of its own would let other packets pass.
  const judged = logged(`  set judged {
    typeof ${PACKET}
    size 65535
    flags dynamic,timeout
    timeout 10s
  }
`);
  const note = logged(` update @judged { ${PACKET} } ${log(AUDIT_PREFIX.before)}`);
  const chains = AUDIT_HOOKS.map(
    (hook) => `  chain ${hook}_before {
    type filter hook ${hook} priority -160; policy accept;
${WHOM.map((whom) => `    ${whom} counter ${rate} counter meta nftrace set 1${note}`).join('\n')}
  }
  chain ${hook}_after {
    type filter hook ${hook} priority 60; policy accept;
${WHOM.map((whom) => `    ${whom} counter`).join('\n')}
${WHOM.map((whom) => logged(`    ${whom} ${PACKET} @judged ${log(AUDIT_PREFIX.behind)}\n`)).join('')}    meta nftrace set 0
  }`,
  );
  // The first line makes sure that there is something to delete.
  return `table inet ${AUDIT_TABLE}
delete table inet ${AUDIT_TABLE}
table inet ${AUDIT_TABLE} {
${judged}${chains.join('\n')}
}
`;
}

/** Puts the rules into a namespace (a file; undefined for our own), in place of any that are there. Throws with a message for the operator. */
export const installAudit = (namespace: string | undefined, settings: AuditSettings): Promise<string> =>
  inside(namespace, ['nft', '-f', '-'], auditScript(settings));

/** Takes the rules out of a namespace where they are. Throws with a message for the operator. */
export const removeAudit = (namespace: string | undefined): Promise<string> =>
  inside(namespace, ['nft', 'delete', 'table', 'inet', AUDIT_TABLE]);

/** What the rules in a namespace where they are have counted. Throws with a message for the operator. */
export const auditCounts = async (namespace: string | undefined): Promise<AuditCounts[]> =>
  countsIn(await inside(namespace, ['nft', '-j', 'list', 'table', 'inet', AUDIT_TABLE]));

/** Whether a namespace has rules of iptables-legacy, which nobody traces: their verdicts stay unknown. */
export async function hasLegacyRules(namespace: string | undefined): Promise<boolean> {
  const files = ['/proc/net/ip_tables_names', '/proc/net/ip6_tables_names'];
  return (await inside(namespace, ['cat', ...files]).catch((error: NftRefusal) => error.output ?? '')) !== '';
}

/** The program ran and ended with an error. */
class NftRefusal extends Error {
  readonly output: string | undefined;

  constructor(message: string, output?: string) {
    super(message);
    this.output = output;
  }
}

function inside(namespace: string | undefined, words: readonly string[], input = ''): Promise<string> {
  const [command, ...args] = namespace === undefined ? words : ['nsenter', `--net=${namespace}`, ...words];
  return new Promise((resolve, reject) => {
    const child = execFile(command as string, args, { env: environment }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else reject(refusal(words[0] as string, error, stdout, stderr));
    });
    child.stdin?.on('error', () => {}); // it did not want to read: its exit code says why
    child.stdin?.end(input);
  });
}

function refusal(program: string, error: ExecFileException, stdout: string, stderr: string): Error {
  const [line = ''] = stderr.trim().split('\n');
  if (error.code === 'ENOENT' || line.includes(`failed to execute ${program}`))
    return new Error(`${program} is not installed: the audit rules need it (Debian package nftables)`);
  if (line.startsWith('nsenter:')) return new Error(line);
  return new NftRefusal(`${program}: ${line || error.message}`, stdout);
}

interface Rule {
  readonly chain: string;
  readonly expr: readonly { readonly counter?: { readonly packets: number } }[];
}

function countsIn(json: string): AuditCounts[] {
  const { nftables } = JSON.parse(json) as { nftables: readonly { readonly rule?: Rule }[] };
  const rules = nftables.flatMap(({ rule }) => (rule === undefined ? [] : [rule]));
  const sum = (chain: string, place: number): number =>
    rules
      .filter((rule) => rule.chain === chain)
      .map(({ expr }) => expr.flatMap(({ counter }) => (counter === undefined ? [] : [counter.packets]))[place] ?? 0)
      .reduce((total, one) => total + one, 0);
  return AUDIT_HOOKS.map((hook) => ({
    hook,
    seen: sum(`${hook}_before`, 0),
    judged: sum(`${hook}_before`, 1),
    passed: sum(`${hook}_after`, 0),
  }));
}
