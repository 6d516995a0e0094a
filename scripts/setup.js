// What the demo, the tests and CI need before they can start. Runs before `npm ci`, so it uses Node alone.
// As a program (`node scripts/setup.js`) it does all of it.
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The checkout's folder. */
export const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** Debian packages: what compiles the addon, what a lab is made of, what flowlogd is compared with. */
export const PACKAGES = {
  // g++ because node-gyp links with it, also plain C.
  compiler: ['gcc', 'g++', 'make', 'python3'],
  lab: ['iptables', 'iproute2', 'conntrack', 'iputils-ping', 'procps', 'e2fsprogs'],
  ulogd: ['ulogd2', 'ulogd2-json', 'ulogd2-pcap', 'nftables'],
  // What reads what plugins write, and writes what they read; systemd, for what it thinks of the unit.
  peers: [
    'nfacct',
    'rsyslog',
    'tcpdump',
    'tshark',
    'libxml2-utils',
    'systemd',
    'graphite-carbon',
    'nfdump',
    'libfixbuf-tools',
    'libfaketime',
    'openvswitch-switch',
    'keepalived',
  ],
  // Servers that tests start in folders of their own, and ulogd's outputs to them.
  databases: ['postgresql', 'mariadb-server', 'sqlite3', 'openssl'],
  ulogdDatabases: ['ulogd2-sqlite3', 'ulogd2-pgsql', 'ulogd2-mysql'],
};

// A command that shows a package to be there, also where it came by other ways than Debian's.
/** @type {Record<string, string>} */
const COMMANDS = {
  iproute2: 'ip',
  'iputils-ping': 'ping',
  procps: 'sysctl',
  e2fsprogs: 'mkfs.ext4',
  nftables: 'nft',
  ulogd2: 'ulogd',
  rsyslog: 'rsyslogd',
  'libxml2-utils': 'xmllint',
  systemd: 'systemd-analyze',
  'graphite-carbon': 'carbon-cache',
  nfdump: 'nfcapd',
  'libfixbuf-tools': 'ipfixDump',
  'mariadb-server': 'mariadbd',
  'openvswitch-switch': 'ovs-vsctl',
};

/** What a package starts. */
const UNITS = {
  ulogd2: 'ulogd2',
  postgresql: 'postgresql',
  'mariadb-server': 'mariadb',
  'graphite-carbon': 'carbon-cache',
  nfdump: 'nfdump',
  'openvswitch-switch': 'openvswitch-switch',
  keepalived: 'keepalived',
};

/** Whether this process may make namespaces and open netlink sockets in them. */
export const isRoot = () => process.getuid?.() === 0;

/** Those of these Debian packages that are not here. @param {string[]} packages */
export function missingPackages(packages) {
  return packages.filter((name) => !onPath(COMMANDS[name] ?? name) && !installed(name));
}

/** Installs those of these Debian packages that are missing; throws, naming them, when it cannot. @param {string[]} packages */
export function ensurePackages(packages) {
  const missing = missingPackages(packages);
  if (missing.length === 0) return;
  const list = missing.join(' ');
  if (!isRoot()) throw new Error(`missing, and only root can install: apt-get install ${list}`);
  if (!onPath('apt-get')) throw new Error(`missing, and there is no apt-get here; please install: ${list}`);
  // A fresh machine has no package lists; a machine without network may still have the packages.
  if (spawnSync('apt-get', ['update'], { stdio: 'inherit' }).status !== 0) console.error('apt-get update failed');
  run('apt-get', ['install', '-y', '--no-install-recommends', ...missing], { DEBIAN_FRONTEND: 'noninteractive' });
  // Debian starts what it installs. The tests start their own, and nobody asked for a logger or a database on this machine.
  if (!existsSync('/run/systemd/system')) return;
  for (const [name, unit] of Object.entries(UNITS))
    if (missing.includes(name)) run('systemctl', ['disable', '--now', unit]);
}

/** Makes node_modules, if it is missing. */
export function ensureModules() {
  if (existsSync(join(ROOT, 'node_modules'))) return;
  ensurePackages(PACKAGES.compiler);
  run('npm', ['ci']);
}

/** Makes what is missing or older than its source: node_modules, the addon, dist. */
export function ensureBuilt() {
  ensureModules();
  const release = join(ROOT, 'native/build/Release');
  const addon = existsSync(release) && readdirSync(release).find((name) => name.endsWith('.node'));
  if (!addon || changed(join(release, addon)) < newest('native', ['build'])) {
    ensurePackages(PACKAGES.compiler);
    run('npm', ['run', 'install']);
  }
  const main = join(ROOT, 'dist/main.js');
  const sources = Math.max(
    newest('src'),
    changed(join(ROOT, 'tsconfig.json')),
    changed(join(ROOT, 'tsconfig.build.json')),
  );
  if (!existsSync(main) || changed(main) < sources) run('npm', ['run', 'build']);
}

/** @param {string} command @param {string[]} args @param {Record<string, string>} [environment] */
function run(command, args, environment = {}) {
  console.log(`$ ${command} ${args.join(' ')}`);
  // Node's headers usually lie beside it: then node-gyp need not fetch them.
  const prefix = dirname(dirname(process.execPath));
  const headers = existsSync(join(prefix, 'include/node/node_api.h')) ? { npm_config_nodedir: prefix } : {};
  const env = { ...process.env, ...headers, ...environment };
  const { status, signal, error } = spawnSync(command, args, { cwd: ROOT, stdio: 'inherit', env });
  if (status !== 0)
    throw new Error(`${command} ${args.join(' ')}: ${error?.message ?? signal ?? `exit code ${status}`}`);
}

/** @param {string} command */
function onPath(command) {
  // A user's PATH often lacks the sbin folders, where most of these are.
  const folders = [...(process.env.PATH ?? '').split(':'), '/usr/sbin', '/sbin'];
  return folders.some((folder) => {
    try {
      accessSync(join(folder, command), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** @param {string} name of a Debian package */
function installed(name) {
  const { stdout } = spawnSync('dpkg-query', ['-W', '-f', `\${db:Status-Status}`, name], { encoding: 'utf8' });
  return stdout === 'installed';
}

/** When a file or folder changed, in ms. @param {string} path */
const changed = (path) => statSync(path).mtimeMs;

/** When anything below a folder of the checkout last changed, deletions included. @param {string} folder @param {string[]} [except] */
function newest(folder, except = []) {
  const path = join(ROOT, folder);
  let latest = except.length > 0 ? 0 : changed(path);
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (except.includes(entry.name)) continue;
    const inside = join(folder, entry.name);
    latest = Math.max(latest, entry.isDirectory() ? newest(inside) : changed(join(ROOT, inside)));
  }
  return latest;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    ensurePackages([...PACKAGES.compiler, ...PACKAGES.lab, ...PACKAGES.ulogd]);
    ensureBuilt();
  } catch (error) {
    console.error(`setup: ${/** @type {Error} */ (error).message}`);
    process.exitCode = 1;
  }
}
