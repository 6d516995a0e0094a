import { NO_SECRET } from '../config/secret.ts';
import { databaseDeliveryOptions, statementOptions } from '../database/options.ts';
import { postgresConnection, serverName } from '../database/place.ts';
import { defineOutput } from '../pipeline/plugin.ts';
import { databaseStage } from './row-sender.ts';

/** PGSQL: rows in a table of PostgreSQL, or calls of a function. */
export default defineOutput({
  name: 'PGSQL',
  summary: 'Writes each event to PostgreSQL, as a row of a table or by a function, whose columns name the keys.',
  accepts: ['packet', 'flow', 'sum'],
  example: 'stack=ct1:NFCT,ip2str1:IP2STR,pgsql1:PGSQL',
  options: {
    db: { type: 'string', default: '', required: { unless: 'connstring' }, doc: 'Name of the database.' },
    host: {
      type: 'string',
      default: '',
      doc: 'Name or address of the server, or the folder of its socket; empty for /var/run/postgresql.',
    },
    port: { type: 'int', default: 0, max: 65535, doc: 'Port of the server; 0 is 5432.' },
    user: { type: 'string', default: '', required: { unless: 'connstring' }, doc: 'User of the database.' },
    pass: { type: 'secret', default: NO_SECRET, doc: 'Password, env:NAME or file:/path.' },
    schema: { type: 'string', default: 'public', doc: 'Schema of the table.' },
    connstring: {
      type: 'secret',
      default: NO_SECRET,
      doc: 'Connection string of libpq, such as "host=db dbname=ulogd sslmode=verify-full"; it wins over the other options.',
    },
    ...statementOptions,
    ...databaseDeliveryOptions,
  },
  reads: 'every',
  link(link) {
    const { options } = link;
    const place = {
      kind: 'pgsql',
      name: options.connstring.isEmpty ? serverName('postgresql', options) : 'postgresql',
      table: options.table,
      procedure: options.procedure,
      skipFirst: 'underscore',
      connection: () => ({
        ...postgresConnection(options),
        schema: options.schema,
        ...(options.connstring.isEmpty ? {} : { connstring: options.connstring.reveal() }),
      }),
    } as const;
    return databaseStage(place, options, 'PGSQL', link);
  },
});
