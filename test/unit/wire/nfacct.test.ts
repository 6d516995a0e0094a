import { expect, test } from 'vitest';
import { decodeNfacct, dumpNfacct, NfacctCounter } from '../../../src/wire/nfacct.ts';

const view = (bytes: Buffer) => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);

test('a counter is name, packets and bytes', () => {
  const bytes = message('http', 3n, 315n);
  const counter = new NfacctCounter();
  expect(decodeNfacct(view(bytes), 0, bytes.length, counter)).toBe(true);
  expect(bytes.toString('latin1', counter.nameOffset, counter.nameOffset + counter.nameLength)).toBe('http');
  expect([counter.packetsLow, counter.bytesLow, counter.packetsHigh, counter.bytesHigh]).toEqual([3, 315, 0, 0]);
});

test('a counter that is cut at any byte is refused', () => {
  const bytes = message('http', 3n, 2n ** 64n - 1n);
  for (let end = 0; end < bytes.length; end++) {
    const cut = Buffer.from(bytes.subarray(0, end));
    expect(decodeNfacct(view(cut), 0, end, new NfacctCounter()), `${end} bytes`).toBe(false);
  }
});

test('a dump asks for all counters, and may set them to zero', () => {
  const keep = view(Buffer.from(dumpNfacct(0, false)));
  const zero = view(Buffer.from(dumpNfacct(0, true)));
  expect([keep.getUint16(4, true), keep.getUint16(6, true)]).toEqual([0x0701, 0x301]);
  expect(zero.getUint16(4, true)).toBe(0x0702);
});

function message(name: string, packets: bigint, bytes: bigint): Buffer {
  const text = Buffer.alloc((name.length + 1 + 3) & ~3);
  text.write(name);
  const out = Buffer.alloc(20 + 4 + text.length + 24);
  out.writeUInt32LE(out.length, 0);
  out.writeUInt16LE(0x0700, 4);
  let at = 20;
  out.writeUInt16LE(4 + name.length + 1, at);
  out.writeUInt16LE(1, at + 2);
  text.copy(out, at + 4);
  at += 4 + text.length;
  for (const [type, value] of [
    [2, packets],
    [3, bytes],
  ] as const) {
    out.writeUInt16LE(12, at);
    out.writeUInt16LE(type, at + 2);
    out.writeBigUInt64BE(value, at + 4);
    at += 12;
  }
  return out;
}
