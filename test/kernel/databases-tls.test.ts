// TLS to the real PostgreSQL and MariaDB, with certificates that openssl makes.
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { MysqlServer, PostgresServer } from '../../scripts/database-servers.js';
import { Lab, until } from '../../scripts/lab.js';
import { Daemon, killRest, logDatagrams, sendDatagrams } from '../support/daemon.ts';

const lab = new Lab();
const files = join(lab.directory, 'tls');
/** Nobody else listens on this address. */
const ADDRESS = `127.78.${process.pid & 0xff}.${(process.pid >> 8) & 0xff}`;
const MYSQL_PORT = 33069;
const KEY = join(files, 'server.key');
const CERTIFICATE = join(files, 'server.pem');
const postgres = new PostgresServer(lab, [
  ...['-F', '-c', `listen_addresses=${ADDRESS}`, '-c', 'ssl=on'],
  ...['-c', `ssl_cert_file=${CERTIFICATE}`, '-c', `ssl_key_file=${KEY}.postgres`],
]);
const mysql = new MysqlServer(lab, [
  ...['--skip-networking=0', `--bind-address=${ADDRESS}`, `--port=${MYSQL_PORT}`, '--innodb-flush-log-at-trx-commit=2'],
  ...[`--ssl-cert=${CERTIFICATE}`, `--ssl-key=${KEY}.mysql`],
]);
let namespace = '';

beforeAll(async () => {
  const signed = `-subj /CN=ours -addext subjectAltName=IP:${ADDRESS}`;
  const key = '-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes';
  lab.sh(
    `mkdir ${files}; cd ${files}
     for who in ours others; do openssl req -x509 ${key} -keyout $who.key -out $who.pem -days 2 -subj /CN=$who-authority; done
     openssl req ${key} -keyout server.key -out server.csr ${signed}
     openssl x509 -req -in server.csr -CA ours.pem -CAkey ours.key -CAcreateserial -out server.pem -days 2 -copy_extensions copy
     for user in postgres mysql; do install -m 600 -o $user server.key server.key.$user; done 2>&1`,
  );
  appendFileSync(join(postgres.folder, 'data/pg_hba.conf'), 'hostssl all all 127.0.0.0/8 scram-sha-256\n');
  namespace = lab.namespace('fl-tls');
  logDatagrams(lab, namespace, 5, 'prefix "tls" queue-threshold 1');
  await Promise.all([postgres.start(), mysql.start()]);
  postgres.sql('CREATE TABLE t (oob_prefix text); GRANT ALL ON t TO ulogd; GRANT ALL ON SCHEMA public TO ulogd');
  mysql.sql(
    `CREATE TABLE t (id int auto_increment primary key, oob_prefix varchar(64));
     CREATE USER tls@'%' IDENTIFIED BY 'secret' REQUIRE SSL; GRANT ALL ON ulogd.* TO tls@'%'`,
  );
});
afterEach(killRest);
afterAll(async () => {
  await Promise.all([postgres.stop(), mysql.stop()]);
  lab.close();
});

const conninfo = (more: string) => `connstring="host=${ADDRESS} dbname=ulogd user=ulogd password=secret ${more}"`;
const server = `host="${ADDRESS}"\nport=${MYSQL_PORT}\ndb="ulogd"\nuser="tls"\npass="secret"`;
const PLUGINS = {
  PGSQL: {
    trusting: (ca: string) => conninfo(`sslmode=verify-full sslrootcert=${ca}`),
    plain: conninfo('sslmode=disable'),
    refused: /no pg_hba\.conf entry .* no encryption/,
    sql: (text: string) => postgres.sql(text),
  },
  MYSQL: {
    trusting: (ca: string) => `${server}\ntls_ca="${ca}"`,
    plain: server,
    refused: /Access denied/,
    sql: (text: string) => mysql.sql(text),
  },
  DBI: {
    trusting: (ca: string) => `dbtype=mysql\n${server}\ntls_ca="${ca}"`,
    plain: `dbtype=mysql\n${server}`,
    refused: /Access denied/,
    sql: (text: string) => mysql.sql(text),
  },
} as const;

describe.each(Object.entries(PLUGINS))('%s', (plugin, { trusting, plain, refused, sql }) => {
  /** The input listens in a namespace; the connection goes out from here. */
  const start = (options: string) =>
    Daemon.start(
      lab,
      `[global]
stack=log1:NFLOG,db1:${plugin}
stack=log1:NFLOG,json1:JSON
[log1]
group=5
network_namespace_path="/run/netns/${namespace}"
[db1]
${options}
table="t"
procedure="INSERT"
stop_timeout=1
[json1]
file="/out/packets.json"
`,
    );
  const says = (daemon: Daemon) =>
    daemon.log.split('\n').filter((line) => /db1:/.test(line) && /ERROR|<7>/i.test(line));

  test('writes over TLS to a server whose certificate our authority has signed', async () => {
    sql('DELETE FROM t');
    const daemon = await start(trusting(join(files, 'ours.pem')));
    sendDatagrams(lab, namespace, 3);
    await until('the rows', () => sql('SELECT oob_prefix FROM t').join() === 'tls,tls,tls');
    expect(await daemon.stop()).toBe(0);
  });

  if (plugin === 'DBI') return; // the same driver

  test.each([
    ['another authority', trusting(join(files, 'others.pem')), /unable to verify the first certificate|self.signed/i],
    [
      'a file of authorities that is not there',
      trusting('/nowhere/ca.pem'),
      /(?:tls_ca|sslrootcert): ENOENT.*\/nowhere/,
    ],
    ['no TLS where the server asks for it', plain, refused],
  ])('with %s it says why, once, writes nothing, and other stacks go on', async (_, options, why) => {
    sql('DELETE FROM t');
    const daemon = await start(options);
    await until('it says why', () => says(daemon).length > 0);
    sendDatagrams(lab, namespace, 3);
    expect(await daemon.objects('packets.json', 3)).toHaveLength(3);
    expect(says(daemon).join('\n')).toMatch(why);
    expect(says(daemon)[0]).toContain(`db1:${plugin}:`);
    expect(says(daemon)).toHaveLength(1);
    expect(daemon.log).not.toContain('secret');
    expect(await daemon.stop()).toBe(0);
    expect(daemon.log).toMatch(new RegExp(`db1:${plugin}: 0 written, 3 dropped`));
    expect(sql('SELECT count(*) FROM t')).toEqual(['0']);
  });
});
