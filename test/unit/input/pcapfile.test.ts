import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import pcapfile from '../../../src/input/pcapfile.ts';
import type { InputPlugin } from '../../../src/pipeline/plugin.ts';
import { TestInput } from '../../support/input.ts';
import { ETHERTYPE, ethernet, ipv4, ipv6, udp } from '../../support/packets.ts';

const PCAPFILE = pcapfile as InputPlugin;
const V4 = ipv4({}, udp({}, Buffer.from('hello')));
const V6 = ipv6({}, udp({}, Buffer.from('hello')));
const MAC = { dst: '02:00:00:00:00:bb', src: '02:00:00:00:00:0a' };
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'flowlogd-pcapfile-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

type Words = readonly (readonly [value: number, size: 1 | 2 | 4])[];

function words(values: Words, little = true): Buffer {
  const out = Buffer.alloc(values.reduce((sum, [, size]) => sum + size, 0));
  let at = 0;
  for (const [value, size] of values) at = little ? out.writeUIntLE(value, at, size) : out.writeUIntBE(value, at, size);
  return out;
}

/** A pcap file; packets are a millisecond and a half apart, the first at 1700000000. */
function pcap(linkType: number, packets: readonly Buffer[], { magic = 0xa1b2c3d4, little = true } = {}): Buffer {
  const unit = magic === 0xa1b2c3d4 ? 1 : 1000;
  return Buffer.concat([
    words([[magic, 4], [2, 2], [4, 2], [0, 4], [0, 4], [65536, 4], [linkType, 4]], little),
    ...packets.flatMap((packet, i) => [
      words([[1700000000, 4], [i * 1500 * unit, 4], [packet.length, 4], [packet.length, 4]], little),
      packet,
    ]),
  ]); // biome-ignore format: a header
}

function block(type: number, body: Buffer, little = true): Buffer {
  const padded = Buffer.concat([body, Buffer.alloc((4 - (body.length % 4)) % 4)]);
  const length = words([[padded.length + 12, 4]], little);
  return Buffer.concat([words([[type, 4]], little), length, padded, length]);
}

const section = (little = true) =>
  block(0x0a0d0d0a, words([[0x1a2b3c4d, 4], [1, 2], [0, 2], [0xffffffff, 4], [0xffffffff, 4]], little), little); // biome-ignore format: a header
const description = (linkType: number, options: Words = [], little = true) =>
  block(1, words([[linkType, 2], [0, 2], [0, 4], ...options], little), little); // biome-ignore format: a header
const enhanced = (at: number, high: number, low: number, packet: Buffer, little = true) =>
  block(6, Buffer.concat([words([[at, 4], [high, 4], [low, 4], [packet.length, 4], [packet.length, 4]], little), packet]), little); // biome-ignore format: a header

async function read(bytes: Buffer, options: Readonly<Record<string, unknown>> = {}): Promise<TestInput> {
  const file = join(folder, 'file');
  writeFileSync(file, bytes);
  const input = await new TestInput(PCAPFILE, { file, exit: false, ...options }).start();
  await vi.waitUntil(() => input.log.some((line) => line.includes('read to byte')), { timeout: 5000 });
  await input.service.stop?.();
  return input;
}

const time = (event: Readonly<Record<string, unknown>>) => [event['oob.time.sec'], event['oob.time.usec']];

describe('pcap', () => {
  test.each([
    ['microseconds', { magic: 0xa1b2c3d4 }],
    ['nanoseconds', { magic: 0xa1b23c4d }],
    ['the other byte order', { magic: 0xa1b2c3d4, little: false }],
  ])('with %s', async (_, form) => {
    const { events, batches } = await read(pcap(101, [V4, V6], form));
    expect(events.map(time)).toEqual([
      [1700000000, 0],
      [1700000000, 1500],
    ]);
    expect(events.map((event) => [event['raw.pkt'], event['oob.family'], event['oob.protocol']])).toEqual([
      [V4.toString('hex'), 2, 0x0800],
      [V6.toString('hex'), 10, 0x86dd],
    ]);
    expect(batches).toBeGreaterThan(0);
  });

  test('of many packets, more than are read at once', async () => {
    const packets = Array.from({ length: 5000 }, (_, i) => ipv4({ id: i & 0xffff }, udp({}, Buffer.alloc(i % 1400))));
    const { events } = await read(pcap(101, packets));
    expect(events.length).toBe(5000);
    expect(events.map((event) => event['raw.pkt'])).toEqual(packets.map((packet) => packet.toString('hex')));
  });

  test('cut anywhere gives the packets before the cut', async () => {
    const bytes = pcap(101, [V4, V6]);
    for (let end = 24; end < bytes.length; end += 7) {
      const { events } = await read(bytes.subarray(0, end));
      expect(events.length).toBe(end >= 24 + 16 + V4.length ? 1 : 0);
    }
  });

  test('that is none is refused with its place', async () => {
    const { log } = await read(Buffer.from('this is no capture'));
    expect(log[0]).toContain('no pcap or pcapng, or broken, at byte 0');
  });
});

describe('link types', () => {
  test('Ethernet, with and without a VLAN tag, and what is not IP', async () => {
    const tagged = Buffer.concat([ethernet({ ...MAC, type: 0x8100 }, Buffer.from('00050800', 'hex')), V4]);
    const arp = ethernet({ ...MAC, type: ETHERTYPE.arp }, Buffer.alloc(28));
    const { events } = await read(pcap(1, [ethernet({ ...MAC, type: ETHERTYPE.ipv4 }, V4), tagged, arp]));
    expect(events.map((event) => [event['oob.family'], event['oob.protocol'], event['raw.pktlen']])).toEqual([
      [2, 0x0800, V4.length],
      [2, 0x0800, V4.length],
      [7, 0x0806, 28],
    ]);
    expect(events[0]).toMatchObject({
      'raw.type': 1,
      'raw.mac.saddr': '02000000000a',
      'raw.mac': '0200000000bb02000000000a0800',
    });
  });

  test('Linux cooked, both versions', async () => {
    const address = Buffer.from('02000000000a0000', 'hex');
    const cooked = Buffer.concat([words([[0, 2], [1, 2], [6, 2]], false), address, words([[0x0800, 2]], false), V4]); // biome-ignore format: a header
    const cooked2 = Buffer.concat([words([[0x86dd, 2], [0, 2], [7, 4], [1, 2], [4, 1], [6, 1]], false), address, V6]); // biome-ignore format: a header
    const [first] = (await read(pcap(113, [cooked]))).events;
    const [second] = (await read(pcap(276, [cooked2]))).events;
    expect(first).toMatchObject({ 'oob.family': 2, 'raw.mac.saddr': '02000000000a', 'raw.pkt': V4.toString('hex') });
    expect(second).toMatchObject({ 'oob.family': 10, 'oob.ifindex_out': 7, 'raw.pkt': V6.toString('hex') });
  });

  test('NFLOG, with what the kernel said of the packet', async () => {
    const attribute = (type: number, value: Buffer) =>
      Buffer.concat([
        words([
          [value.length + 4, 2],
          [type, 2],
        ]),
        value,
        Buffer.alloc((4 - (value.length % 4)) % 4),
      ]);
    const packet = Buffer.concat([
      Buffer.from([2, 0, 0, 5]),
      attribute(1, Buffer.from([8, 0, 1, 0])),
      attribute(10, Buffer.from('dropped: \0')),
      attribute(4, Buffer.from([0, 0, 0, 3])),
      attribute(2, Buffer.from([0, 0, 0, 9])),
      attribute(11, Buffer.from([0, 0, 3, 232])),
      attribute(9, V4),
    ]);
    const { events } = await read(pcap(239, [packet]));
    expect(events).toMatchObject([
      {
        'oob.family': 2,
        'oob.hook': 1,
        'oob.protocol': 0x0800,
        'oob.prefix': 'dropped: ',
        'oob.ifindex_in': 3,
        'oob.mark': 9,
        'oob.uid': 1000,
        'raw.pkt': V4.toString('hex'),
      },
    ]);
  });

  test('an unknown one is counted and said once', async () => {
    const { events, log } = await read(pcap(147, [V4, V4]));
    expect(events).toEqual([]);
    expect(log.filter((line) => line.includes('link type 147')).length).toBe(1);
  });
});

describe('pcapng', () => {
  test.each([true, false])('interfaces with times of their own (little-endian %s)', async (little) => {
    const resolution = (value: number): Words => [[9, 2], [1, 2], [value, 1], [0, 1], [0, 2], [0, 4]]; // biome-ignore format: an option
    const nanoseconds = 1700000000n * 1_000_000_000n + 5_000n;
    const bytes = Buffer.concat([
      section(little),
      description(101, [], little),
      description(1, resolution(9), little),
      description(101, resolution(0x80 | 10), little),
      block(5, Buffer.alloc(8), little), // statistics: skipped
      enhanced(0, Math.floor(1700000000000007 / 2 ** 32), 1700000000000007 % 2 ** 32, V4, little),
      enhanced(1, Number(nanoseconds >> 32n), Number(nanoseconds & 0xffffffffn), ethernet({ ...MAC, type: ETHERTYPE.ipv6 }, V6), little),
      enhanced(2, Math.floor((1700000000 * 1024 + 512) / 2 ** 32), (1700000000 * 1024 + 512) % 2 ** 32, V4, little),
      block(3, Buffer.concat([words([[V4.length, 4]], little), V4]), little),
      section(little),
      description(101, [], little),
      enhanced(0, 0, 1, V6, little),
    ]); // biome-ignore format: a file
    const { events } = await read(bytes);
    expect(events.map(time)).toEqual([
      [1700000000, 7],
      [1700000000, 5],
      [1700000000, 500000],
      [1700000000, 500000],
      [0, 1],
    ]);
    expect(events.map((event) => event['oob.family'])).toEqual([2, 10, 2, 2, 10]);
  });

  test.each([
    ['a packet of no interface', Buffer.concat([section(), enhanced(0, 0, 0, V4)])],
    ['a length that is none', Buffer.concat([section(), words([[6, 4], [7, 4], [0, 4]])])],
    ['a packet longer than its block', Buffer.concat([section(), description(101), block(6, words([[0, 4], [0, 4], [0, 4], [999, 4], [999, 4]]))])],
  ])('%s ends the reading', async (_, bytes) => {
    const { events, log } = await read(bytes);
    expect(events).toEqual([]);
    expect(log[0]).toContain('broken');
  }); // biome-ignore format: cases
});

describe('options', () => {
  test('prefix and label stand for what the file does not say', async () => {
    const { events } = await read(pcap(101, [V4]), { prefix: 'replayed: ', numeric_label: 3 });
    expect(events).toMatchObject([{ 'oob.prefix': 'replayed: ', 'raw.label': 3 }]);
  });

  test('pace=original keeps the pauses', async () => {
    const packets = Array.from({ length: 21 }, () => V4); // 30 ms in all
    const start = performance.now();
    const { events } = await read(pcap(101, packets), { pace: 'original' });
    expect(performance.now() - start).toBeGreaterThanOrEqual(29);
    expect(events.length).toBe(21);
  });

  test('a file that is missing is an error that names it', async () => {
    const input = new TestInput(PCAPFILE, { file: join(folder, 'none'), exit: false });
    await expect(input.start()).rejects.toThrow(`cannot read ${join(folder, 'none')}`);
  });
});
