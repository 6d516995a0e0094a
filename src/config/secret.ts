import { statSync } from 'node:fs';
import { isAbsolute } from 'node:path';
import { inspect } from 'node:util';
import { readRegularFile } from './regular-file.ts';

const SHOWN = '***';
const ENVIRONMENT = 'env:';
const FILE = 'file:';

const identities = new Map<string, number>();

/**
 * A password or token: a literal, or where to find it: `env:NAME` or `file:/path`. Whatever prints it prints `***`; only
 * `reveal` gives the text.
 */
export class Secret {
  readonly #source: string;
  #last: string | undefined;

  constructor(source: string) {
    this.#source = source;
  }

  /** True unless something was configured. */
  get isEmpty(): boolean {
    return this.#source === '';
  }

  /** The text stands in the configuration itself. */
  get isLiteral(): boolean {
    return !this.isEmpty && !this.#source.startsWith(ENVIRONMENT) && !this.#source.startsWith(FILE);
  }

  /** A number that tells it from secrets that are configured otherwise, and nothing about the text. */
  get identity(): number {
    const known = identities.get(this.#source) ?? identities.size;
    identities.set(this.#source, known);
    return known;
  }

  /**
   * The text as it is now: a file is read each time, so that a new password counts from the next connection on. One that
   * can no longer be read (the daemon is another user by then) keeps its last text. Throws, naming the place, never the text.
   */
  reveal(): string {
    const source = this.#source;
    if (source.startsWith(ENVIRONMENT)) return fromEnvironment(source.slice(ENVIRONMENT.length));
    if (!source.startsWith(FILE)) return source;
    try {
      this.#last = firstLine(source.slice(FILE.length));
    } catch (error) {
      if (this.#last === undefined) throw error;
    }
    return this.#last;
  }

  /** What is wrong with how it is written, or undefined. */
  get fault(): string | undefined {
    const source = this.#source;
    if (source.startsWith(ENVIRONMENT) && !/^\w+$/.test(source.slice(ENVIRONMENT.length))) {
      return 'env: is followed by the name of an environment variable';
    }
    if (source.startsWith(FILE) && !isAbsolute(source.slice(FILE.length)))
      return 'file: is followed by an absolute path';
    return undefined;
  }

  /** What is doubtful at this moment, or undefined: it cannot be had here and now, or everybody can have it. */
  get doubt(): string | undefined {
    try {
      this.reveal();
      return this.#source.startsWith(FILE) ? openFile(this.#source.slice(FILE.length)) : undefined;
    } catch (error) {
      return (error as Error).message;
    }
  }

  toString(): string {
    return SHOWN;
  }

  toJSON(): string {
    return SHOWN;
  }

  [inspect.custom](): string {
    return SHOWN;
  }
}

/** The default of options that hold a secret. */
export const NO_SECRET = new Secret('');

/** Keys whose values never appear in a message, also where they are misspelt. A contract test holds plugins to it. */
const SECRET_KEY = /pas|pwd|secret|token|connstring/i;

/** Whether the value of such a key must not be shown. */
export const isSecretKey = (key: string): boolean => SECRET_KEY.test(key);

/** A line of a configuration as it may be shown: without its value where the key is that of a secret. */
export function withoutSecret(line: string): string {
  const key = /^[\s="]*[^\s="]+/.exec(line)?.[0] ?? '';
  return isSecretKey(key) && key.length < line.length ? `${key}=${SHOWN}` : line;
}

function fromEnvironment(name: string): string {
  const text = process.env[name];
  if (text === undefined) throw new Error(`the environment variable ${name} is not set`);
  return text;
}

/** Editors end a file with a line end, which no password has. */
function firstLine(path: string): string {
  let text: string;
  try {
    text = readRegularFile(path);
  } catch (error) {
    throw new Error(`cannot read the secret: ${(error as Error).message.split(',')[0]} (${path})`);
  }
  const line = text.split(/\r?\n/, 1)[0] as string;
  if (line === '') throw new Error(`the first line of ${path} is empty: it must hold the secret`);
  return line;
}

const EVERYBODY = 0o004;

function openFile(path: string): string | undefined {
  return (statSync(path).mode & EVERYBODY) === 0 ? undefined : `every user can read ${path}: chmod o= ${path}`;
}
