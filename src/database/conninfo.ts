import { readFileSync } from 'node:fs';

/** What a client of `pg` is made with. */
export interface Conninfo {
  readonly connectionString?: string;
  readonly host?: string;
  readonly port?: number;
  readonly database?: string;
  readonly user?: string;
  readonly password?: string;
  readonly application_name?: string;
  readonly options?: string;
  readonly ssl?:
    | false
    | {
        readonly rejectUnauthorized: boolean;
        readonly ca?: string;
        readonly cert?: string;
        readonly key?: string;
        readonly checkServerIdentity?: () => undefined;
      };
}

/**
 * Reads the connection string of libpq, `host=db.example.net dbname='my db'` or a URI
 * (https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNSTRING). Throws on what it does not know; a message
 * never holds a value.
 */
export function parseConninfo(text: string): Conninfo {
  if (/^postgres(?:ql)?:\/\//.test(text)) return { connectionString: text };
  const words = new Map<string, string>();
  const pair = /\s*([a-z_]+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:[^\s'\\]|\\.)*))(?=\s|$)/gy;
  let end = 0;
  for (let match = pair.exec(text); match; match = pair.exec(text)) {
    words.set(match[1]!, (match[2] ?? match[3] ?? '').replace(/\\(.)/gs, '$1'));
    end = pair.lastIndex;
  }
  if (text.slice(end).trim() !== '') throw new Error(`connstring: cannot be read behind its first ${end} characters`);
  const unknown = [...words.keys()].find((key) => !KNOWN.has(key));
  if (unknown !== undefined)
    throw new Error(`connstring: "${unknown}" is not known; known are ${[...KNOWN].join(', ')}`);
  const given = (key: string, name: keyof Conninfo) => (words.get(key) ? { [name]: words.get(key) } : {});
  return {
    ...given('host', 'host'),
    ...given('hostaddr', 'host'),
    ...given('dbname', 'database'),
    ...given('user', 'user'),
    ...given('password', 'password'),
    ...given('application_name', 'application_name'),
    ...given('options', 'options'),
    ...(words.get('port') ? { port: Number(words.get('port')) } : {}),
    ...(words.has('sslmode') ? { ssl: tls(words.get('sslmode')!, words) } : {}),
  };
}

const TLS_MODES = ['require', 'verify-ca', 'verify-full'];

function readPem(key: string, file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    throw new Error(`connstring: ${key}: ${(error as Error).message}`);
  }
}

const KNOWN = new Set(
  'host hostaddr port dbname user password application_name options connect_timeout sslmode sslrootcert sslcert sslkey'.split(
    ' ',
  ),
);

const anyName = () => undefined;

function tls(mode: string, words: ReadonlyMap<string, string>): NonNullable<Conninfo['ssl']> | false {
  if (mode === 'disable' || mode === 'allow' || mode === 'prefer') return false;
  if (!TLS_MODES.includes(mode))
    throw new Error(`connstring: sslmode is none of disable, allow, prefer, ${TLS_MODES.join(', ')}`);
  const read = (key: string) => (words.get(key) ? readPem(key, words.get(key)!) : undefined);
  const [ca, cert, key] = [read('sslrootcert'), read('sslcert'), read('sslkey')];
  return {
    rejectUnauthorized: mode !== 'require' || ca !== undefined,
    // As libpq: whose certificate it is, only verify-full asks.
    ...(mode === 'verify-full' ? {} : { checkServerIdentity: anyName }),
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
  };
}
