import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import pcap from '../../../src/output/pcap.ts';
import type { KeySpecs } from '../../../src/pipeline/key.ts';
import type { OutputPlugin } from '../../../src/pipeline/plugin.ts';
import { TestOutput } from '../../support/output.ts';
import { ipv4, udp } from '../../support/packets.ts';

const PCAP = pcap as OutputPlugin;
const number = (type: 'u8' | 'u16' | 'u32') => ({ type, doc: 'A number.' }) as const;
const KEYS: KeySpecs = {
  'raw.pkt': { type: 'raw', doc: 'Bytes.' },
  'raw.pktlen': number('u32'),
  'ip.totlen': number('u16'),
  'ip6.payloadlen': number('u16'),
  'oob.time.sec': number('u32'),
  'oob.time.usec': number('u32'),
  'oob.family': number('u8'),
  'oob.protocol': number('u16'),
  'raw.mac': { type: 'raw', doc: 'Bytes.' },
  'raw.type': number('u16'),
};
const packet = ipv4({}, udp({}, Buffer.from('hello world')));
const TIME = { 'oob.time.sec': 4000000000, 'oob.time.usec': 999999, 'oob.family': 2 };
const whole = { ...TIME, 'raw.pkt': packet, 'raw.pktlen': packet.length, 'ip.totlen': packet.length };

interface Shown {
  readonly seconds: number;
  readonly microseconds: number;
  readonly length: number;
  readonly bytes: Buffer;
}

function parse(bytes: Buffer): { header: string; records: Shown[] } {
  const records: Shown[] = [];
  for (let at = 24; at < bytes.length; ) {
    const captured = bytes.readUInt32LE(at + 8);
    records.push({
      seconds: bytes.readUInt32LE(at),
      microseconds: bytes.readUInt32LE(at + 4),
      length: bytes.readUInt32LE(at + 12),
      bytes: bytes.subarray(at + 16, at + 16 + captured),
    });
    at += 16 + captured;
  }
  return { header: bytes.toString('hex', 0, 24), records };
}

async function written(events: Parameters<TestOutput['event']>[0][], settings = {}) {
  const output = new TestOutput(PCAP, KEYS, settings);
  for (const event of events) output.event(event);
  output.flush();
  const bytes = readFileSync(output.path);
  await output.end();
  return { ...parse(bytes), stopped: output.source.program.stopped[0] };
}

describe('records', () => {
  test('hold time, lengths and the packet', async () => {
    const { header, records } = await written([whole]);
    expect(header).toBe('d4c3b2a102000400000000000000000000000100' + '65000000');
    expect(records).toEqual([{ seconds: 4000000000, microseconds: 999999, length: packet.length, bytes: packet }]);
  });

  test('are cut at snaplen and at what the kernel cut', async () => {
    const cut = { ...whole, 'raw.pkt': packet.subarray(0, 30), 'raw.pktlen': 30 };
    const { records } = await written([whole, cut], { options: { snaplen: 32 } });
    expect(records.map(({ length, bytes }) => [length, bytes.length])).toEqual([
      [packet.length, 32],
      [packet.length, 30],
    ]);
  });

  test('never state less than they hold', async () => {
    const { records } = await written([0, 20].map((totlen) => ({ ...whole, 'ip.totlen': totlen })));
    expect(records.map(({ length }) => length)).toEqual([packet.length, packet.length]);
  });

  test('with Ethernet have the header of the frame, or one that says what follows', async () => {
    const mac = Buffer.from('0200000000bb02000000000a0806', 'hex');
    const arp = {
      ...TIME,
      'oob.family': 7,
      'oob.protocol': 0x0806,
      'raw.pkt': Buffer.alloc(28),
      'raw.mac': mac,
      'raw.type': 1,
    };
    const { header, records } = await written([arp, whole], { options: { linktype: 'ethernet' } });
    expect(header.slice(40)).toBe('01000000');
    expect(records.map(({ bytes, length }) => [bytes.toString('hex', 0, 14), bytes.length, length])).toEqual([
      [mac.toString('hex'), 42, 42],
      [`${'00'.repeat(12)}0800`, packet.length + 14, packet.length + 14],
    ]);
  });

  test('that are not IP are stopped, unless ulogd 2.0.8 is wanted, which calls them raw IP', async () => {
    const arp = { ...TIME, 'oob.family': 7, 'raw.pkt': Buffer.alloc(28) };
    expect(await written([arp])).toMatchObject({ records: [], stopped: 1 });
    expect((await written([arp], { compat: true })).records.map(({ length }) => length)).toEqual([28]);
  });
});

test('a file that is there is appended to, without a second header', async () => {
  const output = new TestOutput(PCAP, KEYS);
  output.event(whole);
  output.flush();
  const { service } = output.source.stages[0]!;
  service.reopen?.();
  output.event(whole);
  output.flush();
  expect(parse(readFileSync(output.path)).records.length).toBe(2);
  await output.end();
});
