import { createReadStream, createWriteStream, existsSync, renameSync, type Stats, statSync } from 'node:fs';
import { chmod, chown, open, readdir, rename, rm } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';

/** A file that is being compressed ends in this until it is whole. */
export const UNFINISHED = '.gz.tmp';

/** How the files of an output are named once they are full. */
export interface ArchiveNames {
  /** Where the output writes now: a rotated file is renamed from it, or, when `renames` is false, left as it is. */
  readonly renames: boolean;
  /** What orders the file of this name among those of the output, without `.gz`; undefined when it is none of them. */
  order(name: string): string | undefined;
}

/** `NAME.20261121T123017.250Z`: the time at which a file was put away, in UTC, so that names sort in every time zone. */
export function timedNames(path: string): ArchiveNames {
  const start = `${basename(path)}.`;
  return {
    renames: true,
    order: (name) =>
      name.startsWith(start) && /^\d{8}T\d{6}\.\d{3}Z$/.test(name.slice(start.length))
        ? name.slice(start.length)
        : undefined,
  };
}

/** The full files of an output: put away, compressed in the background, and removed when there are too many. */
export class Archive {
  readonly #directory: string;
  readonly #names: ArchiveNames;
  readonly #keep: number;
  readonly #compress: boolean;
  readonly #report: (message: string) => void;
  readonly #stopped = new AbortController();
  #work: Promise<void> = Promise.resolve();
  #failing = false;

  /** Keeps `keep` files, or all of them when it is 0. */
  constructor(
    directory: string,
    names: ArchiveNames,
    { keep, compress }: { readonly keep: number; readonly compress: boolean },
    report: (message: string) => void,
  ) {
    this.#directory = directory;
    this.#names = names;
    this.#keep = keep;
    this.#compress = compress;
    this.#report = report;
  }

  /** Moves a file out of the way, under a name that no other has. Throws. */
  putAway(path: string): string {
    for (let time = Date.now(); ; time++) {
      const stamp = new Date(time).toISOString().replaceAll(/[-:]/g, '');
      const name = `${path}.${stamp}`;
      if (existsSync(name) || existsSync(`${name}.gz`)) continue;
      renameSync(path, name);
      return name;
    }
  }

  /**
   * Compresses and removes what is due, in the background; `current` is the file that is being written. What an
   * interruption left half done is done again.
   */
  tidy(current: string): void {
    if (this.#keep === 0 && !this.#compress) return;
    this.#work = this.#work
      .then(() => this.#tidy(basename(current)))
      .then(() => {
        this.#failing = false;
      })
      .catch((error: Error) => {
        if (this.#stopped.signal.aborted || this.#failing) return;
        this.#failing = true;
        this.#report(`cannot tidy up the old files of ${current}: ${error.message}; tried again when the next is full`);
      });
  }

  /** Breaks off what runs, which is done at the next start, and waits for its end. */
  stop(): Promise<void> {
    this.#stopped.abort();
    return this.#work;
  }

  async #tidy(current: string): Promise<void> {
    const { signal } = this.#stopped;
    const all = await readdir(this.#directory);
    const at = (name: string) => join(this.#directory, name);
    const full = new Map<string, { order: string; plain: boolean; compressed: boolean }>();
    for (const name of all) {
      const base = name.endsWith(UNFINISHED)
        ? name.slice(0, -UNFINISHED.length)
        : name.endsWith('.gz')
          ? name.slice(0, -3)
          : name;
      const order = base === current ? undefined : this.#names.order(base);
      if (order === undefined) continue;
      if (name.endsWith(UNFINISHED)) {
        await rm(at(name), { force: true });
        continue;
      }
      const entry = full.get(base) ?? { order, plain: false, compressed: false };
      if (name === base) entry.plain = true;
      else entry.compressed = true;
      full.set(base, entry);
    }
    const newestFirst = [...full].sort(([, a], [, b]) => (a.order < b.order ? 1 : -1));
    for (const [index, [name, { plain, compressed }]] of newestFirst.entries()) {
      if (signal.aborted) return;
      if (this.#keep > 0 && index >= this.#keep) {
        await Promise.all([rm(at(name), { force: true }), rm(at(`${name}.gz`), { force: true })]);
      } else if (plain && compressed) {
        await rm(at(name), { force: true }); // the last step, which an interruption had left out
      } else if (plain && this.#compress) {
        await compress(at(name), signal);
      }
    }
  }
}

/** Replaces a file by its compressed form. Its place in the directory never holds less than all of it. */
async function compress(path: string, signal: AbortSignal): Promise<void> {
  const { mode, uid, gid }: Stats = statSync(path);
  const unfinished = `${path}${UNFINISHED}`;
  try {
    await pipeline(createReadStream(path), createGzip(), createWriteStream(unfinished, { mode: 0o600 }), { signal });
    await chmod(unfinished, mode & 0o777);
    await chown(unfinished, uid, gid).catch(() => {}); // without root it is ours already
    const written = await open(unfinished, 'r');
    await written.sync().finally(() => written.close());
    await rename(unfinished, `${path}.gz`);
    await rm(path);
  } catch (error) {
    await rm(unfinished, { force: true });
    throw error;
  }
}
