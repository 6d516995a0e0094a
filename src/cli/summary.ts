import { type InputLedger, imbalances, type OutputLedger, outputLedgers, type Past } from '../pipeline/ledger.ts';
import type { Source } from '../pipeline/link.ts';

/** The counters of every input and of what hangs on it, a line each; `past` is of sources that have ended. */
export function summary(sources: readonly Source[], past?: Past): string[] {
  return [
    ...sources.flatMap(sourceSummary),
    ...(past ? pastSummary(past) : []),
    // Books that nobody checks are worth little.
    ...imbalances(sources, past).map((fault) => `the ledger does not balance: ${fault}`),
  ];
}

/** The counters of one input and of what hangs on it. */
export function sourceSummary(source: Source): string[] {
  return [inputLine(source), ...outputLedgers(source).map((one) => `  ${outputLine(one)}`)];
}

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

function outputLine({ name, written, queued, spooled = 0, filtered, failed, dropped }: OutputLedger): string {
  return [
    `${name}: ${written} written`,
    ...above0(queued, 'queued'),
    ...above0(spooled, 'spooled'),
    ...each(filtered, 'stopped by'),
    ...each(failed, 'failed in'),
    ...each(dropped, 'dropped:'),
  ].join(', ');
}

const above0 = (count: number, what: string): string[] => (count > 0 ? [`${count} ${what}`] : []);
const each = (counts: Readonly<Record<string, number>>, what: string): string[] =>
  Object.entries(counts).flatMap(([name, count]) => above0(count, `${what} ${name}`));
