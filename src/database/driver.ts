import type { Cell, Form, Row } from './rows.ts';

/** A column of the table, as the database describes it. */
export interface Column {
  readonly name: string;
  /** How what is not a plain number or text is put into it. */
  readonly form: Form;
  /** The database's own name of its type, for casts. */
  readonly type: string;
  /** The database fills it: a generated number or expression. */
  readonly automatic: boolean;
}

/** Which table, and how rows get into it. */
export interface Statement {
  readonly table: string;
  /** As the option says: `INSERT`, `INSERT …`, `CALL name`, or the name of a function. */
  readonly procedure: string;
}

/** What a failure means for the rows. */
export type Fault =
  /** The database will never take this row. */
  | 'row'
  /** The transaction met another one: the same again will do. */
  | 'again'
  /** Nothing can be written now. */
  | 'connection';

/** Answer to a statement. */
export interface Answer {
  readonly rows: readonly (readonly unknown[])[];
  /** Rows changed. */
  readonly changes: number;
}

/** One connection to a database, in a thread of its own. All methods throw the database's own errors. */
export interface Driver {
  /** Connects. `ended` is called when the connection ends by itself. */
  open(ended: (reason: string) => void): Promise<void>;
  /** The columns of the table in their order; empty when there is no such table. */
  columns(): Promise<readonly Column[]>;
  /** Prepares the statement that writes these columns. */
  prepare(columns: readonly Column[]): Promise<void>;
  /** Writes rows from `from` up to `to`, all or none. */
  insert(rows: readonly Row[], from: number, to: number): Promise<void>;
  /** Runs a statement with `?` for each parameter. */
  query(text: string, parameters?: readonly Cell[]): Promise<Answer>;
  /** How a transaction that writes begins. */
  readonly begin: string;
  /** A table of flowlogd's own, as it stands in a statement. */
  own(table: string): string;
  faultOf(error: unknown): Fault;
  /** What makes two failures the same one, beside their text. */
  codeOf(error: unknown): string;
  close(): Promise<void>;
}

export { missingPackage } from '../system/missing-package.ts';
