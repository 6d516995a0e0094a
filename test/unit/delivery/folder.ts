// A folder of its own for each test, and batches that say which they are.
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach } from 'vitest';
import type { Batch } from '../../../src/delivery/batch.ts';

const made: string[] = [];

/** A new folder, removed after the test. */
export function folder(): string {
  made.push(mkdtempSync(join(tmpdir(), 'flowlogd-delivery-')));
  return made[made.length - 1] as string;
}

afterEach(() => {
  for (const path of made.splice(0)) rmSync(path, { recursive: true, force: true });
});

/** A batch of one event, unless told otherwise. */
export const batch = (text: string, events = 1): Batch => ({
  bytes: Buffer.from(text),
  events,
  time: 1_700_000_000_000,
});

/** The text of a batch. */
export const textOf = ({ bytes }: Batch): string => Buffer.from(bytes).toString();

/** Paths of the segments in a spool's directory, oldest first. */
export const segmentsIn = (directory: string): string[] =>
  readdirSync(directory)
    .filter((name) => name.endsWith('.spool'))
    .sort()
    .map((name) => join(directory, name));
