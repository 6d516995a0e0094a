import { NO_SECRET } from '../config/secret.ts';
import { databaseDeliveryOptions, mysqlTlsOptions, statementOptions } from '../database/options.ts';
import { mysqlConnection, postgresConnection, serverName } from '../database/place.ts';
import { defineOutput } from '../pipeline/plugin.ts';
import { databaseStage } from './row-sender.ts';

const KINDS = { pgsql: 'pgsql', mysql: 'mysql', sqlite3: 'sqlite3', sqlite: 'sqlite3' } as const;

/** DBI: the three databases under one name. */
export default defineOutput({
  name: 'DBI',
  summary: 'Writes each event to the database that dbtype names: PostgreSQL, MySQL, MariaDB or SQLite.',
  accepts: ['packet', 'flow', 'sum'],
  example: 'stack=ct1:NFCT,ip2str1:IP2STR,dbi1:DBI',
  options: {
    dbtype: {
      type: 'choice',
      choices: ['pgsql', 'mysql', 'sqlite3', 'sqlite'],
      default: 'pgsql',
      required: true,
      doc: 'Which database it is.',
    },
    db: { type: 'string', default: '', required: true, doc: 'Name of the database; with sqlite3 its file.' },
    host: { type: 'string', default: '', doc: 'Name or address of the server, or its socket; not for sqlite3.' },
    port: { type: 'int', default: 0, max: 65535, doc: 'Port of the server; 0 is the usual one.' },
    user: { type: 'string', default: '', doc: 'User of the database; not for sqlite3.' },
    pass: { type: 'secret', default: NO_SECRET, doc: 'Password, env:NAME or file:/path.' },
    schema: { type: 'string', default: '', doc: 'Schema of the table, with pgsql; empty for public.' },
    ...mysqlTlsOptions,
    ...statementOptions,
    ...databaseDeliveryOptions,
  },
  reads: 'every',
  link(link) {
    const { options } = link;
    const kind = KINDS[options.dbtype];
    const place = {
      kind,
      name: kind === 'sqlite3' ? `sqlite3:${options.db}` : serverName(kind === 'pgsql' ? 'postgresql' : kind, options),
      table: options.table,
      procedure: options.procedure,
      skipFirst: 'always',
      connection() {
        if (kind === 'sqlite3') return { database: options.db };
        return kind === 'mysql' ? mysqlConnection(options) : { ...postgresConnection(options), schema: options.schema };
      },
    } as const;
    return databaseStage(place, options, 'DBI', link);
  },
});
