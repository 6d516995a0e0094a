import type { Step } from '../pipeline/plan.ts';
import { describeHolder, type GroupHolder, groupHolders } from '../system/nflog-holder.ts';
import type { Check, Finding } from './check.ts';
import { type LogRule, readLogRules } from './log-rules.ts';
import type { Site } from './site.ts';
import type { View } from './view.ts';

/** Who reads NFLOG groups, and which rules feed them. */
export const nflogGroups: Check = {
  name: 'nflog-groups',
  about: 'Whether each NFLOG group has a rule that feeds it and a program that reads it.',
  look: (site) => site.views.flatMap((view) => lookInto(view, site)),
};

function lookInto(view: View, site: Site): Finding[] {
  const holders = groupHolders(
    view.read('/proc/net/netfilter/nfnetlink_log') ?? '',
    view.read('/proc/net/netlink') ?? '',
  );
  const inputs = site.inputs('NFLOG', view);
  const { rules, unread } = readLogRules(view);
  return [
    ...unread.map((why): Finding => ({ severity: 'unknown', view, message: `not every rule could be read: ${why}` })),
    ...inputs.flatMap((input) => taken(input, holders, view)),
    ...unheard(rules, inputs, holders, view),
    ...(unread.length > 0 ? [] : inputs.flatMap((input) => unfed(input, rules, view))),
  ];
}

const groupOf = ({ options }: Step): number => options.group as number;

/** A daemon of our own that holds the group is what one wants. */
function taken(input: Step, holders: readonly GroupHolder[], view: View): Finding[] {
  const group = groupOf(input);
  const holder = holders.find((one) => one.group === group);
  if (holder === undefined || holder.process?.name === 'flowlogd') return [];
  const message = `NFLOG group ${group} of [${input.id}] is held by ${describeHolder(holder)}: a group has one reader, so flowlogd will not get its packets`;
  const pid = holder.process?.pid;
  return [{ severity: 'error', view, message, ...(pid ? { remedy: { command: ['kill', `${pid}`] } } : {}) }];
}

function unheard(
  rules: readonly LogRule[],
  inputs: readonly Step[],
  holders: readonly GroupHolder[],
  view: View,
): Finding[] {
  const read = new Set([...inputs.map(groupOf), ...holders.map(({ group }) => group)]);
  const unread = new Set(rules.map(({ group }) => group).filter((group) => !read.has(group)));
  return [...unread].map((group): Finding => {
    const logging = rules.filter((rule) => rule.group === group);
    const places = placesOf(logging);
    const keep = `shows them; a stack whose NFLOG has group=${group} reads them, or remove them`;
    return {
      severity: 'warning',
      view,
      message: `nobody reads NFLOG group ${group}: what its rules log is lost (${places})`,
      remedy: { command: view.words(...(logging[0]?.show ?? [])), keep },
    };
  });
}

/** The system's logger of packets (group 0, or bind=1) is also fed by the kernel itself, without a rule. */
function unfed({ id, options }: Step, rules: readonly LogRule[], view: View): Finding[] {
  const group = options.group as number;
  if (group === 0 || options.bind === true || rules.some((rule) => rule.group === group)) return [];
  const message = `no rule logs to NFLOG group ${group} of [${id}]: it will get no packet`;
  const rule = `iptables -I FORWARD -m conntrack --ctstate NEW -j NFLOG --nflog-group ${group}`;
  const remedy = { command: view.words(...rule.split(' ')), keep: 'an example, and it belongs to your other rules' };
  return [{ severity: 'warning', view, message, remedy }];
}

function placesOf(rules: readonly LogRule[]): string {
  const places = rules.slice(0, 3).map(({ place }) => place);
  return places.join('; ') + (rules.length > 3 ? `; and ${rules.length - 3} more` : '');
}
