// Whole stacks under datagrams that nobody should send: as many as wanted, in a process of its own, whose memory is watched.
// FUZZ_DATAGRAMS=10000000 FUZZ_SEED=7 npx vitest run --project faults test/faults/fuzz.test.ts
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test, vi } from 'vitest';
import { FakeKernel } from '../support/fake-netlink.ts';
import { Chance, rubbish } from '../support/rubbish.ts';
import { slopeOf } from '../support/slope.ts';
import { TestDaemon } from '../support/test-daemon.ts';
import { recordings } from '../unit/wire/vectors.ts';

vi.mock('../../src/system/native.ts', async (original) => ({
  ...(await original<object>()),
  openNativeSocket: (await import('../support/fake-netlink.ts')).openFakeSocket,
}));

const DATAGRAMS = Number(process.env.FUZZ_DATAGRAMS ?? 200_000);
const SEED = Number(process.env.FUZZ_SEED ?? 20261121);
/** Datagrams that are under way at once. */
const ROUND = 2000;
const SAMPLES = 100;
/** What all of them may leave behind for good, in bytes, such as code that is compiled late; ten million leave no more. */
const LEAK = 2 << 20;

const CONFIGURATION = `[global]
stack=log1:NFLOG,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,mac1:HWHDR,json1:JSON
stack=log1:NFLOG,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,print1:PRINTPKT,emu1:LOGEMU
stack=log1:NFLOG,base1:BASE,pcap1:PCAP
stack=each:NFCT,ip2str1:IP2STR,json2:JSON
stack=each:NFCT,ip2str1:IP2STR,print2:PRINTFLOW,emu2:LOGEMU
stack=ends:NFCT,ip2str1:IP2STR,json3:JSON
[log1]
group=10
[each]
hash_enable=0
event_mask=7
[ends]
event_mask=7
hash_max_entries=1000
[json1]
file="/out/log1.json"
[emu1]
file="/out/log1.log"
[pcap1]
file="/out/log1.pcap"
[json2]
file="/out/each.json"
[emu2]
file="/out/each.log"
[json3]
file="/out/ends.json"
`;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;
const mebibytes = (bytes: number) => (bytes / (1 << 20)).toFixed(1);

test(`${DATAGRAMS} damaged datagrams, seed ${SEED}: each event becomes one line in each file, nothing throws, and memory stays`, async () => {
  const chance = new Chance(SEED);
  const packets = recordings('nflog').map(({ bytes }) => bytes);
  const connections = recordings('conntrack').map(({ bytes }) => bytes);
  const kernel = new FakeKernel();
  kernel.links.set(2, 'b0').set(5, 'br0');
  const daemon = await TestDaemon.start(CONFIGURATION);
  const written = new Map<string, number>();
  const used: [number, number][] = [];
  const resident: [number, number][] = [];
  let said = 0;

  /** Counts the lines of a file, which is empty afterwards. */
  function takeLines(name: string): void {
    const lines = daemon.take(name).toString('latin1').split('\n');
    expect(lines.pop(), `${name} ends with a whole line`).toBe('');
    for (const line of lines) {
      if (name.endsWith('.json')) JSON.parse(line);
      else if (/[\0-\x1f\x7f]/.test(line)) throw new Error(`${name}: a control character: ${JSON.stringify(line)}`);
    }
    written.set(name, (written.get(name) ?? 0) + lines.length);
  }

  await kernel.idle();
  const began = performance.now();
  for (let sent = 0; sent < DATAGRAMS; ) {
    const end = Math.min(sent + ROUND, DATAGRAMS);
    for (; sent < end; sent++) {
      if ((sent & 1) === 0) kernel.log(rubbish(chance, packets));
      else kernel.event(rubbish(chance, connections));
    }
    await kernel.idle();
    for (const name of ['log1.json', 'log1.log', 'each.json', 'each.log', 'ends.json']) takeLines(name);
    daemon.take('log1.pcap');
    said += daemon.log.splice(0).length;
    if (sent < used.length * (DATAGRAMS / SAMPLES)) continue;
    resident.push([sent, process.memoryUsage.rss()]);
    collect();
    const { heapUsed, external } = process.memoryUsage();
    used.push([sent, heapUsed + external]);
  }
  const seconds = (performance.now() - began) / 1000;
  const [log, each, ends] = daemon.sources.map(({ counts }) => counts) as [Counts, Counts, Counts];
  const failed = daemon.sources.map(({ program }) => program.failed.reduce((sum, count) => sum + count, 0));
  await daemon.stop();
  daemon.remove();

  const late = <T>(values: readonly T[]) => values.slice(values.length >> 2);
  const leak = slopeOf(late(used));
  const rss = late(resident).map(([, bytes]) => bytes);
  console.log(
    `fuzz: ${DATAGRAMS} datagrams, seed ${SEED}, ${seconds.toFixed(0)} s: ${log.received} packets, ${each.received} connections, ` +
      `${log.malformed + each.malformed} malformed, ${said} lines of log; ${leak.toFixed(3)} bytes left by each; ` +
      `RSS ${mebibytes(rss[0] as number)} MiB after a quarter, ${mebibytes(rss.at(-1) as number)} at the end, ${mebibytes(Math.max(...rss))} at most`,
  );
  expect(failed).toEqual([0, 0, 0]);
  expect(Object.fromEntries(written)).toEqual({
    'log1.json': log.received,
    'log1.log': log.received,
    'each.json': each.received,
    'each.log': each.received,
    'ends.json': ends.received,
  });
  // Neither all good nor all bad, or little was tried.
  for (const { received, malformed } of [log, each]) {
    expect(received).toBeGreaterThan(DATAGRAMS / 20);
    expect(malformed).toBeGreaterThan(DATAGRAMS / 20);
  }
  expect(leak * DATAGRAMS, 'bytes that the datagrams leave behind').toBeLessThan(LEAK);
}, 3_600_000);

type Counts = TestDaemon['sources'][number]['counts'];
