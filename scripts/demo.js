// flowlogd on an OpenStack router made for the occasion: real traffic through real NAT, and what flowlogd writes about it.
// Sets up whatever is missing, takes seconds, leaves nothing behind. FLOWLOGD=ulogd shows the original instead.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { RULES, steps } from './demo-steps.js';
import { explain, read, translation } from './explain.js';
import { until } from './lab.js';
import { RouterLab } from './router-lab.js';
import { ensureBuilt, ensurePackages, isRoot, missingPackages, PACKAGES, ROOT } from './setup.js';

/** @typedef {import('./explain.js').Fact} Fact @typedef {import('./demo-steps.js').Step} Step */

const NEW = 'syslogemu.log';
const ENDED = 'ulogd.json';
const PACKET = 'iptables.log';
const PACKET_JSON = 'packets.json';
const ORIGINAL = process.env.FLOWLOGD;

const paint = process.stdout.isTTY && !process.env.NO_COLOR;
/** @param {number} code @returns {(text: string) => string} */
const colour = (code) => (text) => (paint ? `\x1b[${code}m${text}\x1b[0m` : text);
const [bold, dim, red, green] = [colour(1), colour(2), colour(31), colour(32)];

/** The output files, read and printed as they grow. */
class Tail {
  /** @type {Map<string, Fact[]>} */ facts = new Map([NEW, ENDED, PACKET, PACKET_JSON].map((file) => [file, []]));
  /** @type {Map<string, number>} */ #shown = new Map();

  /** @param {string} directory */
  constructor(directory) {
    this.directory = directory;
  }

  /** Prints and keeps what is new; a line that is not ended yet waits. */
  poll() {
    for (const [file, facts] of this.facts) {
      const path = join(this.directory, file);
      const text = existsSync(path) ? readFileSync(path, 'utf8') : '';
      const from = this.#shown.get(file) ?? 0;
      const to = text.lastIndexOf('\n') + 1;
      this.#shown.set(file, to);
      for (const line of text.slice(from, to).split('\n').filter(Boolean)) {
        const fact = read(line);
        facts.push(fact);
        console.log(`${dim(`  ${file}: ${line}`)}\n    ${green(`↳ ${explain(fact)}`)}`);
      }
    }
  }

  /** Whether the line that a step promises in this file, if any, is there. @param {string} file @param {Step} step */
  has(file, { connection, answers, packet, prefix }) {
    const way = file === NEW || file === ENDED ? connection : packet;
    if (!way) return true;
    const [protocol, src, dst, port] = way;
    return this.facts.get(file)?.some((fact) => {
      const { orig } = fact;
      if (fact.protocol !== protocol || orig.src !== src || orig.dst !== dst || orig.dport !== port) return false;
      if (fact.kind === 'packet') return fact.prefix === prefix;
      return fact.reply.src === answers?.[0] && fact.reply.dst === answers[1];
    });
  }
}

/** The shipped configuration, with its files moved into the lab. @param {string} directory */
function configure(directory) {
  const shipped = readFileSync(join(ROOT, 'etc/flowlogd.conf'), 'utf8');
  const moved = shipped
    .replace(/^logfile=.*$/m, `logfile="${join(directory, 'daemon.log')}"`)
    .replace(/^file="(.*)"$/gm, (_, path) => `file="${join(directory, basename(path))}"`);
  const file = join(directory, 'flowlogd.conf');
  writeFileSync(file, moved);
  console.log(`configuration: etc/flowlogd.conf, with its files moved to ${directory}`);
  return file;
}

/** Starts the daemon inside the router, and resolves once the kernel knows that it listens. @param {RouterLab} lab @param {string} configuration */
async function startDaemon(lab, configuration) {
  const program = ORIGINAL ? [ORIGINAL] : [process.execPath, join(ROOT, 'dist/main.js')];
  const daemon = lab.start([...program, '-c', configuration], lab.router, { stdio: ['ignore', 'inherit', 'inherit'] });
  console.log(`started inside ${lab.router}: ${program.map((word) => basename(word)).join(' ')} -c ${configuration}`);
  await until('the daemon listens for new and ended connections, and to NFLOG group 32', () => {
    alive(daemon);
    const sockets = lab
      .sh('cat /proc/net/netlink', lab.router)
      .split('\n')
      .map((line) => line.trim().split(/ +/));
    // Column 2 is the family (12: netfilter), column 4 the multicast groups: bit 0 new, bit 2 ended.
    const groups = sockets.reduce((all, [, family, , mask]) => (family === '12' ? all | Number(`0x${mask}`) : all), 0);
    const logs = lab.sh('cat /proc/net/netfilter/nfnetlink_log', lab.router);
    return (groups & 5) === 5 && /^ *32 /m.test(logs);
  });
  return daemon;
}

/** @param {import('node:child_process').ChildProcess} daemon */
function alive({ exitCode, signalCode }) {
  if (exitCode !== null || signalCode)
    throw new Error(`the daemon ended with ${signalCode ?? `exit code ${exitCode}`}`);
}

/** @param {Tail} tail */
function summarise(tail) {
  console.log(bold('\nsummary'));
  for (const [file, facts] of tail.facts) console.log(`  ${file}: ${facts.length} events`);
  const flows = [...tail.facts.values()].flat().filter((fact) => fact.kind !== 'packet');
  console.log('  NAT seen:');
  for (const pair of new Set(flows.map(translation).filter(Boolean))) console.log(`    ${pair}`);
}

/** @param {RouterLab} lab */
async function demo(lab) {
  const daemon = await startDaemon(lab, configure(lab.directory));
  const tail = new Tail(lab.directory);
  /** @param {string} file @param {Step} step */
  const expect = (file, step) =>
    until(
      `a line in ${file} about "${step.title}"`,
      () => {
        tail.poll();
        if (tail.has(file, step)) return true;
        alive(daemon);
        // Connections that have timed out end when the kernel next looks at them.
        if (file === ENDED) lab.connections();
        return false;
      },
      20,
    );

  await lab.listen(lab.vm, 'tcp:22', 'udp:5353');
  await lab.listen(lab.other, 'tcp:22');
  await lab.listen(lab.outside, 'tcp:443', 'udp:9999');
  for (const rule of RULES) {
    console.log(`rule: ${rule}`);
    lab.sh(rule, lab.router);
  }
  const done = steps(lab);
  for (const step of done) {
    console.log(bold(`\n${step.title}`));
    await step.run();
    for (const file of [NEW, PACKET_JSON]) await expect(file, step);
  }
  console.log(bold('\nconnections end (after 2 s in this lab)'));
  for (const step of done) await expect(ENDED, step);

  // ulogd2 holds lines back where sync is not set, and may crash at its end instead of writing them.
  if (ORIGINAL) daemon.kill('SIGHUP');
  for (const step of done) await expect(PACKET, step);
  daemon.kill('SIGTERM');
  await until('the daemon ends when told to', () => daemon.exitCode !== null || daemon.signalCode);
  if (daemon.exitCode !== 0 && !ORIGINAL) alive(daemon);
  tail.poll();
  summarise(tail);
}

/** @type {RouterLab | undefined} */
let lab;
try {
  const packages = [...PACKAGES.lab, ...(ORIGINAL ? PACKAGES.ulogd : [])];
  if (!isRoot()) {
    const missing = missingPackages([...packages, ...PACKAGES.compiler]);
    const also = missing.length > 0 ? `; these Debian packages are missing too: ${missing.join(' ')}` : '';
    throw new Error(`only root may make network namespaces and read netfilter events (sudo npm run demo)${also}`);
  }
  ensurePackages(packages);
  if (!ORIGINAL) ensureBuilt();
  lab = new RouterLab();
  await demo(lab);
} catch (error) {
  const { message, signal } = /** @type {Error & { signal?: string }} */ (error);
  // On Ctrl-C the terminal ends our commands too: that is no failure of theirs.
  if (signal === 'SIGINT') process.exit(130);
  console.error(red(`\ndemo failed: ${message}`));
  const log = lab && join(lab.directory, 'daemon.log');
  if (log && existsSync(log)) console.error(dim(readFileSync(log, 'utf8').trimEnd().split('\n').slice(-10).join('\n')));
  process.exitCode = 1;
} finally {
  lab?.close();
}
