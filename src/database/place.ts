import { existsSync } from 'node:fs';
import type { Secret } from '../config/secret.ts';
import type { ServerConnection } from './target.ts';

/** The options that name a server. */
export interface ServerOptions {
  readonly db: string;
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly pass: Secret;
  readonly tls_ca?: string;
}

/** A server for messages: without user and password. The path of a socket stands in brackets. */
export function serverName(scheme: string, { host, port, db }: ServerOptions): string {
  return `${scheme}://${host.startsWith('/') ? `[${host}]` : host}${port === 0 ? '' : `:${port}`}/${db}`;
}

const given = ({ db, host, port, user, pass }: ServerOptions): ServerConnection => ({
  database: db,
  host,
  port,
  user,
  ...(pass.isEmpty ? {} : { password: pass.reveal() }),
});

/** As libpq: no host is the socket. */
export function postgresConnection(options: ServerOptions): ServerConnection {
  return { ...given(options), host: options.host || '/var/run/postgresql' };
}

const MYSQL_SOCKETS = ['/run/mysqld/mysqld.sock', '/var/lib/mysql/mysql.sock', '/tmp/mysql.sock'];

/** As libmysqlclient: localhost is the socket. */
export function mysqlConnection(options: ServerOptions): ServerConnection {
  const { host, port } = options;
  const local = (host === '' || host === 'localhost') && port === 0;
  const socket = local ? MYSQL_SOCKETS.find((path) => existsSync(path)) : undefined;
  return {
    ...given(options),
    host: socket ?? (host || 'localhost'),
    ...(options.tls_ca ? { tlsCa: options.tls_ca } : {}),
  };
}
