import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import type { Connection, SslOptions } from 'mysql2/promise';
import { type Answer, type Column, type Driver, type Fault, missingPackage } from './driver.ts';
import type { Cell, Form, Row } from './rows.ts';
import type { DatabaseTarget } from './target.ts';

/** Rows of one statement: what is more goes in several. Each size is prepared once, and each statement sent costs as much as some rows. */
const SIZES = [256, 64, 16, 4, 1];
/** The protocol numbers parameters with 16 bits. */
const MOST_PARAMETERS = 65_535;
/** What is wrong with a row, and yet has no SQLSTATE of its own: no default, wrong value, check constraint. */
const ROW_FAULTS = [1265, 1364, 1366, 3819, 4025];
/** ER_LOCK_WAIT_TIMEOUT, ER_LOCK_DEADLOCK. */
const CONFLICTS = [1205, 1213];

/** MySQL and MariaDB in this thread. */
export async function openMysql(target: DatabaseTarget): Promise<Driver> {
  try {
    return new MysqlDriver(target, await import('mysql2/promise'));
  } catch (error) {
    throw missingPackage('mysql2', error);
  }
}

class MysqlDriver implements Driver {
  readonly begin = 'START TRANSACTION';
  readonly #target: DatabaseTarget;
  readonly #mysql: typeof import('mysql2/promise');
  #connection: Connection | undefined;
  #closing = false;
  #forms: readonly Form[] = [];
  /** The same statement for several numbers of rows, the largest first. */
  #statements: readonly { readonly rows: number; readonly text: string }[] = [];

  constructor(target: DatabaseTarget, mysql: typeof import('mysql2/promise')) {
    this.#target = target;
    this.#mysql = mysql;
  }

  async open(ended: (reason: string) => void): Promise<void> {
    const { host = '', port, database, user, password, tlsCa } = this.#target.connection;
    const connection = await this.#mysql.createConnection({
      database,
      ...(host.startsWith('/') ? { socketPath: host } : { host }),
      ...(port ? { port } : {}),
      ...(user ? { user } : {}),
      ...(password ? { password } : {}),
      ...(tlsCa === undefined ? {} : { ssl: tls(tlsCa, host) }),
      charset: 'utf8mb4',
      rowsAsArray: true,
      enableKeepAlive: true,
    });
    this.#connection = connection;
    let reason = 'the server closed the connection';
    connection.on('error', (error: Error) => {
      reason = error.message;
      if (!this.#closing) ended(reason);
    });
    connection.on('end', () => {
      if (!this.#closing) ended(reason);
    });
  }

  async columns(): Promise<readonly Column[]> {
    const { rows } = await this.query(
      'SELECT column_name, data_type, extra, column_default FROM information_schema.columns WHERE table_schema = database() AND table_name = ? ORDER BY ordinal_position',
      [this.#target.table],
    );
    return rows.map(([name, type, extra, value]) => ({
      name: String(name),
      type: String(type),
      form: formOf(String(type)),
      automatic: /auto_increment|generated/i.test(String(extra)) || /\(|^current/i.test(String(value)),
    }));
  }

  async prepare(columns: readonly Column[]): Promise<void> {
    const { procedure } = this.#target;
    this.#forms = columns.map(({ form }) => form);
    // Bytes as digits: as a parameter they would be taken for text of the connection's character set.
    const places = this.#forms.map((form) => (form === 'bytes' ? 'UNHEX(?)' : '?')).join(', ');
    let most = Math.floor(MOST_PARAMETERS / columns.length);
    let before: string;
    let row: string;
    const called = /^call\s+(.*?)\s*(?:\(\s*\))?$/i.exec(procedure);
    if (/^insert\b/i.test(procedure)) {
      const into = procedure.toUpperCase() === 'INSERT' ? `INSERT INTO ${this.own(this.#target.table)}` : procedure;
      before = `${into} (${columns.map(({ name }) => quoted(name)).join(', ')}) VALUES `;
      row = `(${places})`;
    } else if (called) {
      before = 'CALL ';
      row = `${routine(called[1]!)}(${places})`;
      most = 1;
    } else {
      before = 'SELECT ';
      row = `${routine(procedure)}(${places})`;
    }
    this.#statements = SIZES.filter((rows) => rows <= most).map((rows) => ({
      rows,
      text: before + new Array(rows).fill(row).join(', '),
    }));
  }

  async insert(rows: readonly Row[], from: number, to: number): Promise<void> {
    for (let at = from; at < to; ) {
      const { rows: size, text } = this.#statements.find((one) => one.rows <= to - at)!;
      const values: (string | number | null)[] = [];
      for (let i = at; i < at + size; i++) {
        const row = rows[i]!;
        for (let j = 0; j < row.length; j++) values.push(this.#value(row[j]!, j));
      }
      await this.#connection!.execute(text, values);
      at += size;
    }
  }

  async query(text: string, parameters: readonly Cell[] = []): Promise<Answer> {
    const connection = this.#connection!;
    const [result] =
      parameters.length === 0
        ? await connection.query(text) // not every statement can be prepared
        : await connection.execute(text, parameters as string[]);
    if (Array.isArray(result)) return { rows: result as unknown as unknown[][], changes: 0 };
    return { rows: [], changes: result.affectedRows };
  }

  own(table: string): string {
    return quoted(table);
  }

  faultOf(error: unknown): Fault {
    const { errno = 0, sqlState = '' } = error as { errno?: number; sqlState?: string };
    if (CONFLICTS.includes(errno)) return 'again';
    return /^(?:22|23|45)...$/.test(sqlState) || ROW_FAULTS.includes(errno) ? 'row' : 'connection';
  }

  codeOf(error: unknown): string {
    const { errno, message } = error as { errno?: number; message: string };
    return `${errno} ${/column '[^']*'/i.exec(message)?.[0] ?? ''}`;
  }

  async close(): Promise<void> {
    this.#closing = true;
    await this.#connection?.end();
  }

  #value(cell: Cell, column: number): string | number | null {
    if (typeof cell === 'bigint') return String(cell);
    if (Buffer.isBuffer(cell)) return cell.toString('hex');
    return this.#forms[column] === 'bytes' && cell !== null ? Buffer.from(String(cell)).toString('hex') : cell;
  }
}

/** A certificate is for a name: of an address and a socket mysql2 compares none, and asks for the authority alone. */
function tls(file: string, host: string): SslOptions {
  let ca: string;
  try {
    ca = readFileSync(file, 'utf8');
  } catch (error) {
    throw new Error(`tls_ca: ${(error as Error).message}`);
  }
  return { ca, rejectUnauthorized: true, verifyIdentity: !host.startsWith('/') && isIP(host) === 0 };
}

const quoted = (name: string): string => `\`${name.replaceAll('`', '``')}\``;

function routine(name: string): string {
  if (!/^(?:(?:`[^`]+`|[\w$]+)\.)?(?:`[^`]+`|[\w$]+)$/.test(name)) {
    throw new Error(`procedure "${name}" is neither INSERT nor the name of a function`);
  }
  return name;
}

function formOf(type: string): Form {
  if (/binary|blob/i.test(type)) return 'bytes';
  if (/^(?:decimal|numeric)$/i.test(type)) return 'numeric';
  return /int$/i.test(type) ? 'integer' : 'text';
}
