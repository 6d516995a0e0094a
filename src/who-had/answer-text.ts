import { protocolName } from '../system/ip-protocol.ts';
import { type Answer, type Holder, plural } from './answer.ts';
import type { Evidence } from './evidence.ts';
import type { Question } from './question.ts';
import type { Searched } from './search.ts';
import type { End } from './translation.ts';

/** Connections shown of one holder: who wants all takes --json. */
const MOST_SHOWN = 20;
const CERTAINTY: Readonly<Record<Evidence['certainty'], string>> = {
  known: '',
  open: 'it had not ended when the files end',
  'end-unknown': 'nobody saw when it ended',
  'begin-unknown': 'nobody saw when it began',
};
const LABELS: Readonly<Record<string, string>> = {
  'server.name': 'server',
  'project.id': 'project',
  'router.id': 'router',
  'netns.name': 'namespace',
  'host.name': 'host',
  'port.id': 'port',
  'floating_ip.id': 'floating IP',
};

/** The answer for people; all times are UTC. */
export function answerText(answer: Answer): string {
  const { holders, doubts, gapsThatCount, files } = answer;
  const lines = [verdict(answer)];
  for (const doubt of doubts) lines.push(`Uncertain: ${doubt}.`);
  for (const holder of holders) lines.push('', ...holderLines(holder));
  if (holders.length === 0) lines.push(...nearestLines(answer));
  if (answer.untranslated > 0) {
    const count = plural(answer.untranslated, 'connection');
    lines.push('', `${count} of that time had ${end(answer.question)} as an end without translation: the host that`);
    lines.push('has the address itself, or one outside. These are not answers.');
  }
  if (answer.ends && !answer.begins) {
    lines.push(
      '',
      'These files tell of a connection when it has ended: one that was open when they end does not show.',
    );
  }
  if (gapsThatCount.length > 0) {
    lines.push('', 'Gaps, in which events were lost:');
    for (const { from, to, input, lost, exact, cause, path } of gapsThatCount) {
      const count = exact ? plural(lost, 'event') : `about ${plural(lost, 'event')}`;
      lines.push(`    ${time(from)} to ${time(to)}  ${input}: ${count}, ${cause} (${path})`);
    }
  }
  lines.push('', 'Searched:', ...files.map(fileLine));
  return `${lines.map(harmless).join('\n')}\n`;
}

function verdict({ question, holders, doubts }: Answer): string {
  const protocol = question.protocol === undefined ? '' : ` (${protocolName(question.protocol)})`;
  const asked = `${end(question)}${protocol} at ${moment(question)}`;
  const [best, ...others] = holders;
  if (best === undefined) return `Not found: nobody is known to have had ${asked}.`;
  const pause = question.within === 0 ? '' : ','; // behind "give or take"
  const was = `${pause} ${doubts.length === 0 ? 'was' : 'was, as far as these files tell,'}`;
  if (others.length === 0) return `${asked}${was} ${end(insideOf(best))}.`;
  return `${asked}${was} one of ${holders.length}, the most likely first.`;
}

/** With its port, where there is only one. */
function insideOf({ address, evidence }: Holder): End {
  const ports = new Set(evidence.flatMap(({ kind, inside }) => (kind === 'mapping' ? [] : [inside.port])));
  const [port] = ports;
  return ports.size === 1 && port !== undefined ? { address, port } : { address };
}

function holderLines(holder: Holder): string[] {
  const lines = [end(insideOf(holder))];
  for (const [key, label] of Object.entries(LABELS)) {
    const value = holder.identity[key];
    if (value !== undefined) lines.push(`    ${label}: ${value}`);
  }
  const shown = holder.evidence.slice(0, MOST_SHOWN);
  for (const one of shown) lines.push(`    ${evidenceText(one)}`);
  const rest = holder.evidence.length - shown.length;
  if (rest > 0) lines.push(`    and ${rest} more; --json lists all`);
  return lines;
}

function evidenceText(one: Evidence): string {
  const { kind, inside, translation, certainty, near } = one;
  const facts = [
    kind === 'mapping' ? `floating IP of ${inside.address}` : connection(translation, inside),
    span(one),
    CERTAINTY[certainty],
    near ? 'not at the time itself, but within the tolerance' : '',
  ];
  return facts.filter(Boolean).join('; ');
}

function connection(translation: Evidence['translation'], inside: End): string {
  const { protocol, peer, how, class: what } = translation ?? {};
  const name = protocol === undefined ? 'connection' : protocolName(protocol);
  const other = peer === undefined ? '' : how === 'dnat' ? ` from ${end(peer)}` : ` to ${end(peer)}`;
  return `${name}${other}, inside ${end(inside)} (${what ?? how})`;
}

function span({ begin, older, end: to, endAfter }: Evidence): string {
  const from = begin === undefined ? '' : `from ${older ? 'before ' : ''}${time(begin)}`;
  const until = to === undefined ? '' : `${endAfter === undefined ? 'to' : 'to some time before'} ${time(to)}`;
  return [from, until].filter(Boolean).join(' ');
}

function nearestLines({ before, after }: Answer): string[] {
  const lines: string[] = [];
  if (before !== undefined) lines.push('', 'The last before:', `    ${evidenceText(before)}`);
  if (after !== undefined) lines.push('', 'The next behind:', `    ${evidenceText(after)}`);
  return lines;
}

function fileLine({ path, lines, broken, from, to, error }: Searched): string {
  const what = [plural(lines, 'line')];
  if (from !== undefined && to !== undefined) what.push(`${time(from)} to ${time(to)}`);
  if (broken > 0) what.push(`${broken} broken`);
  if (error !== undefined) what.push(error);
  return `    ${path}: ${what.join(', ')}`;
}

const moment = ({ from, to, within }: Question): string => {
  const whole = to - from >= 59_000 ? 16 : 19;
  const text = from % 1000 === 0 && to - from > 900 ? `${new Date(from).toISOString().slice(0, whole)}Z` : time(from);
  return within === 0 ? text : `${text}, give or take ${within / 1000} s`;
};

const time = (ms: number): string => new Date(ms).toISOString();

/** An address, and its port if it has one. */
function end({ address, port }: End): string {
  if (port === undefined) return address;
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/** Names come from files that others may have written: they must not command the terminal. */
const harmless = (line: string): string => line.replace(/[\0-\x1f\x7f-\x9f]/g, '?');
