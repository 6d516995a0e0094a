import { compareEvidence, type Evidence } from './evidence.ts';
import type { Gap } from './gap.ts';
import type { Findings } from './search.ts';

/** Someone who had the address, and what shows it, best first. */
export interface Holder {
  readonly address: string;
  /** Router, project, server, by the keys of the records. */
  readonly identity: Readonly<Record<string, string>>;
  readonly evidence: readonly Evidence[];
}

/** Whether the files tell of the time that was asked for. */
export type Coverage = 'covered' | 'between' | 'not covered';

/** What the findings come to. */
export interface Answer extends Findings {
  /** The most likely first. */
  readonly holders: readonly Holder[];
  readonly coverage: Coverage;
  /** The gaps in which another answer may be hidden. */
  readonly gapsThatCount: readonly Gap[];
  /** Why the answer is not certain, a sentence each; none if it is. */
  readonly doubts: readonly string[];
  /** 0 found, 1 not found, 3 uncertain; 2 nothing could be read. */
  readonly exitCode: 0 | 1 | 2 | 3;
}

/** Weighs what was found. */
export function answer(findings: Findings): Answer {
  const holders = holdersOf(findings.evidence);
  const coverage = coverageOf(findings);
  const gapsThatCount = hidingGaps(findings);
  const doubts = doubtsOf(findings, holders, coverage, gapsThatCount);
  const readable = findings.files.some(({ unreadable }) => !unreadable);
  const exitCode = !readable ? 2 : doubts.length > 0 ? 3 : holders.length > 0 ? 0 : 1;
  return { ...findings, holders, coverage, gapsThatCount, doubts, exitCode };
}

/** Evidence by who it is about: one address is two holders when it is in two routers. */
function holdersOf(evidence: readonly Evidence[]): Holder[] {
  const holders: { address: string; identity: Record<string, string>; evidence: Evidence[] }[] = [];
  const byAddress = new Map<string, typeof holders>();
  for (const one of evidence.toSorted(compareEvidence)) {
    const { address } = one.inside;
    const same = byAddress.get(address) ?? [];
    const known = same.find(({ identity }) => isCompatible(identity, one.identity));
    if (known === undefined) {
      const holder = { address, identity: { ...one.identity }, evidence: [one] };
      holders.push(holder);
      byAddress.set(address, [...same, holder]);
    } else {
      for (const [key, value] of Object.entries(one.identity)) known.identity[key] ??= value;
      known.evidence.push(one);
    }
  }
  return holders;
}

const isCompatible = (one: Readonly<Record<string, string>>, other: Readonly<Record<string, string>>): boolean =>
  ['router.id', 'netns.name'].every(
    (key) => one[key] === undefined || other[key] === undefined || one[key] === other[key],
  );

function coverageOf({ files, question }: Findings): Coverage {
  const spans = files.flatMap(({ from, to }) => (from === undefined || to === undefined ? [] : [{ from, to }]));
  if (spans.some(({ from, to }) => from <= question.to && to >= question.from)) return 'covered';
  const before = spans.some(({ to }) => to < question.from);
  return before && spans.some(({ from }) => from > question.to) ? 'between' : 'not covered';
}

/**
 * A connection shows by the record of its begin or of its end. It is hidden when each of these that the files would have
 * may lie in a gap: the begin in one that is not later than the time, the end in one that is not earlier.
 */
function hidingGaps({ gaps, begins, ends, question: { from, to, within } }: Findings): readonly Gap[] {
  const earlier = gaps.filter((gap) => gap.from <= to + within);
  const later = gaps.filter((gap) => gap.to >= from - within);
  if (!begins && !ends) return gaps.filter((gap) => earlier.includes(gap) && later.includes(gap));
  const hidden = (!begins || earlier.length > 0) && (!ends || later.length > 0);
  return hidden ? gaps.filter((gap) => (begins && earlier.includes(gap)) || (ends && later.includes(gap))) : [];
}

function doubtsOf(findings: Findings, holders: readonly Holder[], coverage: Coverage, gaps: readonly Gap[]): string[] {
  const doubts: string[] = [];
  const best = holders[0]?.evidence[0];
  if (gaps.length > 0) {
    const many = gaps.length === 1 ? 'one gap' : `${gaps.length} gaps`;
    doubts.push(`events were lost: a connection of that time may be missing because of ${many}, listed below`);
  }
  if (best === undefined && !findings.begins && !findings.ends) doubts.push('the files tell of no connections');
  if (best === undefined && coverage === 'not covered') doubts.push('the files have no record of that time');
  if (best === undefined && coverage === 'between') {
    doubts.push('no file covers that moment: it lies between the last record of one and the first of another');
  }
  if (best?.near) doubts.push('nothing fits the time itself, only within the tolerance');
  if (best?.certainty === 'begin-unknown') doubts.push('nobody saw when the connection began: it may have been later');
  if (best?.certainty === 'end-unknown') doubts.push('nobody saw when it ended: it may have been over by then');
  if (findings.forgotten > 0) {
    doubts.push(`${findings.forgotten} connections whose end is not known were too many to keep: ask with a port`);
  }
  const damaged = findings.files.filter(({ error }) => error !== undefined).length;
  if (damaged > 0) doubts.push(`${plural(damaged, 'file')} could not be read, or not to the end`);
  if (findings.brokenMatches > 0) {
    doubts.push(
      `${plural(findings.brokenMatches, 'line')} with this address ${findings.brokenMatches === 1 ? 'is' : 'are'} broken`,
    );
  }
  return doubts;
}

/** `1 file`, `2 files`. */
export const plural = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? '' : 's'}`;
