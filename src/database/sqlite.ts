import { existsSync } from 'node:fs';
import { type Answer, type Column, type Driver, type Fault, missingPackage } from './driver.ts';
import type { Cell, Form, Row } from './rows.ts';
import type { DatabaseTarget } from './target.ts';

/** What is used of `node:sqlite`, which Node has from 22.13 on; the package for older ones has the same interface. */
interface Sqlite {
  readonly DatabaseSync: new (path: string, options: { readonly timeout: number }) => Database;
}
interface Database {
  exec(text: string): void;
  prepare(text: string): Prepared;
  close(): void;
}
interface Prepared {
  run(...parameters: readonly Cell[]): { readonly changes: number | bigint };
  all(...parameters: readonly Cell[]): Record<string, unknown>[];
}

const PACKAGE = '@photostructure/sqlite';
/** Milliseconds to wait for another writer. */
const PATIENCE = 5000;
const LARGEST = 2n ** 63n - 1n;
/** SQLITE_TOOBIG, SQLITE_CONSTRAINT, SQLITE_MISMATCH: the low byte of a result code. */
const ROW_FAULTS = [18, 19, 20];

/** SQLite in this thread. */
export async function openSqlite(target: DatabaseTarget): Promise<Driver> {
  return new SqliteDriver(target, await loadSqlite());
}

async function loadSqlite(): Promise<Sqlite> {
  const builtin = 'node:sqlite'; // unknown to the types of Node 20
  try {
    return (await import(builtin)) as Sqlite;
  } catch {
    try {
      return (await import(PACKAGE)) as unknown as Sqlite;
    } catch (error) {
      throw missingPackage(PACKAGE, error);
    }
  }
}

/** Whether a column turns numbers to integers by itself (https://sqlite.org/datatype3.html#determination_of_column_affinity). */
type Affinity = 'number' | 'text' | 'none';

class SqliteDriver implements Driver {
  readonly begin = 'BEGIN IMMEDIATE';
  readonly #target: DatabaseTarget;
  readonly #sqlite: Sqlite;
  #database: Database | undefined;
  #insert: Prepared | undefined;
  #affinities: readonly Affinity[] = [];
  readonly #prepared = new Map<string, Prepared>();

  constructor(target: DatabaseTarget, sqlite: Sqlite) {
    this.#target = target;
    this.#sqlite = sqlite;
  }

  async open(): Promise<void> {
    const path = this.#target.connection.database;
    // SQLite would make an empty file, and who asks why nothing is in it would not look for a wrong path.
    if (!existsSync(path))
      throw new Error(`there is no database ${path}: make it with sqlite3 and a schema of etc/sql`);
    const database = new this.#sqlite.DatabaseSync(path, { timeout: PATIENCE });
    this.#database = database;
    // Readers then never keep the writer waiting, nor it them. Where it cannot be, the file stays as it is.
    database.exec('PRAGMA journal_mode = WAL');
  }

  async columns(): Promise<readonly Column[]> {
    const rows = this.#all('SELECT name, type, pk, hidden FROM pragma_table_xinfo(?)', [this.#target.table]);
    const keys = rows.filter(({ pk }) => pk !== 0).length;
    return rows.map(({ name, type, pk, hidden }) => ({
      name: String(name),
      type: String(type),
      form: formOf(String(type)),
      // A lone INTEGER PRIMARY KEY is the row's number.
      automatic: hidden !== 0 || (pk !== 0 && keys === 1 && String(type).toUpperCase() === 'INTEGER'),
    }));
  }

  async prepare(columns: readonly Column[]): Promise<void> {
    this.#affinities = columns.map(({ type }) => affinityOf(type));
    const names = columns.map(({ name }) => quoted(name)).join(', ');
    const places = columns.map(() => '?').join(', ');
    const { table, procedure } = this.#target;
    if (!/^insert\b/i.test(procedure)) throw new Error(`SQLite has no procedures: "${procedure}" must be INSERT`);
    const into = procedure.toUpperCase() === 'INSERT' ? `INSERT INTO ${quoted(table)}` : procedure;
    this.#insert = this.#database!.prepare(`${into} (${names}) VALUES (${places})`);
  }

  async insert(rows: readonly Row[], from: number, to: number): Promise<void> {
    const insert = this.#insert!;
    const affinities = this.#affinities;
    const cells: Cell[] = new Array(affinities.length);
    for (let i = from; i < to; i++) {
      const row = rows[i]!;
      for (let j = 0; j < cells.length; j++) cells[j] = bindable(row[j]!, affinities[j]!);
      insert.run(...cells);
    }
  }

  async query(text: string, parameters: readonly Cell[] = []): Promise<Answer> {
    if (/^select/i.test(text)) {
      return { rows: this.#all(text, parameters).map((row) => Object.values(row)), changes: 0 };
    }
    return { rows: [], changes: Number(this.#statement(text).run(...parameters).changes) };
  }

  own(table: string): string {
    return table;
  }

  faultOf(error: unknown): Fault {
    const { errcode = 0 } = error as { errcode?: number };
    return ROW_FAULTS.includes(errcode & 0xff) ? 'row' : 'connection';
  }

  codeOf(error: unknown): string {
    return (error as Error).message; // names a table and a column, never a value
  }

  async close(): Promise<void> {
    this.#database?.close();
  }

  #all(text: string, parameters: readonly Cell[]): Record<string, unknown>[] {
    return this.#statement(text).all(...parameters);
  }

  #statement(text: string): Prepared {
    const known = this.#prepared.get(text);
    if (known) return known;
    const made = this.#database!.prepare(text);
    this.#prepared.set(text, made);
    return made;
  }
}

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;

function affinityOf(type: string): Affinity {
  if (/int/i.test(type)) return 'number';
  if (/char|clob|text/i.test(type)) return 'text';
  return type === '' || /blob/i.test(type) ? 'none' : 'number';
}

function formOf(type: string): Form {
  if (/int/i.test(type)) return 'any';
  if (/char|clob|text/i.test(type)) return 'text';
  return /blob/i.test(type) ? 'bytes' : 'any';
}

/** JavaScript's numbers are bound as reals, which columns with an affinity of numbers turn to integers, and others do not. */
function bindable(cell: Cell, affinity: Affinity): Cell {
  if (typeof cell === 'number') {
    return affinity === 'number' ? cell : affinity === 'text' ? String(cell) : BigInt(cell);
  }
  // SQLite's integers have a sign. What is larger keeps its digits as text, where the column lets it.
  return typeof cell === 'bigint' && (affinity === 'text' || cell > LARGEST) ? String(cell) : cell;
}
