// A steady load for long: nothing lost unseen, and memory that stays what it is. SOAK_SECONDS=1800 runs it for half an hour.
// The longer it runs the smaller the leak that it finds: of 10 bytes a packet in 30 s, of a quarter of a byte in 15 minutes.
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, expect, test } from 'vitest';
import { Lab } from '../../scripts/lab.js';
import { Daemon, killRest } from '../support/daemon.ts';
import { compile } from '../support/program.ts';
import { slopeOf } from '../support/slope.ts';

const SECONDS = Number(process.env.SOAK_SECONDS ?? 30);
const RATE = 20_000;
/** Packets of one burst. */
const BURST = 2000;
/** Seconds until the code is compiled, and heap and buffers have their size. */
const WARM_UP = Math.max(8, SECONDS / 6);
/** The collector's mood: what memory may seem to gain from the warm-up to the end, however long that is. */
const NOISE_MIB = 4.5;
const lab = new Lab();
const flood = compile('flood', lab.directory);
afterEach(killRest);
afterAll(() => lab.close());

function residentMiB(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
}

test(
  `${RATE} packets a second for ${SECONDS} s: written + lost is the rule’s own count, and memory stays`,
  async () => {
    const namespace = lab.namespace('fl-soak');
    lab.sh(
      `nft add table inet s
       nft 'add chain inet s out { type filter hook output priority 0; }'
       nft 'add rule inet s out meta l4proto udp counter log prefix "soak" group 9'`,
      namespace,
    );
    const text = `[global]
stack=log1:NFLOG,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,json1:JSON
[log1]
group=9
[json1]
file="/out/packets.json"
rotate_size=64M
keep=1
`;
    const daemon = await Daemon.start(lab, text, { namespace });
    const resident: [seconds: number, mebibytes: number][] = [];
    const began = performance.now();
    const seconds = () => (performance.now() - began) / 1000;
    let sent = 0;
    while (seconds() < SECONDS) {
      lab.sh(`${flood} ${BURST}`, namespace);
      sent += BURST;
      resident.push([seconds(), residentMiB(daemon.pid)]);
      await sleep(Math.max(0, (sent / RATE - seconds()) * 1000));
    }
    const took = seconds();
    expect(await daemon.stop()).toBe(0);
    const counted = Number(/packets (\d+)/.exec(lab.sh('nft list chain inet s out', namespace))?.[1]);
    const written = numberBefore(daemon.log, 'written', 'json1:JSON');
    const settled = resident.filter(([at]) => at > WARM_UP);
    const slope = slopeOf(settled);
    const sizes = settled.map(([, mebibytes]) => mebibytes);
    console.log(
      `soak: ${counted} packets at ${Math.round(counted / took)}/s, ${written} written; RSS ${Math.min(...sizes).toFixed(1)}–${Math.max(...sizes).toFixed(1)} MiB, slope ${(slope * 3600).toFixed(1)} MiB an hour over ${settled.length} samples`,
    );
    expect(counted).toBeGreaterThanOrEqual(sent);
    expect(written + numberBefore(daemon.log, 'lost', 'log1:NFLOG')).toBe(counted);
    expect(slope * (took - WARM_UP), 'MiB gained').toBeLessThan(NOISE_MIB);
  },
  (SECONDS + 90) * 1000,
);

/** The numbers before a word in a stage's last line of the summary, together. */
function numberBefore(log: string, word: string, stage: string): number {
  const line = log.split('\n').findLast((one) => one.includes(`${stage}:`) && new RegExp(`\\d ${word}`).test(one));
  const found = (line ?? '').matchAll(new RegExp(`(\\d+) ${word}`, 'g'));
  return [...found].reduce((sum, [, digits]) => sum + Number(digits), 0);
}
