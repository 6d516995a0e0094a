import { type Conninfo, parseConninfo } from './conninfo.ts';
import { type Answer, type Column, type Driver, type Fault, missingPackage } from './driver.ts';
import { textArray } from './postgres-array.ts';
import type { Cell, Form, Row } from './rows.ts';
import type { DatabaseTarget } from './target.ts';

/** What is used of the package `pg`. */
interface Client {
  connect(): Promise<void>;
  query(query: {
    readonly text: string;
    readonly values?: readonly unknown[];
    readonly name?: string;
    readonly rowMode: 'array';
  }): Promise<{ readonly rows: unknown[][]; readonly rowCount: number | null }>;
  on(event: 'error', listener: (error: Error) => void): void;
  on(event: 'end', listener: () => void): void;
  end(): Promise<void>;
}
interface Package {
  readonly default: { readonly Client: new (config: Conninfo & { readonly keepAlive: boolean }) => Client };
}

const ROWS = 'flowlogd_rows';

/** PostgreSQL in this thread. */
export async function openPostgres(target: DatabaseTarget): Promise<Driver> {
  const name = 'pg'; // it brings no types
  try {
    return new PostgresDriver(target, (await import(name)) as Package);
  } catch (error) {
    throw missingPackage(name, error);
  }
}

class PostgresDriver implements Driver {
  readonly begin = 'BEGIN';
  readonly #target: DatabaseTarget;
  readonly #client: Client;
  #closing = false;
  #statement = '';
  /** A row for each call, or arrays of all. */
  #single = false;

  constructor(target: DatabaseTarget, pg: Package) {
    this.#target = target;
    const { host, port, database, user, password, connstring } = target.connection;
    const given = {
      database,
      ...(host ? { host } : {}),
      ...(port ? { port } : {}),
      ...(user ? { user } : {}),
      ...(password ? { password } : {}),
    };
    this.#client = new pg.default.Client({
      application_name: 'flowlogd',
      ...(connstring ? parseConninfo(connstring) : given),
      keepAlive: true,
    });
  }

  async open(ended: (reason: string) => void): Promise<void> {
    let reason = 'the server closed the connection';
    this.#client.on('error', (error) => {
      reason = error.message;
    });
    this.#client.on('end', () => {
      if (!this.#closing) ended(reason);
    });
    await this.#client.connect();
  }

  async columns(): Promise<readonly Column[]> {
    const { rows } = await this.query(
      `SELECT a.attname, format_type(a.atttypid, -1),
              a.attidentity <> '' OR a.attgenerated <> ''
                OR coalesce(pg_get_expr(d.adbin, d.adrelid) ~ '\\(|^CURRENT', false)
         FROM pg_attribute a
         JOIN pg_class c ON c.oid = a.attrelid
         JOIN pg_namespace n ON n.oid = c.relnamespace
         LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE n.nspname = ? AND c.relname = ? AND a.attnum > 0 AND NOT a.attisdropped
        ORDER BY a.attnum`,
      [this.#schema, this.#target.table],
    );
    return rows.map(([name, type, automatic]) => ({
      name: String(name),
      type: String(type),
      form: formOf(String(type)),
      automatic: automatic === true,
    }));
  }

  async prepare(columns: readonly Column[]): Promise<void> {
    const { procedure, table } = this.#target;
    const names = columns.map(({ name }) => quoted(name)).join(', ');
    if (/^insert\b/i.test(procedure)) {
      const into = procedure.toUpperCase() === 'INSERT' ? `INSERT INTO ${this.own(table)}` : procedure;
      this.#statement = `${into} (${names}) SELECT ${cast(columns)} ${fromArrays(columns)}`;
      return;
    }
    const called = /^call\s+(.*?)\s*(?:\(\s*\))?$/i.exec(procedure);
    const routine = await this.#routine(called?.[1] ?? procedure, columns);
    this.#single = called !== null;
    this.#statement = this.#single
      ? `CALL ${routine.name}(${routine.types.map((type, i) => `$${i + 1}::${type}`).join(', ')})`
      : `SELECT ${routine.name}(${cast(routine.types.map((type) => ({ type })))}) ${fromArrays(columns)}`;
  }

  async insert(rows: readonly Row[], from: number, to: number): Promise<void> {
    const text = this.#statement;
    if (this.#single) {
      for (let i = from; i < to; i++) {
        await this.#client.query({ name: ROWS, text, values: rows[i]!.map(textOf), rowMode: 'array' });
      }
      return;
    }
    const values = rows[from]!.map((_, column) => textArray(to - from, (i) => textOf(rows[from + i]![column]!)));
    await this.#client.query({ name: ROWS, text, values, rowMode: 'array' });
  }

  async query(text: string, parameters: readonly Cell[] = []): Promise<Answer> {
    let number = 0;
    const numbered = text.replace(/\?/g, () => `$${++number}`);
    const { rows, rowCount } = await this.#client.query({ text: numbered, values: parameters, rowMode: 'array' });
    return { rows, changes: rowCount ?? 0 };
  }

  own(table: string): string {
    return `${quoted(this.#schema)}.${quoted(table)}`;
  }

  faultOf(error: unknown): Fault {
    // Classes of SQLSTATE (https://www.postgresql.org/docs/current/errcodes-appendix.html).
    const { code = '' } = error as { code?: string };
    if (/^(?:22|23|44|P0)...$/.test(code)) return 'row';
    return /^40...$/.test(code) || code === '55P03' ? 'again' : 'connection';
  }

  codeOf(error: unknown): string {
    const { code, constraint, column } = error as { code?: string; constraint?: string; column?: string };
    return [code, constraint, column].join(' ');
  }

  async close(): Promise<void> {
    this.#closing = true;
    await this.#client.end();
  }

  get #schema(): string {
    return this.#target.connection.schema || 'public';
  }

  /** The types that a function or procedure takes: those of the columns need not convert by themselves. */
  async #routine(called: string, columns: readonly Column[]): Promise<{ name: string; types: readonly string[] }> {
    const match = /^(?:("[^"]+"|[\w$]+)\.)?("[^"]+"|[\w$]+)$/.exec(called);
    if (!match) throw new Error(`procedure "${called}" is neither INSERT nor the name of a function`);
    const [schema = '', name] = [match[1], match[2]].map((word) => word && folded(word));
    const { rows } = await this.query(
      `SELECT n.nspname, ARRAY(SELECT format_type(a.type, -1) FROM unnest(p.proargtypes) WITH ORDINALITY AS a(type, at) ORDER BY at)
         FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
        WHERE p.proname = ? AND p.pronargs = ?
          AND (n.nspname = ? OR (? = '' AND (pg_function_is_visible(p.oid) OR n.nspname = ?)))
        ORDER BY pg_function_is_visible(p.oid) DESC`,
      [name as string, columns.length, schema, schema, this.#schema],
    );
    if (rows.length === 0) {
      throw new Error(
        `there is no function ${called} that takes the ${columns.length} columns of "${this.#target.table}"`,
      );
    }
    const types = rows.length === 1 ? (rows[0]![1] as string[]) : columns.map(({ type }) => type);
    return { name: `${quoted(String(rows[0]![0]))}.${quoted(name as string)}`, types };
  }
}

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;
/** A name as PostgreSQL reads it. */
const folded = (word: string): string => (word.startsWith('"') ? word.slice(1, -1) : word.toLowerCase());
const cast = (columns: readonly { readonly type: string }[]): string =>
  columns.map(({ type }, i) => `u.c${i}::${type}`).join(', ');

/** One array for each column: the same statement for any number of rows. */
function fromArrays(columns: readonly unknown[]): string {
  const arrays = columns.map((_, i) => `$${i + 1}::text[]`).join(', ');
  return `FROM unnest(${arrays}) AS u(${columns.map((_, i) => `c${i}`).join(', ')})`;
}

function formOf(type: string): Form {
  if (type === 'bytea') return 'bytes';
  if (type === 'numeric') return 'numeric';
  return /^(?:smallint|integer|bigint)$/.test(type) ? 'integer' : 'text';
}

/** Every value goes as text, which the server reads as it reads its own constants. */
function textOf(cell: Cell): string | null {
  if (cell === null || typeof cell === 'string') return cell;
  return Buffer.isBuffer(cell) ? `\\x${cell.toString('hex')}` : String(cell);
}
