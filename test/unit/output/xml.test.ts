import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import xml from '../../../src/output/xml.ts';
import type { OutputPlugin } from '../../../src/pipeline/plugin.ts';
import { conntrackMessage } from '../../../src/wire/conntrack-message.ts';
import { TestOutput } from '../../support/output.ts';
import { bytes, entryOf } from '../input/conntrack-entry.ts';
import vectors from '../wire/vectors/nflog.json' with { type: 'json' };

const XML = xml as OutputPlugin;
const RAW = { raw: { type: 'raw', doc: 'A message.' } } as const;
const marked = Buffer.from(vectors.find(({ name }) => name === 'marked by a rule')!.hex, 'hex');
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'flowlogd-xml-'));
  vi.stubEnv('TZ', 'UTC');
  vi.setSystemTime(new Date('2026-11-04T07:05:09Z'));
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

/** The recorded packet with another prefix of the same length. */
function withPrefix(prefix: string): Buffer {
  const bytes = Buffer.from(marked);
  const at = bytes.indexOf('marked in: ');
  bytes.write(prefix.padEnd(11).slice(0, 11), at, 'latin1');
  return bytes;
}

const start = (settings: { compat?: boolean } = {}) =>
  new TestOutput(XML, RAW, { options: { directory: folder }, ...settings });
const files = () => readdirSync(folder).sort();
const text = (name: string) => readFileSync(join(folder, name), 'latin1');
const stop = (output: TestOutput) => output.source.stages[0]?.service.stop?.();

test('a file has the time of its opening in its name, and its root is closed at the end', async () => {
  const output = start();
  output.event({ raw: marked });
  await stop(output);
  expect(files()).toEqual(['ulogd-pkt-04112026-070509.xml']);
  expect(text(files()[0]!)).toMatch(
    /^<\?xml version="1\.0" encoding="utf-8"\?>\n<packet>\n<log><when><hour>7<\/hour><min>05<\/min><sec>09<\/sec><wday>4<\/wday><day>4<\/day><month>11<\/month><year>2026<\/year><\/when>.*<\/log>\n<\/packet>\n$/,
  );
});

test('SIGHUP closes it and begins another', async () => {
  const output = start();
  output.event({ raw: marked });
  vi.setSystemTime(new Date('2026-11-04T07:05:10Z'));
  output.source.stages[0]?.service.reopen?.();
  output.event({ raw: marked });
  output.event({ raw: marked });
  await stop(output);
  expect(files().map((name) => text(name).split('<log>').length - 1)).toEqual([1, 2]);
  for (const name of files()) expect(text(name).endsWith('</packet>\n')).toBe(true);
  expect(output.source.stages[0]?.service.account?.()).toMatchObject({ written: 3, queued: 0 });
});

test('a prefix is escaped; ulogd 2.0.8 writes what is no XML', async () => {
  for (const [compat, shown] of [
    [false, 'a&lt;b &amp; c&gt;??? '],
    [true, 'a<b & c>'],
  ] as const) {
    const output = start({ compat });
    output.event({ raw: withPrefix('a<b & c>\x01\x80\n') });
    await stop(output);
    const [name] = files();
    expect(text(name!)).toContain(`<prefix>${shown.trim()}`);
    rmSync(join(folder, name!));
  }
});

test('what is no message is stopped here, and the file stays well-formed', async () => {
  const output = start();
  for (const cut of [1, 19, 30, 77]) output.event({ raw: marked.subarray(0, cut) });
  output.event({ raw: marked });
  await stop(output);
  expect(text(files()[0]!).split('\n').length).toBe(5);
  expect([...output.source.program.stopped]).toEqual([4]);
});

test.each([
  [false, ''],
  [true, '<sport>0</sport><dport>0</dport>'],
])('a connection without ports does not get those of the one before (compat: %j)', async (compat, ports) => {
  const output = new TestOutput(
    XML,
    { ct: { type: 'raw', doc: 'A message.' } },
    { options: { directory: folder }, compat },
  );
  const ends = { source: '192.0.2.1', destination: '192.0.2.2', id: 1 };
  const message = (more: { protocol: number; ports?: [number, number] }) =>
    Buffer.from(conntrackMessage(entryOf({ ...ends, ...more }), bytes));
  output.event({ ct: message({ protocol: 17, ports: [1003, 53] }) });
  output.event({ ct: message({ protocol: 33 }) });
  await stop(output);
  const flows = text(files()[0]!).match(/<flow>.*<\/flow>/g)!;
  expect(flows[0]).toContain('protoname="udp"><sport>1003</sport><dport>53</dport></layer4>');
  expect(flows[1]).toContain(`protoname="dccp">${ports}</layer4>`);
});

test('a directory that cannot be written is an error that names the file', () => {
  const missing = join(folder, 'a', 'b');
  expect(() => new TestOutput(XML, RAW, { options: { directory: missing } })).toThrow(/cannot open .*ulogd-pkt/);
  expect(existsSync(missing)).toBe(false);
});
