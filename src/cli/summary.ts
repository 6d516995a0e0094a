import { imbalances, type OutputLedger, outputLedger, outputLedgers, Past, sinksOf } from '../pipeline/books.ts';
import { type InputLedger, type OutputAccount, total } from '../pipeline/ledger.ts';
import type { Source } from '../pipeline/link.ts';

/** The counters of every input and of what hangs on it, a line each; `past` is of sources that have ended. */
export function summary(sources: readonly Source[], past?: Past): string[] {
  return [
    ...sources.flatMap(sourceSummary),
    ...sharedSinks(sources, past),
    ...(past ? pastSummary(past) : []),
    // Books that nobody checks are worth little.
    ...imbalances(sources, past).map((fault) => `the ledger does not balance: ${fault}`),
  ];
}

/** The counters of one input and of what hangs on it. */
export function sourceSummary(source: Source): string[] {
  return [inputLine(source), ...outputLedgers(source).map((one) => `  ${outputLine(one)}`)];
}

/** A destination of several stacks, or of inputs that are gone too, writes the events of all: it has a line of its own. */
function sharedSinks(sources: readonly Source[], past = new Past()): string[] {
  return sinksOf(sources, past).flatMap(({ feeders, account }) => {
    const shared = feeders.find(([source, stage]) => !writesItsOwnAlone(outputLedger(source, stage)));
    return shared ? [`${shared[1].name}, all together: ${ending(account)}`] : [];
  });
}

/** Whether what a destination has done with events is what this stack gave it. */
const writesItsOwnAlone = ({ taken, written, queued, spooled = 0, dropped }: OutputLedger): boolean =>
  taken === written + queued + spooled + total(dropped);

/** What was counted of inputs that a reload or the end of their namespace has ended. */
function pastSummary({ sources, counts, failed, dropped }: Past): string[] {
  if (sources === 0) return [];
  return [
    [
      `inputs that are gone: ${sources}`,
      ...received(counts),
      ...above0(failed, 'failed'),
      ...above0(dropped, 'dropped'),
    ].join(', '),
  ];
}

function inputLine({ name, counts, service }: Source): string {
  const special = Object.entries(service.counters?.() ?? {}).flatMap(([what, count]) => above0(count, what));
  return `${name}: ${[...received(counts), ...special].join(', ')}`;
}

function received({ received, malformed, lost, lostEstimated, overruns }: InputLedger): string[] {
  return [
    `${received} events received`,
    ...above0(malformed, 'malformed'),
    ...above0(lost, 'lost in the kernel'),
    ...above0(lostEstimated, 'lost in the kernel by estimate'),
    ...above0(overruns, 'overruns'),
  ];
}

function outputLine(ledger: OutputLedger): string {
  const { name, taken, filtered, failed } = ledger;
  const end = writesItsOwnAlone(ledger) ? ending(ledger) : `${taken} taken`;
  return [`${name}: ${end}`, ...each(filtered, 'stopped by'), ...each(failed, 'failed in')].join(', ');
}

/** What became of events that an output took. */
function ending({ written, queued, spooled = 0, dropped }: Omit<OutputAccount, 'sink'>): string {
  return [
    `${written} written`,
    ...above0(queued, 'queued'),
    ...above0(spooled, 'spooled'),
    ...each(dropped, 'dropped:'),
  ].join(', ');
}

const above0 = (count: number, what: string): string[] => (count > 0 ? [`${count} ${what}`] : []);
const each = (counts: Readonly<Record<string, number>>, what: string): string[] =>
  Object.entries(counts).flatMap(([name, count]) => above0(count, `${what} ${name}`));
