import client from 'prom-client';
import { expect, test } from 'vitest';
import type { Status } from '../../../src/cli/daemon-status.ts';
import { metricsPage } from '../../../src/cli/metrics-page.ts';
import type { OutputSnapshot } from '../../../src/pipeline/snapshot.ts';

/** A destination as the file or the connection of one namespace is. */
function output(given: Partial<OutputSnapshot>): OutputSnapshot {
  const books = { taken: 0, written: 0, queued: 0, spooled: 0, dropped: {}, bytes: 0, retries: 0, rate: 0 };
  return { name: 'json1:JSON', inputs: [], counters: {}, ...books, ...given };
}

async function page(outputs: readonly OutputSnapshot[]): Promise<string[]> {
  const status = { version: '1', missing: 0, threads: [], imbalances: [], inputs: [], outputs, started: '2026-11-21' };
  return (await metricsPage(client, status as unknown as Status, [])).split('\n').filter((line) => line[0] !== '#');
}

test('of the destinations that one output has in several namespaces, amounts are added up, and the worst state counts', async () => {
  const lines = await page([
    output({ written: 3, queued: 1, connected: true, lag: 250, dropped: { 'queue full': 1 } }),
    output({ written: 4, queued: 2, connected: false, lag: 1500, dropped: { 'queue full': 2 } }),
    output({ written: 5, connected: true, lag: 0, failure: 'cannot open it' }),
  ]);
  expect(lines).toContain('flowlogd_output_up{output="json1:JSON"} 0');
  expect(lines).toContain('flowlogd_output_connected{output="json1:JSON"} 0');
  expect(lines).toContain('flowlogd_output_lag_seconds{output="json1:JSON"} 1.5');
  expect(lines).toContain('flowlogd_output_written_events_total{output="json1:JSON"} 12');
  expect(lines).toContain('flowlogd_output_queued_events{output="json1:JSON"} 3');
  expect(lines).toContain('flowlogd_output_dropped_events_total{output="json1:JSON",reason="queue full"} 3');
});

test('several that are well are 1, as one is; of another name nothing is said', async () => {
  const lines = await page([output({}), output({}), output({ name: 'json2:JSON', failure: 'gone', connected: false })]);
  expect(lines.filter((line) => line.startsWith('flowlogd_output_up'))).toEqual([
    'flowlogd_output_up{output="json1:JSON"} 1',
    'flowlogd_output_up{output="json2:JSON"} 0',
  ]);
  expect(lines.filter((line) => line.startsWith('flowlogd_output_connected'))).toEqual([
    'flowlogd_output_connected{output="json2:JSON"} 0',
  ]);
});
