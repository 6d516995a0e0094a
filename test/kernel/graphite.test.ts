// GRAPHITE with carbon, Graphite's own daemon: what it stores, read back with its own command.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { Lab, until } from '../../scripts/lab.js';
import { Daemon, killRest } from '../support/daemon.ts';

let lab: Lab;
let namespace = '';
beforeAll(() => {
  lab = new Lab();
  namespace = lab.namespace('fl-carbon');
});
afterEach(killRest);
afterAll(() => lab?.close());

const [LINES, PICKLES, QUERIES] = [2003, 2004, 7002]; // its own namespace: all ports are free

function startCarbon(folder: string): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'storage-schemas.conf'), '[default]\npattern = .*\nretentions = 1s:1h\n');
  writeFileSync(
    join(folder, 'carbon.conf'),
    `[cache]
STORAGE_DIR = ${folder}/
LOCAL_DATA_DIR = ${folder}/whisper/
CONF_DIR = ${folder}/
LOG_DIR = ${folder}/
PID_DIR = ${folder}/
USER =
LINE_RECEIVER_INTERFACE = 127.0.0.1
LINE_RECEIVER_PORT = ${LINES}
PICKLE_RECEIVER_INTERFACE = 127.0.0.1
PICKLE_RECEIVER_PORT = ${PICKLES}
CACHE_QUERY_INTERFACE = 127.0.0.1
CACHE_QUERY_PORT = ${QUERIES}
MAX_CREATES_PER_MINUTE = inf
CARBON_METRIC_INTERVAL = 0
`,
  );
  const command = ['carbon-cache', `--config=${join(folder, 'carbon.conf')}`, '--nodaemon', 'start'];
  lab.start(command, namespace, { stdio: 'ignore' });
}

/** The values that carbon has stored, oldest first. */
function stored(folder: string, path: string): number[] {
  const file = join(folder, 'whisper', `${path.replaceAll('.', '/')}.wsp`);
  if (!existsSync(file)) return [];
  const text = execFileSync('whisper-fetch', ['--drop=nulls', file], { encoding: 'utf8' });
  return text.split('\n').flatMap((line) => /^\d+\s+(\S+)$/.exec(line)?.slice(1).map(Number) ?? []);
}

test('carbon stores the counters, also those that were read while it was away, and a name cannot forge another', async () => {
  const carbon = join(lab.directory, 'carbon');
  lab.sh(
    `nfacct add pings; nfacct add 'evil 1 2 forged;x=y'
     iptables -A OUTPUT -p icmp -m nfacct --nfacct-name pings`,
    namespace,
  );
  const daemon = await Daemon.start(
    lab,
    `[global]
stack=acct1:NFACCT,graphite1:GRAPHITE
[acct1]
pollinterval=3600
zerocounter=0
timestamp=1
[graphite1]
host="127.0.0.1"
port="${LINES}"
prefix="fw.edge"
reconnect=1
`,
    { namespace },
  );
  lab.sh('ping -c 2 -i 0.01 -W 1 -s 100 127.0.0.1', namespace);
  daemon.signal('SIGUSR2');
  await daemon.logged('tcp://127.0.0.1:2003: connect ECONNREFUSED');
  startCarbon(carbon);
  await until('the first reading', () => stored(carbon, 'fw.edge.pings.pkts').includes(4));
  expect(stored(carbon, 'fw.edge.pings.bytes')).toContain(512);
  await until('the name made harmless', () => stored(carbon, 'fw.edge.evil_1_2_forged_x=y.pkts').includes(0));

  lab.sh('ping -c 1 -W 1 -s 100 127.0.0.1', namespace);
  daemon.signal('SIGUSR2');
  await until('the second reading', () => stored(carbon, 'fw.edge.pings.pkts').includes(6));
  expect(stored(carbon, 'fw.edge.pings.pkts')[0]).toBe(4);
  expect(await daemon.stop()).toBe(0);
  expect(daemon.log).toMatch(/graphite1:GRAPHITE: 4 written/);
});
