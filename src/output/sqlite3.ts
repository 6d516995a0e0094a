import { databaseDeliveryOptions, statementOptions } from '../database/options.ts';
import { defineOutput } from '../pipeline/plugin.ts';
import { databaseStage } from './row-sender.ts';

/** SQLITE3: rows in a table of an SQLite file. */
export default defineOutput({
  name: 'SQLITE3',
  summary: 'Writes each event as a row of an SQLite table, whose columns name the keys.',
  accepts: ['packet', 'flow', 'sum'],
  example: 'stack=ct1:NFCT,ip2str1:IP2STR,sqlite1:SQLITE3',
  options: {
    db: { type: 'string', path: 'file', default: '', required: true, doc: 'The database file, which must be there.' },
    table: statementOptions.table,
    ...databaseDeliveryOptions,
  },
  reads: 'every',
  link(link) {
    const { db, table } = link.options;
    const place = {
      kind: 'sqlite3',
      name: `sqlite3:${db}`,
      table,
      procedure: 'INSERT',
      skipFirst: 'never',
      connection: () => ({ database: db }),
    } as const;
    return databaseStage(place, link.options, 'SQLITE3', link);
  },
});
