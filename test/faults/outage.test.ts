// The whole daemon, 5,000 packets a second, and a TCP peer that is not there, comes, and is killed ten times. FULL=1 keeps it
// away for up to 60 s each time, as docs/reliability.md tells: seven minutes.
import { once } from 'node:events';
import { closeSync, createReadStream, fstatSync, openSync, readSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, expect, test } from 'vitest';
import { Lab, until } from '../../scripts/lab.js';
import { Daemon, killRest } from '../support/daemon.ts';
import { freePort, killPeers, Peer } from '../support/peer.ts';
import { compile } from '../support/program.ts';
import { RunQueue } from '../support/run-queue.ts';

const FULL = process.env.FULL === '1';
const RATE = 5000;
const KILLS = 10;
/** Seconds for which the peer stays away after its nth death, and for which it lives. */
const absence = (n: number) => (FULL ? 6 * n : 0.1 * n);
const LIFE = FULL ? 5 : 0.5;
/** Longest pause of reading, in ms, less the time in which the daemon was ready to read and others had the processor. */
const PAUSE = 50;

const lab = new Lab();
const namespace = lab.namespace('fl-outage');
const flood = compile('flood', lab.directory);
lab.sh(
  `nft add table inet o
   nft 'add chain inet o out { type filter hook output priority 0; }'
   nft 'add rule inet o out ip daddr 127.1.0.0/16 counter log group 5'`,
  namespace,
);
afterEach(killRest);
afterEach(killPeers);
afterAll(() => lab.close());

/** The last bytes of a file. */
function tailOf(path: string): string {
  const fd = openSync(path, 'r');
  try {
    const { size } = fstatSync(fd);
    const bytes = Buffer.alloc(Math.min(size, 4096));
    readSync(fd, bytes, 0, bytes.length, size - bytes.length);
    return bytes.toString('latin1');
  } finally {
    closeSync(fd);
  }
}

interface Arrivals {
  /** Packets that came, each at least once and none before the one in front of it: their numbers end here. */
  readonly count: number;
  readonly twice: number;
  /** Longest time between two readings, in ms. */
  readonly longest: number;
  /** Those that were longer than PAUSE: between which times, in ms since 1970. */
  readonly pauses: readonly (readonly [from: number, to: number])[];
  readonly readings: number;
}

/** Reads what the peer has got. Fails at the first packet that is not the next one, or one that had come before. */
async function arrivalsIn(path: string): Promise<Arrivals> {
  let [count, twice, longest, readings, last] = [0, 0, 0, 0, 0];
  const pauses: [number, number][] = [];
  for await (const line of createInterface({ input: createReadStream(path) })) {
    // A peer that was killed leaves half a line, and what comes next stands behind it.
    const whole = line.slice(line.lastIndexOf('{"timestamp": "'));
    const [, time = '', number] = /^\{"timestamp": "([^"]+)".*"oob\.seq\.local": (\d+).*\}$/.exec(whole) ?? [];
    const at = Number(number);
    if (at < count) twice++;
    else {
      expect(at, `the packet behind ${count - 1}: ${whole}`).toBe(count++);
      // The kernel gives packets that leave no time of their own (__build_packet_message): this is when they were read.
      const read = Date.parse(time);
      if (read === last) continue;
      if (readings++ > 0) {
        longest = Math.max(longest, read - last);
        if (read - last > PAUSE) pauses.push([last, read]);
      }
      last = read;
    }
  }
  return { count, twice, longest, pauses, readings };
}

test(`a TCP peer absent at the start and killed ${KILLS} times: every packet arrives, in order, and reading never pauses`, async () => {
  const port = await freePort();
  const daemon = await Daemon.start(
    lab,
    `[global]
stack=log1:NFLOG,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,json1:JSON
[log1]
group=5
seq_local=1
network_namespace_path="/run/netns/${namespace}"
[json1]
mode="tcp"
host="127.0.0.1"
port=${port}
spool="/out/spool"
reconnect=1
`,
  );
  const queue = new RunQueue(daemon.pid);
  const received = daemon.folder.file('received');
  const peer = new Peer(port, received);
  const source = lab.start([flood, '1000000000', String(RATE)], namespace);
  let said = '';
  source.stdout?.on('data', (text) => {
    said += text;
  });
  const ended = once(source, 'close');
  for (let n = 1; n <= KILLS; n++) {
    await sleep(absence(n) * 1000); // the fault itself
    await peer.start();
    await sleep(LIFE * 1000);
    await peer.kill();
  }
  await peer.start();
  source.kill('SIGTERM');
  await ended;
  const counted = Number(/packets (\d+)/.exec(lab.sh('nft list chain inet o out', namespace))?.[1]);
  await until('the last packet', () => tailOf(received).includes(`"oob.seq.local": ${counted - 1},`), 120);
  queue.stop();
  expect(await daemon.stop()).toBe(0);
  await peer.kill();
  const { count, twice, longest, pauses, readings } = await arrivalsIn(received);
  const sent = Number(said);
  const own = pauses.map(([from, to]) => to - from - queue.between(from, to));
  const details = pauses.map(([from, to], n) => `${to - from} (${Math.round(own[n] as number)} its own)`).join(', ');
  console.log(
    `outages: ${counted} packets, ${count} arrived, ${twice} came twice; ${readings} readings, ${longest} ms apart at most, ${pauses.length} times more than ${PAUSE}${details && `: ${details}`}; packets were sent ${sent} ms apart at most`,
  );
  expect(count).toBe(counted);
  expect(twice, 'what was under way when the peer died goes again').toBeGreaterThan(0);
  expect(readings, 'times of reading, not of packets').toBeGreaterThan(100);
  // While nothing is sent there is nothing to read.
  if (FULL) for (const pause of own) expect(pause, 'ms without reading').toBeLessThan(Math.max(PAUSE, 2 * sent));
  expect(daemon.log).not.toContain('the kernel dropped');
}, 900_000);
