import { readdirSync, writeSync } from 'node:fs';
import { basename } from 'node:path';
import { inspectSpool, readUndelivered, type SegmentReport } from '../delivery/inspect.ts';
import { listSegments, SpoolDirectory } from '../delivery/spool-directory.ts';
import type { SpoolArguments } from './arguments.ts';

/** Looks into a spool, or empties it; returns the exit code: 1 for damage and for what cannot be done. */
export function spool({ action, directory }: SpoolArguments): number {
  try {
    readdirSync(directory); // throws what is wrong with it, if anything
    switch (action) {
      case 'ls':
        list(inspectSpool(directory));
        return 0;
      case 'verify':
        return verify(inspectSpool(directory));
      case 'replay':
        return replay(directory);
      case 'drop':
        return drop(directory);
    }
  } catch (error) {
    process.stderr.write(`flowlogd: ${reasonOf(error as NodeJS.ErrnoException, directory)}\n`);
    return 1;
  }
}

function reasonOf({ code, syscall, message }: NodeJS.ErrnoException, directory: string): string {
  if (syscall !== 'scandir') return message;
  if (code === 'ENOENT')
    return `there is no spool ${directory}: a daemon makes it when it starts with spool= of that path`;
  if (code === 'ENOTDIR') return `${directory} is no directory, and so no spool`;
  if (code === 'EACCES') return `no right to read the spool ${directory}: it takes root, or the daemon's user or group`;
  return message;
}

function list(segments: readonly SegmentReport[]): void {
  for (const { path, size, records, events, delivered, from, to } of segments) {
    const times = from === undefined || to === undefined ? '' : `, ${stamp(from)} to ${stamp(to)}`;
    print(
      `${basename(path)}: ${size} bytes, ${records} records, ${events} events, ${events - delivered} to send${times}`,
    );
  }
  const sum = (what: (segment: SegmentReport) => number) => segments.reduce((total, one) => total + what(one), 0);
  const waiting = sum(({ events, delivered }) => events - delivered);
  print(`${segments.length} segments, ${sum(({ size }) => size)} bytes, ${waiting} events to send`);
}

function verify(segments: readonly SegmentReport[]): number {
  let damaged = 0;
  for (const segment of segments) {
    damaged += segment.damaged;
    const verdict = segment.damaged === 0 ? 'good' : `${segment.damaged} damaged places`;
    print(`${basename(segment.path)}: ${segment.records} records, ${verdict}`);
  }
  print(damaged === 0 ? 'no damage' : `${damaged} damaged places: sending steps over them and counts what is missing`);
  return damaged === 0 ? 0 : 1;
}

/** The bytes as they would be sent, to stdout; they stay in the spool. */
function replay(directory: string): number {
  const damaged = readUndelivered(directory, ({ bytes }) => {
    for (let done = 0; done < bytes.length; ) done += writeWaiting(bytes, done);
  });
  if (damaged > 0) process.stderr.write(`flowlogd: ${damaged} damaged places were stepped over\n`);
  return damaged > 0 ? 1 : 0;
}

function drop(directory: string): number {
  const lock = new SpoolDirectory(directory);
  const segments = listSegments(directory);
  for (const { segment } of segments) lock.remove(segment);
  lock.close();
  print(`${segments.length} segments removed`);
  return 0;
}

/** A pipe that is full for now is waited for: synchronous, so that a slow reader costs no memory. */
function writeWaiting(bytes: Uint8Array, at: number): number {
  try {
    return writeSync(1, bytes, at);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
    return 0;
  }
}

const print = (line: string): boolean => process.stdout.write(`${line}\n`);
const stamp = (time: number): string => new Date(time).toISOString();
