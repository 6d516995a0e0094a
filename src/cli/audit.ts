import { join } from 'node:path';
import { namespaceMatcher } from '../pipeline/namespace.ts';
import {
  type AuditCounts,
  auditCounts,
  auditScript,
  hasLegacyRules,
  installAudit,
  removeAudit,
} from '../router/audit-rules.ts';
import { hasAuditTable } from '../router/audit-table.ts';
import { NETNS, namespaceNames } from '../system/namespaces.ts';
import type { AuditArguments } from './arguments.ts';

const LEGACY =
  'it has rules of iptables-legacy, which the kernel does not trace: VERDICT tells what they drop, and not which rule did';

/** `flowlogd audit`: the rules that VERDICT reads from, in each namespace that is meant. Returns 1 if any of them failed. */
export async function audit(args: AuditArguments): Promise<number> {
  const targets = targetsOf(args.netns);
  if (targets.length === 0) {
    process.stderr.write(`flowlogd: no namespace in ${NETNS} matches "${args.netns}"\n`);
    return 1;
  }
  let failures = 0;
  for (const target of targets) {
    try {
      process.stdout.write(`${await act(args, target)}\n`);
    } catch (error) {
      process.stderr.write(`flowlogd: ${target.name}: ${(error as Error).message}\n`);
      failures++;
    }
  }
  return failures > 0 ? 1 : 0;
}

interface Target {
  /** As it is called in messages. */
  readonly name: string;
  /** Undefined for our own namespace. */
  readonly path: string | undefined;
}

function targetsOf(pattern: string | undefined): Target[] {
  if (pattern === undefined) return [{ name: 'this namespace', path: undefined }];
  const matches = namespaceMatcher(pattern);
  return namespaceNames()
    .filter(matches)
    .map((name) => ({ name, path: join(NETNS, name) }));
}

/** Returns what there is to say. */
async function act(args: AuditArguments, { name, path }: Target): Promise<string> {
  const { action, limit, group, dryRun } = args;
  const isThere = hasAuditTable(path);
  if (action !== 'install') {
    if (!isThere) return `${name}: not installed`;
    if (action === 'show') return `${name}: ${describe(await auditCounts(path))}`;
    if (dryRun) return `${name}: would be removed`;
    await removeAudit(path);
    return `${name}: removed`;
  }
  const settings = { limit, ...(group === undefined ? {} : { group }) };
  if (dryRun)
    return `# ${name}${path === undefined ? '' : `: nsenter --net=${path} nft -f -`}\n${auditScript(settings)}`;
  await installAudit(path, settings);
  if (await hasLegacyRules(path)) process.stderr.write(`flowlogd: ${name}: ${LEGACY}\n`);
  return `${name}: installed`;
}

function describe(counts: readonly AuditCounts[]): string {
  const hooks = counts.map(
    ({ hook, seen, judged, passed }) => `${hook} ${seen} seen, ${judged} judged, ${passed} let through`,
  );
  return `installed; ${hooks.join('; ')}`;
}
