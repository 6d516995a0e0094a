import type { Batch } from './batch.ts';
import { readPosition } from './position.ts';
import { SegmentReader, type SegmentRecord } from './segment-reader.ts';
import { listSegments, positionPath } from './spool-directory.ts';

/** What is in one segment of a spool. */
export interface SegmentReport {
  readonly path: string;
  /** Bytes on disk. */
  readonly size: number;
  readonly records: number;
  readonly events: number;
  /** Of these, the ones that were delivered for certain. */
  readonly delivered: number;
  /** Times of its first and last record: milliseconds since 1970. */
  readonly from: number | undefined;
  readonly to: number | undefined;
  /** Damaged places, the header's included. */
  readonly damaged: number;
}

/** Reads every segment of a spool, which may be in use: what is being written just now may look like a damaged end. Throws ErrnoException. */
export function inspectSpool(directory: string): SegmentReport[] {
  const position = readPosition(positionPath(directory));
  return listSegments(directory).map(({ segment, path, size }) => {
    const report = { path, size, records: 0, events: 0, delivered: 0, damaged: 0 };
    let from: number | undefined;
    let to: number | undefined;
    const damaged = walk(path, segment, size, 0, (record) => {
      report.records++;
      report.events += record.events;
      if (record.firstEvent + record.events <= (position?.event ?? 0)) report.delivered += record.events;
      from ??= record.time;
      to = record.time;
    });
    return { ...report, damaged, from, to };
  });
}

/** Hands over, in order, every batch that was not delivered for certain. Returns the number of damaged places. Throws ErrnoException. */
export function readUndelivered(directory: string, take: (batch: Batch) => void): number {
  const position = readPosition(positionPath(directory));
  let damaged = 0;
  for (const { segment, path, size } of listSegments(directory)) {
    if (position !== undefined && segment < position.segment) continue;
    damaged += walk(path, segment, size, segment === position?.segment ? position.offset : 0, take);
  }
  return damaged;
}

function walk(
  path: string,
  segment: number,
  size: number,
  offset: number,
  take: (record: SegmentRecord) => void,
): number {
  const reader = new SegmentReader(path, segment, offset);
  try {
    for (let record = reader.next(size); record; record = reader.next(size)) take(record);
    return reader.damaged + (typeof reader.header === 'object' ? 0 : 1);
  } finally {
    reader.close();
  }
}
