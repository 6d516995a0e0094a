import { NO_SECRET } from '../config/secret.ts';
import { databaseDeliveryOptions, mysqlTlsOptions, statementOptions } from '../database/options.ts';
import { mysqlConnection, serverName } from '../database/place.ts';
import { defineOutput } from '../pipeline/plugin.ts';
import { databaseStage } from './row-sender.ts';

/** MYSQL: rows in a table of MySQL or MariaDB, or calls of a function or procedure. */
export default defineOutput({
  name: 'MYSQL',
  summary: 'Writes each event to MySQL or MariaDB, as a row of a table or by a procedure, whose columns name the keys.',
  accepts: ['packet', 'flow', 'sum'],
  example: 'stack=ct1:NFCT,ip2bin1:IP2BIN,mysql1:MYSQL',
  options: {
    db: { type: 'string', default: '', required: true, doc: 'Name of the database.' },
    host: {
      type: 'string',
      default: '',
      required: true,
      doc: 'Name or address of the server, or the path of its socket; localhost is the socket where there is one and no port is given.',
    },
    port: { type: 'int', default: 0, max: 65535, doc: 'Port of the server; 0 is 3306.' },
    user: { type: 'string', default: '', required: true, doc: 'User of the database.' },
    pass: { type: 'secret', default: NO_SECRET, doc: 'Password, env:NAME or file:/path.' },
    ...mysqlTlsOptions,
    ...statementOptions,
    ...databaseDeliveryOptions,
  },
  reads: 'every',
  link(link) {
    const { options } = link;
    const place = {
      kind: 'mysql',
      name: serverName('mysql', options),
      table: options.table,
      procedure: options.procedure,
      skipFirst: 'always',
      connection: () => mysqlConnection(options),
    } as const;
    return databaseStage(place, options, 'MYSQL', link);
  },
});
