import { timeOf } from './question.ts';
import type { Fields } from './translation.ts';

/** A time from which events are missing; times are in ms since 1970. */
export interface Gap {
  readonly from: number;
  readonly to: number;
  readonly input: string;
  readonly lost: number;
  readonly exact: boolean;
  readonly cause: string;
  /** The file that tells of it. */
  readonly path: string;
}

/** The gap that a record tells of; undefined for other records. */
export function gapOf(fields: Fields, path: string): Gap | undefined {
  const from = timeOf(fields['flowlogd.gap.from']);
  const to = timeOf(fields['flowlogd.gap.to']);
  const cause = String(fields['flowlogd.gap.cause'] ?? '');
  if (fields['flowlogd.event'] !== 'gap' || from === undefined || to === undefined) return undefined;
  // Changes tell neither begin nor end.
  if (cause.startsWith('UPDATE')) return undefined;
  return {
    from,
    to,
    input: String(fields['flowlogd.input'] ?? ''),
    lost: Number(fields['flowlogd.gap.lost'] ?? 0),
    exact: fields['flowlogd.gap.exact'] === true,
    cause,
    path,
  };
}
