// Real database servers for tests and measurements: each in a folder of its own, run by the user of Debian's package and
// reached by a socket there.
import { execFileSync, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { until } from './lab.js';

let made = 0;

class Server {
  /** @type {import('node:child_process').ChildProcess | undefined} */ #process;
  /** @type {string[]} */ command = [];
  /** @type {NodeJS.Signals} */ stopSignal = 'SIGTERM';
  /** What initdb and its like say it is. */
  #user;
  #lab;

  /** @param {import('./lab.js').Lab} lab @param {string} user */
  constructor(lab, user) {
    this.#lab = lab;
    this.#user = user;
    chmodSync(lab.directory, 0o755);
    /** Folder of its socket. */
    this.folder = join(lab.directory, `${user}-${made++}`);
    mkdirSync(this.folder);
    lab.sh(`chown ${user}: ${this.folder}`);
  }

  /** Of its main process. */
  get pid() {
    return this.#process?.pid;
  }

  /** Runs a statement, or a script of them, and returns the rows, fields between tabs. @param {string} _text @returns {string[]} */
  sql(_text) {
    throw new Error('each server has its own');
  }

  /** @returns {boolean} */
  answers() {
    throw new Error('each server has its own');
  }

  /** Runs a command as the server's user. @param {string[]} command */
  asUser(...command) {
    execFileSync('setpriv', this.#words(command), { stdio: ['ignore', 'pipe', 'pipe'], cwd: '/' });
  }

  /** Starts it and resolves when it answers. */
  async start() {
    for (;;) {
      const words = ['setpriv', ...this.#words(['--pdeathsig', 'KILL', ...this.command])];
      const child = this.#lab.start(words, undefined, { stdio: 'ignore', cwd: '/' });
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
  async kill() {
    await this.#end('SIGKILL');
  }

  /** Ends it in its own way. */
  async stop() {
    await this.#end(this.stopSignal);
  }

  /** @param {NodeJS.Signals} signal */
  async #end(signal) {
    const child = this.#process;
    this.#process = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill(signal);
    await ended;
  }

  /** @param {string[]} command */
  #words(command) {
    return ['--reuid', this.#user, '--regid', this.#user, '--clear-groups', ...command];
  }
}

/** PostgreSQL with a database `ulogd`; the user postgres needs no password, the user ulogd has `secret`. */
export class PostgresServer extends Server {
  /** Fast: it does not wait for those that are connected. @override @type {NodeJS.Signals} */
  stopSignal = 'SIGINT';

  /** @param {import('./lab.js').Lab} lab @param {string[]} [settings] */
  constructor(lab, settings = ['-F']) {
    super(lab, 'postgres');
    // Debian keeps the programs of each version apart.
    const programs = lab.sh('ls -d /usr/lib/postgresql/*/bin | tail -1').trim();
    const data = join(this.folder, 'data');
    this.asUser(
      ...[join(programs, 'initdb'), '-D', data, '-A', 'trust', '-N', '-U', 'postgres', '-E', 'UTF8', '--no-locale'],
    );
    lab.sh(`printf 'local all postgres trust\\nlocal all all scram-sha-256\\n' > ${data}/pg_hba.conf`);
    this.command = [join(programs, 'postgres'), '-D', data, '-k', this.folder, '-c', 'listen_addresses=', ...settings];
  }

  /** @override */
  async start() {
    await super.start();
    if (this.#psql('postgres', `SELECT 1 FROM pg_database WHERE datname = 'ulogd'`).length > 0) return;
    this.#psql('postgres', 'CREATE DATABASE ulogd');
    this.sql(`CREATE USER ulogd PASSWORD 'secret'; GRANT ALL ON SCHEMA public TO ulogd`);
  }

  /** @override @param {string} text */
  sql(text) {
    return this.#psql('ulogd', text);
  }

  /** @override */
  answers() {
    try {
      return this.#psql('postgres', 'SELECT 1')[0] === '1';
    } catch {
      return false;
    }
  }

  /** @param {string} database @param {string} text */
  #psql(database, text) {
    const words = ['-h', this.folder, '-U', 'postgres', '-d', database, '-AtqX', '-F', '\t', '-v', 'ON_ERROR_STOP=1'];
    return run('psql', words, text);
  }
}

/** MariaDB with a database `ulogd`; root needs no password, the user ulogd has `secret`. */
export class MysqlServer extends Server {
  /** @param {import('./lab.js').Lab} lab @param {string[]} [settings] */
  constructor(lab, settings = ['--innodb-flush-log-at-trx-commit=2', '--innodb-buffer-pool-size=32M']) {
    super(lab, 'mysql');
    this.socket = join(this.folder, 'mysqld.sock');
    const data = join(this.folder, 'data');
    this.asUser(
      ...['mariadb-install-db', '--no-defaults', `--datadir=${data}`, '--auth-root-authentication-method=normal'],
      ...['--skip-test-db', '--skip-name-resolve', '--innodb-log-file-size=16M'],
    );
    this.command = [
      ...['mariadbd', '--no-defaults', `--datadir=${data}`, `--socket=${this.socket}`, '--skip-networking'],
      ...[`--pid-file=${join(this.folder, 'pid')}`, ...settings],
    ];
  }

  /** @override */
  async start() {
    await super.start();
    this.#mariadb(
      'mysql',
      `CREATE DATABASE IF NOT EXISTS ulogd; CREATE USER IF NOT EXISTS ulogd@localhost IDENTIFIED BY 'secret';
       GRANT ALL ON ulogd.* TO ulogd@localhost`,
    );
  }

  /** @override @param {string} text */
  sql(text) {
    return this.#mariadb('ulogd', text);
  }

  /** @override */
  answers() {
    const ping = ['--no-defaults', '-S', this.socket, '-u', 'root', 'ping'];
    return existsSync(this.socket) && spawnSync('mariadb-admin', ping).status === 0;
  }

  /** @param {string} database @param {string} text */
  #mariadb(database, text) {
    return run('mariadb', ['--no-defaults', '-S', this.socket, '-u', 'root', '-N', '-B', database], text);
  }
}

/** @param {string} program @param {string[]} args @param {string} input */
function run(program, args, input) {
  const text = execFileSync(program, args, { input, encoding: 'utf8', stdio: ['pipe', 'pipe', 'pipe'] });
  return text.split('\n').filter((line) => line !== '');
}
