// Real database servers, each in a folder of its own, run by the package's user and reached by a socket there.

import type { ChildProcess } from 'node:child_process';
import { execFileSync, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Lab, until } from '../../scripts/lab.js';

let made = 0;

abstract class Server {
  /** Folder of its socket. */
  readonly folder: string;
  protected readonly lab: Lab;
  protected readonly user: string;
  #process: ChildProcess | undefined;

  constructor(lab: Lab, user: string) {
    this.lab = lab;
    this.user = user;
    chmodSync(lab.directory, 0o755);
    this.folder = join(lab.directory, `${user}-${made++}`);
    mkdirSync(this.folder);
    lab.sh(`chown ${user}: ${this.folder}`);
    this.install();
  }

  protected abstract readonly command: readonly string[];
  protected abstract readonly stopSignal: NodeJS.Signals;
  protected abstract install(): void;
  /** Runs a statement, or a script of them, and returns the rows, fields between tabs. */
  abstract sql(text: string): string[];

  /** Runs a command as the server's user. */
  protected asUser(...command: string[]): void {
    execFileSync('setpriv', this.#words(command), { stdio: ['ignore', 'pipe', 'pipe'], cwd: '/' });
  }

  /** Starts it and resolves when it answers. */
  async start(): Promise<void> {
    for (;;) {
      const child = this.lab.start(['setpriv', ...this.#words(['--pdeathsig', 'KILL', ...this.command])], undefined, {
        stdio: 'ignore',
        cwd: '/',
      });
      this.#process = child;
      let over = false;
      child.once('exit', () => {
        over = true;
      });
      await until('the database answers', () => over || this.answers());
      if (!over) return; // else the processes of one that was killed are not gone yet
    }
  }

  /** Kills it as a crash would. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  /** Ends it in its own way. */
  async stop(): Promise<void> {
    await this.#end(this.stopSignal);
  }

  protected answers(): boolean {
    try {
      return this.sql('SELECT 1')[0] === '1';
    } catch {
      return false;
    }
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill(signal);
    await ended;
  }

  #words(command: readonly string[]): string[] {
    return ['--reuid', this.user, '--regid', this.user, '--clear-groups', ...command];
  }
}

/** Debian keeps the programs of each version apart. */
const POSTGRES = execFileSync('sh', ['-c', 'ls -d /usr/lib/postgresql/*/bin 2>/dev/null | tail -1'], {
  encoding: 'utf8',
}).trim();

/** PostgreSQL with a database `ulogd`; the user postgres needs no password, the user ulogd has `secret`. */
export class PostgresServer extends Server {
  /** Fast: it does not wait for those that are connected. */
  protected override readonly stopSignal = 'SIGINT';

  constructor(lab: Lab) {
    super(lab, 'postgres');
  }

  protected override readonly command = [
    ...[join(POSTGRES, 'postgres'), '-D', join(this.folder, 'data'), '-k', this.folder],
    ...['-c', 'listen_addresses=', '-F', '-c', 'log_destination=stderr'],
  ];

  protected override install(): void {
    const data = join(this.folder, 'data');
    this.asUser(
      join(POSTGRES, 'initdb'),
      '-D',
      data,
      '-A',
      'trust',
      '-N',
      '-U',
      'postgres',
      '-E',
      'UTF8',
      '--no-locale',
    );
    this.lab.sh(`printf 'local all postgres trust\\nlocal all all scram-sha-256\\n' > ${data}/pg_hba.conf`);
  }

  override async start(): Promise<void> {
    await super.start();
    if (this.#psql('postgres', `SELECT 1 FROM pg_database WHERE datname = 'ulogd'`).length > 0) return;
    this.#psql('postgres', 'CREATE DATABASE ulogd');
    this.sql(`CREATE USER ulogd PASSWORD 'secret'; GRANT ALL ON SCHEMA public TO ulogd`);
  }

  override sql(text: string): string[] {
    return this.#psql('ulogd', text);
  }

  protected override answers(): boolean {
    try {
      return this.#psql('postgres', 'SELECT 1')[0] === '1';
    } catch {
      return false;
    }
  }

  #psql(database: string, text: string): string[] {
    return run(
      'psql',
      ['-h', this.folder, '-U', 'postgres', '-d', database, '-AtqX', '-F', '\t', '-v', 'ON_ERROR_STOP=1'],
      text,
    );
  }
}

/** MariaDB with a database `ulogd`; root needs no password, the user ulogd has `secret`. */
export class MysqlServer extends Server {
  protected override readonly stopSignal = 'SIGTERM';

  constructor(lab: Lab) {
    super(lab, 'mysql');
  }

  get socket(): string {
    return join(this.folder, 'mysqld.sock');
  }

  protected override readonly command = [
    ...['mariadbd', '--no-defaults', `--datadir=${join(this.folder, 'data')}`, `--socket=${this.socket}`],
    ...['--skip-networking', `--pid-file=${join(this.folder, 'pid')}`, '--innodb-flush-log-at-trx-commit=2'],
    ...['--innodb-buffer-pool-size=32M', '--max-allowed-packet=16M'],
  ];

  protected override install(): void {
    const data = join(this.folder, 'data');
    this.asUser(
      ...['mariadb-install-db', '--no-defaults', `--datadir=${data}`, '--auth-root-authentication-method=normal'],
      ...['--skip-test-db', '--skip-name-resolve', '--innodb-log-file-size=16M'],
    );
  }

  override async start(): Promise<void> {
    await super.start();
    this.#mariadb(
      'mysql',
      `CREATE DATABASE IF NOT EXISTS ulogd; CREATE USER IF NOT EXISTS ulogd@localhost IDENTIFIED BY 'secret';
       GRANT ALL ON ulogd.* TO ulogd@localhost`,
    );
  }

  override sql(text: string): string[] {
    return this.#mariadb('ulogd', text);
  }

  protected override answers(): boolean {
    return (
      existsSync(this.socket) &&
      spawnSync('mariadb-admin', ['--no-defaults', '-S', this.socket, '-u', 'root', 'ping']).status === 0
    );
  }

  #mariadb(database: string, text: string): string[] {
    return run('mariadb', ['--no-defaults', '-S', this.socket, '-u', 'root', '-N', '-B', database], text);
  }
}

function run(program: string, args: readonly string[], input: string): string[] {
  const text = execFileSync(program, args, { input, encoding: 'utf8', stdio: ['pipe', 'pipe', 'pipe'] });
  return text.split('\n').filter((line) => line !== '');
}
