import type { Answer } from './answer.ts';
import type { Evidence } from './evidence.ts';
import type { Gap } from './gap.ts';

/** The answer for programs: the keys that docs/guides/who-had.md lists; times are ISO 8601 in UTC, to the millisecond. */
export function answerJson(answer: Answer): object {
  const { question, holders, doubts, coverage, before, after, files } = answer;
  return {
    question: {
      address: question.address,
      port: question.port,
      protocol: question.protocol,
      from: time(question.from),
      to: time(question.to),
      within: question.within / 1000,
    },
    found: holders.length > 0,
    certain: doubts.length === 0,
    doubts,
    coverage,
    holders: holders.map(({ address, identity, evidence }) => ({
      address,
      identity,
      evidence: evidence.map(plain),
    })),
    nearest: { before: before && plain(before), after: after && plain(after) },
    untranslated: answer.untranslated,
    begins: answer.begins,
    ends: answer.ends,
    gaps: answer.gapsThatCount.map(plainGap),
    broken: files.reduce((sum, file) => sum + file.broken, 0),
    files: files.map(({ path, lines, bytes, broken, from, to, error }) => ({
      path,
      lines,
      bytes,
      broken,
      from: time(from),
      to: time(to),
      error,
    })),
  };
}

function plain({ kind, certainty, near, inside, translation, identity, begin, older, end, endAfter }: Evidence) {
  return {
    kind,
    certainty,
    near,
    inside,
    external: translation?.external,
    peer: translation?.peer,
    protocol: translation?.protocol,
    how: translation?.how,
    class: translation?.class,
    begin: time(begin),
    older,
    end: time(end),
    end_after: time(endAfter),
    identity,
  };
}

const plainGap = (gap: Gap) => ({ ...gap, from: time(gap.from), to: time(gap.to) });

const time = (ms: number | undefined): string | undefined =>
  ms === undefined ? undefined : new Date(ms).toISOString();
