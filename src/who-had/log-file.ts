import { createReadStream, existsSync } from 'node:fs';
import { Readable } from 'node:stream';
import * as zlib from 'node:zlib';
import { LineScanner } from './line-scanner.ts';

const CHUNK = 256 << 10;
const GZIP = [0x1f, 0x8b];
const ZSTD = [0x28, 0xb5, 0x2f, 0xfd];

/** What was read of a file, and why no more if that is not all. */
export interface Reading {
  readonly scanner: LineScanner;
  readonly error?: string;
  /** Nothing of it could be read. */
  readonly unreadable: boolean;
}

/** The path, or that of its compressed form when flowlogd has just replaced it. */
export const whereNow = (path: string): string =>
  path !== '-' && !existsSync(path) && existsSync(`${path}.gz`) ? `${path}.gz` : path;

/** Reads a whole file, compressed or not, or stdin (`-`); gives lines as LineScanner does. Never throws. */
export async function readLog(
  path: string,
  needles: readonly (readonly string[])[],
  kinds: EventKinds,
  onLine: (text: string, wanted: boolean) => void,
): Promise<Reading> {
  const scanner = new LineScanner(needles, onLine);
  try {
    for await (const chunk of bytesOf(path)) {
      lookForKinds(kinds, chunk);
      scanner.push(chunk);
    }
    scanner.end();
    return { scanner, unreadable: false };
  } catch (error) {
    scanner.end();
    return { scanner, error: (error as Error).message, unreadable: scanner.bytes === 0 };
  }
}

/** The first line of a file that can be read; undefined where there is none. */
export async function firstLine(path: string): Promise<string | undefined> {
  let first: string | undefined;
  try {
    const scanner = new LineScanner([], (text) => {
      first ??= text;
    });
    for await (const chunk of bytesOf(path)) {
      scanner.push(chunk);
      if (first !== undefined) break;
    }
    scanner.end();
  } catch {} // readLog says what is wrong with it
  return first;
}

/** Whether records of the begin and of the end of connections were met. */
export interface EventKinds {
  begins: boolean;
  ends: boolean;
}

const EVENT = Buffer.from('"ct.event":');
const BLANK = 0x20;
const BEGIN = 0x31; // ct.event 1
const END = 0x34; // ct.event 4

/** One that is cut in two by the end of the chunk does not count: there will be others. */
function lookForKinds(kinds: EventKinds, chunk: Buffer): void {
  for (let at = 0; !(kinds.begins && kinds.ends); ) {
    at = chunk.indexOf(EVENT, at);
    if (at < 0) return;
    at += EVENT.length;
    if (chunk[at] === BLANK) at++;
    if (chunk[at] === BEGIN) kinds.begins = true;
    else if (chunk[at] === END) kinds.ends = true;
  }
}

/** What a file holds, by its first bytes: names may lie. Throws. */
async function* bytesOf(path: string): AsyncGenerator<Buffer> {
  const raw: AsyncIterator<Buffer> = (path === '-' ? process.stdin : createReadStream(path, { highWaterMark: CHUNK }))[
    Symbol.asyncIterator
  ]();
  let head = Buffer.alloc(0);
  while (head.length < ZSTD.length) {
    const { value, done } = await raw.next();
    if (done) break;
    head = Buffer.concat([head, value]);
  }
  const all = async function* () {
    try {
      if (head.length > 0) yield head;
      for (let next = await raw.next(); !next.done; next = await raw.next()) yield next.value;
    } finally {
      await raw.return?.();
    }
  };
  const isA = (magic: readonly number[]) => magic.every((byte, i) => head[i] === byte);
  if (isA(GZIP)) yield* decompressed(all(), zlib.createGunzip({ chunkSize: CHUNK }));
  else if (isA(ZSTD)) yield* decompressed(all(), zstd(path));
  else yield* all();
}

async function* decompressed(from: AsyncGenerator<Buffer>, through: zlib.Gunzip): AsyncGenerator<Buffer> {
  const source = Readable.from(from, { objectMode: false });
  source.once('error', (error) => through.destroy(error));
  yield* source.pipe(through) as AsyncIterable<Buffer>;
}

/** Node has zstd since 22.15. Throws. */
function zstd(path: string): zlib.Gunzip {
  const make = (zlib as { createZstdDecompress?: (options: object) => zlib.Gunzip }).createZstdDecompress;
  if (make === undefined) {
    throw new Error(`compressed with zstd, which this Node cannot read; zstd -dc ${path} | flowlogd who-had … -`);
  }
  return make({ chunkSize: CHUNK });
}
