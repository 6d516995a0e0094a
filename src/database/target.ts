import type { Field } from '../wire/row-batch.ts';
import type { ColumnRules } from './columns.ts';

/** How to reach a server; what is undefined or empty is left to the driver's default. */
export interface ServerConnection {
  /** Name or address; a folder or socket when it begins with `/`. */
  readonly host?: string;
  readonly port?: number;
  readonly database: string;
  readonly user?: string;
  readonly password?: string;
  readonly schema?: string;
  /** File of the authorities that may have signed the server's certificate: with it the connection must be encrypted. */
  readonly tlsCa?: string;
  /** PostgreSQL's own connection string, which wins over all of the above. */
  readonly connstring?: string;
}

/** All that a database's thread is told. It can be cloned. */
export interface DatabaseTarget extends Pick<ColumnRules, 'skipFirst'> {
  readonly kind: 'sqlite3' | 'pgsql' | 'mysql';
  readonly connection: ServerConnection;
  readonly table: string;
  readonly procedure: string;
  /** Keys that rows may have. */
  readonly fields: readonly Field[];
  /** `id:PLUGIN`. */
  readonly output: string;
  readonly compat: boolean;
}

/** What the thread is sent. */
export type ToThread = { readonly kind: 'batch'; readonly bytes: Uint8Array } | { readonly kind: 'finish' };

/** What it answers. */
export type FromThread =
  | { readonly kind: 'connected'; readonly keys: readonly string[]; readonly notice: string | undefined }
  | {
      readonly kind: 'written';
      readonly refused: readonly number[];
      readonly refusals: readonly { readonly code: string; readonly message: string; readonly rows: number }[];
    }
  | { readonly kind: 'closed'; readonly reason: string }
  | { readonly kind: 'finished' };
