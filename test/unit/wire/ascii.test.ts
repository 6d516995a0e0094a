import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import * as ascii from '../../../src/wire/ascii.ts';
import { writeIp } from '../../../src/wire/ip-text.ts';

const bytes = new Uint8Array(256);
const view = new DataView(bytes.buffer);
const text = (end: number, start = 8) => new TextDecoder().decode(bytes.subarray(start, end));

describe('numbers and text as bytes', () => {
  test('any 32-bit number is written in decimal and hexadecimal', () => {
    const edges = [0, 9, 10, 99, 100, 99999, 100000, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1].map((n) => fc.constant(n));
    fc.assert(
      fc.property(fc.oneof(fc.integer({ min: 0, max: 2 ** 32 - 1 }), ...edges), (value) => {
        expect(text(ascii.writeDecimal(view, 8, value))).toBe(String(value));
        expect(text(ascii.writeHex(bytes, 8, value))).toBe(value.toString(16));
      }),
    );
  });

  test('any 64-bit number is written in decimal', () => {
    const half = fc.oneof(
      fc.integer({ min: 0, max: 2 ** 32 - 1 }),
      fc.constantFrom(0, 1, 0x1fffff, 0x200000, 2 ** 32 - 1),
    );
    fc.assert(
      fc.property(half, half, (high, low) => {
        const value = (BigInt(high) << 32n) | BigInt(low);
        expect(text(ascii.writeWideDecimal(bytes, view, 8, high, low))).toBe(String(value));
      }),
      { numRuns: 2000 },
    );
  });

  test('padded numbers keep their zeros', () => {
    expect(text(ascii.writePadded(bytes, 8, 42, 6))).toBe('000042');
    expect(text(ascii.writePadded(bytes, 8, 999999999, 9))).toBe('999999999');
    expect(text(ascii.writePaddedHex(bytes, 8, 0xab, 8))).toBe('000000ab');
  });

  test('a literal of any length is written whole', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 40 }), (string) => {
        expect(text(new ascii.Literal(string).writeTo(view, 8))).toBe(
          new TextDecoder().decode(new TextEncoder().encode(string)),
        );
      }),
    );
  });

  test('hardware addresses have colons between their bytes', () => {
    const address = Uint8Array.of(0xfa, 0x16, 0x3e, 0, 1, 2);
    expect(text(ascii.writeHardwareAddress(bytes, 8, address, 0, 6))).toBe('fa:16:3e:00:01:02');
    expect(text(ascii.writeHardwareAddress(bytes, 8, address, 0, 0))).toBe('');
  });
});

describe('copies of bytes', () => {
  // Every pattern of a double that is a NaN, quiet and signalling, of both signs, among others; copied often enough for
  // every compiler of V8 to have had its turn.
  const source = new Uint8Array(512);
  const from = new DataView(source.buffer);
  const target = new Uint8Array(512);
  const to = new DataView(target.buffer);

  test.each([
    ['writeBytes', ascii.writeBytes],
    ['writeShort', ascii.writeShort],
  ])('%s moves the bits as they are, NaN or not', (_, copy) => {
    for (let round = 0; round < 20_000; round++) {
      for (let i = 0; i < 64; i++) source[i] = (Math.imul(round + 1, 2654435761) >>> (i % 24)) ^ (i * 37);
      const nan = round % 57;
      source[nan + 7] = round % 2 === 0 ? 0x7f : 0xff;
      source[nan + 6] = 0xf0 | (round & 15);
      const length = round % 65;
      expect(copy(to, 3, from, 0, length)).toBe(3 + length);
      for (let i = 0; i < length; i++) if (target[3 + i] !== source[i]) expect.fail(`round ${round}, byte ${i}`);
    }
  });
});

describe('addresses as text, as inet_ntop of glibc', () => {
  // The right column is what `python3 -c 'import socket; print(socket.inet_ntop(...))'` prints.
  test.each([
    ['0a000001', '10.0.0.1'],
    ['ffffffff', '255.255.255.255'],
    ['00000000', '0.0.0.0'],
    ['00000000000000000000000000000000', '::'],
    ['00000000000000000000000000000001', '::1'],
    ['00000000000000000000000000010000', '::0.1.0.0'],
    ['000000000000000000000000c0a80001', '::192.168.0.1'],
    ['00000000000000000000ffffc0a80001', '::ffff:192.168.0.1'],
    ['0000000000000000ffff0000c0a80001', '::ffff:0:c0a8:1'],
    ['20010db8000000000000000000000001', '2001:db8::1'],
    ['20010db8000100000000000100000000', '2001:db8:1::1:0:0'],
    ['20010db8000000010000000000000001', '2001:db8:0:1::1'],
    ['20010db8000000010001000100010001', '2001:db8:0:1:1:1:1:1'],
    ['fe800000000000000000000000000000', 'fe80::'],
    ['00010002000300040005000600070008', '1:2:3:4:5:6:7:8'],
    ['00000000000300040005000600070008', '::3:4:5:6:7:8'],
    ['00010002000300040005000600000000', '1:2:3:4:5:6::'],
  ])('%s', (hex, expected) => {
    const address = Uint8Array.from(Buffer.from(hex, 'hex'));
    expect(text(writeIp(bytes, 8, address, 0, address.length))).toBe(expected);
  });
});
