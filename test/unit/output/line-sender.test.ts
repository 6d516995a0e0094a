import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { until } from '../../../scripts/lab.js';
import { deliveryOptions } from '../../../src/delivery/options.ts';
import { type LineSink, type PeerOptions, peerSink } from '../../../src/output/line-sink.ts';
import { writeLines } from '../../support/lines.ts';

let folder = '';
const log: string[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'flowlogd-line-sender-'));
});
afterEach(() => {
  rmSync(folder, { recursive: true });
  log.length = 0;
});

function sinkOf(options: Partial<PeerOptions>): LineSink {
  const say = (message: string) => void log.push(message);
  const defaults = Object.fromEntries(Object.entries(deliveryOptions).map(([key, spec]) => [key, spec.default]));
  const own = { mode: 'unix', file: join(folder, 'peer'), host: '127.0.0.1', port: '12345', stop_timeout: 1 };
  const all = { ...defaults, ...own, ...options } as PeerOptions;
  return peerSink(all, 'json1:JSON', { debug: say, info: say, notice: say, error: say, isDebug: () => false });
}

const accounted = (sink: LineSink): number => {
  const { written, queued, spooled = 0, dropped } = sink.account();
  return written + queued + spooled + Object.values(dropped).reduce((sum, count) => sum + count, 0);
};

test('the books of a sink hold before, between and after connections, and do not count what an earlier process took', async () => {
  const spool = join(folder, 'spool');
  const first = sinkOf({ spool });
  writeLines(first, 'before it is open');
  expect(first.account()).toMatchObject({ queued: 1, written: 0 });
  first.open();
  first.open(); // by the second stack that shares it
  writeLines(first, 'one', 'two');
  first.flush();
  writeLines(first, 'three');
  expect(accounted(first)).toBe(4);
  await first.close();
  expect(first.account()).toMatchObject({ written: 0, queued: 0, spooled: 4 });

  const second = sinkOf({ spool });
  second.open();
  writeLines(second, 'four');
  second.note('a gap'); // no event
  second.flush();
  expect(accounted(second)).toBe(1);
  expect(second.counters?.()).toMatchObject({ 'found in the spool at the start': 4 });
  let text = '';
  const server = createServer((socket) =>
    socket.on('data', (bytes) => {
      text += bytes.toString();
    }),
  );
  server.listen(join(folder, 'peer'));
  await once(server, 'listening');
  await until('the lines', () => text.endsWith('a gap\n'));
  expect(text).toBe('before it is open\none\ntwo\nthree\nfour\na gap\n');
  expect(accounted(second)).toBe(1);
  await second.close();
  expect(second.account()).toMatchObject({ written: 1, queued: 0, spooled: 0 });
  server.close();
});

test('lines that waited for a sink which never opened are dropped and counted when it is closed', async () => {
  const sink = sinkOf({ mode: 'tcp', port: 'syslog' });
  expect(() => sink.open()).toThrow();
  writeLines(sink, 'one', 'two');
  sink.flush();
  await sink.close();
  expect(sink.account()).toMatchObject({ written: 0, queued: 0, dropped: { 'not opened': 2 } });
});

test.each(['0', '65536', 'syslog', ''])('port "%s" is an error at the start', (port) => {
  const sink = sinkOf({ mode: 'tcp', port });
  expect(() => sink.open()).toThrow(`port: "${port}" is no port number (1-65535)`);
});

test('many lines are handed on without waiting for the end of the batch', () => {
  const sink = sinkOf({});
  sink.open();
  writeLines(sink, ...Array.from({ length: 3000 }, () => 'x'.repeat(99)));
  expect(sink.buffer.length).toBeLessThan(64 << 10);
  expect(accounted(sink)).toBe(3000);
  return sink.close();
});
