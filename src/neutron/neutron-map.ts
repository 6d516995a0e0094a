import { statSync } from 'node:fs';
import { readRegularFile } from '../config/regular-file.ts';
import { parseJson } from './json-fault.ts';
import { Names } from './names.ts';

/** How often the file is looked at, in ms. */
const LOOK_MS = 1000;

/** Reads a map file. Throws an Error with its path and, where it can be known, line and column. */
export function readNames(file: string): Names {
  let text: string;
  try {
    text = readRegularFile(file);
  } catch (error) {
    throw new Error(`${file}: cannot be read: ${(error as Error).message.split(',')[0]}`);
  }
  const parsed = parseJson(text);
  if ('fault' in parsed)
    throw new Error(`${file}:${parsed.fault.line}:${parsed.fault.column}: ${parsed.fault.message}`);
  try {
    return new Names(parsed.value);
  } catch (error) {
    throw new Error(`${file}: ${(error as Error).message}`);
  }
}

const maps = new Map<string, NeutronMap>();

/** The names of `[neutron] map=`, read again when the file changes. A file that is broken leaves the names that were there. */
export class NeutronMap {
  /** The map of this file, which the plugins of a thread share; undefined when there is none. Each `open` needs a `close`. */
  static of(file: string): NeutronMap | undefined {
    if (file === '') return undefined;
    const known = maps.get(file) ?? new NeutronMap(file);
    maps.set(file, known);
    return known;
  }

  readonly #file: string;
  #names: Names | undefined;
  /** Who follows it, by what they are told with: who opens or closes it twice counts once. */
  readonly #users = new Set<(message: string) => void>();
  /** Changes with the names; 0 before there are any. */
  version = 0;
  #report: (message: string) => void = () => {};
  #timer: NodeJS.Timeout | undefined;
  /** The file as it was when it was read. */
  #stamp = '';

  private constructor(file: string) {
    this.#file = file;
  }

  /** Undefined until a whole file was read. */
  get names(): Names | undefined {
    return this.#names;
  }

  /** Reads the file and watches it; `report` is told what is wrong with it, once for each change. */
  open(report: (message: string) => void): void {
    const isFirst = this.#users.size === 0;
    this.#users.add(report);
    if (!isFirst) return;
    this.#report = report;
    this.#read();
    this.#timer = setInterval(() => {
      if (stampOf(this.#file) !== this.#stamp) this.#read();
    }, LOOK_MS);
    this.#timer.unref();
  }

  /** `report` is that of `open`. */
  close(report: (message: string) => void): void {
    if (!this.#users.delete(report) || this.#users.size > 0) return;
    clearInterval(this.#timer);
    maps.delete(this.#file);
  }

  #read(): void {
    // Before the text: what changes while it is read is read again.
    this.#stamp = stampOf(this.#file);
    try {
      this.#names = readNames(this.#file);
      this.version++;
    } catch (error) {
      const kept = this.#names === undefined ? 'there are no names yet' : 'the names from before are kept';
      this.#report(`${(error as Error).message}; ${kept}`);
    }
  }
}

function stampOf(file: string): string {
  try {
    const { ino, size, mtimeNs } = statSync(file, { bigint: true });
    return `${ino} ${size} ${mtimeNs}`;
  } catch {
    return '';
  }
}
