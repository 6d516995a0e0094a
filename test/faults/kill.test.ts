// The daemon killed again and again in the middle of its work, with a spool in use. FULL=1: 200 times.
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, expect, test } from 'vitest';
import { Lab, until } from '../../scripts/lab.js';
import { Daemon, killRest, Run } from '../support/daemon.ts';
import { killPeers, Peer } from '../support/peer.ts';
import { compile } from '../support/program.ts';

const KILLS = process.env.FULL === '1' ? 200 : 6;
const RATE = 2000;
/** Longest time from start to death, in ms; with a peer longer: what was sent leaves the spool a second later (resend). */
const LIFE = 300;
const LIFE_WITH_PEER = 1800;

const lab = new Lab();
const namespace = lab.namespace('fl-kill');
const flood = compile('flood', lab.directory);
lab.sh(
  `nft add table inet k
   nft 'add chain inet k out { type filter hook output priority 0; }'
   nft 'add rule inet k out ip daddr 127.1.0.0/16 log group 5'`,
  namespace,
);
afterEach(killRest);
afterEach(killPeers);
afterAll(() => lab.close());

const CONFIGURATION = `[global]
stack=log1:NFLOG,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,json1:JSON
[log1]
group=5
seq_local=1
[json1]
mode="unix"
file="/out/peer"
spool="/out/spool"
reconnect=1
`;

/** The whole lines of a text in which half a line may stand before one that came over the next connection. */
const linesOf = (text: string) =>
  text
    .split('\n')
    .slice(0, -1)
    .map((line) => line.slice(line.lastIndexOf('{"timestamp": "')));

test(`killed at ${KILLS} random moments: what was spooled is in the spool still, or the peer has it`, async () => {
  let daemon = await Daemon.start(lab, CONFIGURATION, { namespace });
  const { folder } = daemon;
  const peer = new Peer(folder.file('peer'), folder.file('received'));
  const source = lab.start([flood, '1000000000', String(RATE)], namespace);
  /**
   * What the spool holds; fails if more of a segment is damaged than its end: SIGKILL may cut a write short between two pages
   * (generic_perform_write), and of that record nobody was told that it is spooled.
   */
  const spooled = async () => {
    const verified = new Run(lab, ['spool', 'verify', folder.file('spool')]);
    await verified.ended;
    for (const line of verified.stdout.trim().split('\n').slice(0, -1)) {
      expect(line).toMatch(/^\d+\.spool: \d+ records, (?:good|1 damaged places)$/);
    }
    const run = new Run(lab, ['spool', 'replay', folder.file('spool')]);
    expect([0, 1]).toContain(await run.ended);
    return linesOf(run.stdout);
  };
  let kept: string[] = [];
  let most = 0;
  let total = 0;
  /** Waits until the peer has what is neither here nor in the spool: it may be on its way when the daemon dies. */
  const expectNothingMissing = async (here: readonly string[]) => {
    const there = new Set(here);
    const gone = kept.filter((line) => !there.has(line));
    await until('what has left the spool', () => {
      const received = new Set(linesOf(peer.text()));
      return gone.every((line) => received.has(line));
    });
    total += gone.length;
  };
  for (let kill = 0; kill < KILLS; kill++) {
    const isUp = kill % 2 === 0;
    if (isUp) await peer.start();
    if (kill > 0) daemon = await daemon.next();
    await sleep(Math.random() * (isUp ? LIFE_WITH_PEER : LIFE)); // the random moment: nothing is waited for
    await daemon.stop('SIGKILL');
    const here = await spooled();
    await expectNothingMissing(here);
    if (isUp) await peer.kill();
    kept = here;
    most = Math.max(most, kept.length);
  }
  source.kill('SIGTERM');
  await peer.start();
  daemon = await daemon.next();
  await expectNothingMissing([]);
  expect(await daemon.stop()).toBe(0);
  expect(await spooled()).toEqual([]);
  for (const line of linesOf(peer.text())) JSON.parse(line);
  console.log(`kills: ${KILLS}, up to ${most} events in the spool, ${total} of them reached the peer, none missing`);
  expect(total).toBeGreaterThan(KILLS);
}, 900_000);
