import type { OptionSpecs } from '../config/option.ts';
import { quote } from '../config/problem.ts';
import { acknowledgedOptions, senderSettings } from '../delivery/options.ts';
import type { SenderSettings } from '../delivery/sender-settings.ts';

/** The delivery options of a database output. */
export const databaseDeliveryOptions = {
  ...acknowledgedOptions,
  reconnect: {
    ...acknowledgedOptions.reconnect,
    min: 0,
    default: 2,
    doc: 'Longest time between two attempts to connect; the first ones follow each other faster. 0, with which ulogd2 gave up for good, counts as 1.',
  },
  connect_timeout: {
    ...acknowledgedOptions.connect_timeout,
    min: 0,
    default: 10,
    doc: 'How long one attempt to connect may take; 0 is 10.',
  },
} as const satisfies OptionSpecs;

/** TLS to MySQL and MariaDB; PostgreSQL has it in its connection string. */
export const mysqlTlsOptions = {
  tls_ca: {
    type: 'string',
    default: '',
    doc: 'File with the authorities (PEM) that may have signed the certificate of MySQL or MariaDB: with it the connection is encrypted, or there is none.',
  },
} as const satisfies OptionSpecs;

/** The options of ulogd2 that all its databases but SQLITE3 have. */
export const statementOptions = {
  table: {
    type: 'string',
    default: '',
    required: true,
    doc: 'Table or view whose columns name the keys to write: column ip_protocol holds the key ip.protocol.',
  },
  procedure: {
    type: 'string',
    default: '',
    required: true,
    doc: '"INSERT" writes rows into the table; text that begins with INSERT goes before the columns; "CALL name" calls a procedure; any other name is a function that is called with the columns in their order.',
    check: (text) =>
      /^(?:insert\b.*|(?:call\s+)?(?:(?:"[^"]+"|`[^`]+`|[\w$]+)\.)?(?:"[^"]+"|`[^`]+`|[\w$]+)(?:\s*\(\s*\))?)$/i.test(
        text,
      )
        ? undefined
        : `${quote(text)} is neither INSERT nor the name of a function, nor CALL and the name of a procedure`,
  },
  backlog_memcap: {
    type: 'int',
    default: 0,
    unit: 'bytes',
    doc: 'Memory for rows while the database is away, if more than queue_max.',
  },
  backlog_oneshot_requests: {
    type: 'int',
    default: 10,
    doc: 'Accepted for ulogd2; what waits is sent as fast as the database takes it.',
  },
  ring_buffer_size: {
    type: 'int',
    default: 0,
    doc: 'Accepted for ulogd2; the database always has a thread of its own.',
  },
} as const satisfies OptionSpecs;

/** The values of the delivery options, and of the one of ulogd2 that is a size. */
export type DatabaseDeliveryOptions = {
  readonly [Key in keyof typeof databaseDeliveryOptions]: Key extends 'spool' ? string : number;
} & { readonly backlog_memcap?: number };

/** The settings of a database's sender. */
export function databaseSettings(options: DatabaseDeliveryOptions): SenderSettings {
  return senderSettings({
    ...options,
    resend: 0,
    reconnect: options.reconnect || 1,
    connect_timeout: options.connect_timeout || 10,
    queue_max: Math.max(options.queue_max, options.backlog_memcap ?? 0),
  });
}
