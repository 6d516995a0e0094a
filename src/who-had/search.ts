import { UNFINISHED } from '../system/archive.ts';
import { Connections, intervalOf, recordedAt } from './connections.ts';
import { compareEvidence, type Evidence, relation } from './evidence.ts';
import { type Gap, gapOf } from './gap.ts';
import { firstLine, readLog, whereNow } from './log-file.ts';
import { Mappings } from './mappings.ts';
import type { Question } from './question.ts';
import { type Fields, translationByNat, translationOf, tuplesOf } from './translation.ts';

/** What was read of a file; times are in ms since 1970. */
export interface Searched {
  readonly path: string;
  readonly lines: number;
  /** Lines that are not JSON. */
  readonly broken: number;
  /** Bytes, decompressed. */
  readonly bytes: number;
  /** The earliest and the latest record that was looked at: the first and last of the file, and some between. */
  readonly from?: number;
  readonly to?: number;
  /** Why not all of it was read. */
  readonly error?: string;
  readonly unreadable: boolean;
}

/** Everything that the files say to the question. */
export interface Findings {
  readonly question: Question;
  /** The best first. */
  readonly evidence: readonly Evidence[];
  /** The nearest in time of what was over before, and of what began later. */
  readonly before?: Evidence;
  readonly after?: Evidence;
  /** Connections of the time that had the address for themselves: nothing was translated. */
  readonly untranslated: number;
  /** Connections that were too many to keep. */
  readonly forgotten: number;
  readonly gaps: readonly Gap[];
  /** Lines that name the address and cannot be read. */
  readonly brokenMatches: number;
  /** Whether the files tell begins and ends of connections. */
  readonly begins: boolean;
  readonly ends: boolean;
  readonly files: readonly Searched[];
}

/** flowlogd's own news: gaps, floating IPs, lines that a crash has torn. */
const NEWS = '"flowlogd.event"';

/** Reads all files, in the order of their times. */
export async function search(question: Question, paths: readonly string[]): Promise<Findings> {
  const starts = new Map<string, number>();
  // What is being compressed is still beside it as a whole.
  const whole = paths.filter((path) => !path.endsWith(UNFINISHED));
  for (const path of new Set(whole.map(whereNow))) starts.set(path, path === '-' ? 0 : await beginOf(path));
  const ordered = [...starts.keys()].sort((a, b) => (starts.get(a) as number) - (starts.get(b) as number));
  const reader = new Reader(question);
  for (const path of ordered) await reader.read(path);
  return reader.findings();
}

async function beginOf(path: string): Promise<number> {
  const line = await firstLine(path);
  return (line === undefined ? undefined : recordedAt(parse(line) ?? {})) ?? 0;
}

class Reader {
  readonly #question: Question;
  readonly #connections: Connections;
  readonly #mappings: Mappings;
  readonly #files: Searched[] = [];
  readonly #gaps: Gap[] = [];
  #untranslated = 0;
  #brokenMatches = 0;
  readonly #kinds = { begins: false, ends: false };

  constructor(question: Question) {
    this.#question = question;
    this.#connections = new Connections(question);
    this.#mappings = new Mappings(question);
  }

  async read(path: string): Promise<void> {
    const gaps: Gap[] = [];
    const file = {
      broken: 0,
      from: Number.POSITIVE_INFINITY,
      to: Number.NEGATIVE_INFINITY,
      packets: false,
      flows: false,
    };
    // A log may tell of begins alone, of ends alone or of both: one of each shows it.
    const { address, port } = this.#question;
    const wanted = [[`"${address}"`, ...(port === undefined ? [] : [String(port)])], [NEWS]];
    const reading = await readLog(whereNow(path), wanted, this.#kinds, (text, isWanted) => {
      const fields = parse(text);
      if (fields === undefined) {
        if (text.includes(this.#question.address)) this.#brokenMatches++;
        if (text.startsWith('{') && text.endsWith('}')) file.broken++;
        return;
      }
      const time = recordedAt(fields);
      if (time !== undefined) {
        file.from = Math.min(file.from, time);
        file.to = Math.max(file.to, time);
      }
      if (fields['ct.event'] !== undefined) file.flows = true;
      else if (fields['flowlogd.event'] === undefined) file.packets = true;
      if (isWanted) this.#take(fields, path, gaps);
    });
    // Packets that are missing from a log of packets say nothing of connections.
    if (file.flows || !file.packets) this.#gaps.push(...gaps);
    const { scanner, error, unreadable } = reading;
    this.#files.push({
      path,
      lines: scanner.lines,
      broken: scanner.broken + file.broken,
      bytes: scanner.bytes,
      ...(file.from <= file.to ? { from: file.from, to: file.to } : {}),
      ...(error === undefined ? {} : { error }),
      unreadable,
    });
  }

  #take(fields: Fields, path: string, gaps: Gap[]): void {
    if (fields['flowlogd.event'] !== undefined) {
      const gap = gapOf(fields, path);
      if (gap !== undefined) gaps.push(gap);
      if (String(fields['flowlogd.torn'] ?? '').includes(this.#question.address)) this.#brokenMatches++;
      this.#mappings.add(fields);
      return;
    }
    const tuples = tuplesOf(fields);
    const translation = tuples
      ? translationOf(tuples, fields, this.#question)
      : translationByNat(fields, this.#question);
    if (translation === 'itself') {
      if (wasThen(fields, this.#question)) this.#untranslated++;
    } else if (translation !== undefined) this.#connections.add(fields, translation);
  }

  findings(): Findings {
    const { begins, ends } = this.#kinds;
    const lossBetween = (from: number) => this.#gaps.some((gap) => gap.to >= from);
    const evidence = [
      ...this.#connections.evidence({ ends, mayBeLost: lossBetween }),
      ...this.#mappings.evidence(),
    ].sort(compareEvidence);
    const latest = [this.#connections.before, this.#mappings.before]
      .filter((one) => one !== undefined)
      .reduce<Evidence | undefined>((a, b) => (a === undefined || (a.end ?? 0) < (b.end ?? 0) ? b : a), undefined);
    const soonest = [this.#connections.after, this.#mappings.after]
      .filter((one) => one !== undefined)
      .reduce<Evidence | undefined>((a, b) => (a === undefined || (a.begin ?? 0) > (b.begin ?? 0) ? b : a), undefined);
    return {
      question: this.#question,
      evidence,
      ...(latest === undefined ? {} : { before: latest }),
      ...(soonest === undefined ? {} : { after: soonest }),
      untranslated: this.#untranslated,
      forgotten: this.#connections.forgotten,
      gaps: this.#gaps.toSorted((a, b) => a.from - b.from),
      brokenMatches: this.#brokenMatches,
      begins,
      ends,
      files: this.#files,
    };
  }
}

/** Whether a connection whose begin and end are known was there at the time: one record of it, so that none counts twice. */
function wasThen(fields: Fields, question: Question): boolean {
  const interval = intervalOf(fields);
  if (interval.begin === undefined || interval.end === undefined) return false;
  return ['now', 'near'].includes(relation(interval, question));
}

/** A line as an object; undefined when it is none. */
function parse(line: string): Fields | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? (value as Fields) : undefined;
  } catch {
    return undefined;
  }
}
