import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SLACK } from '../../../src/wire/ascii.ts';
import { writeIp } from '../../../src/wire/ip-text.ts';
import { writeJsonString } from '../../../src/wire/json-text.ts';
import * as line from '../../../src/wire/line-code.ts';
import { writePrintable } from '../../../src/wire/printable.ts';
import { Code, type Compiled, compile, I32, I64, LOAD } from '../../../src/wire/wasm.ts';

const memory = new WebAssembly.Memory({ initial: 16, maximum: 16 });
const bytes = new Uint8Array(memory.buffer);
const view = new DataView(memory.buffer);

/** Where values and texts stand, where lines go, and where the table of octets is. */
const FROM = 64;
const TO = 512 << 10;
const OCTETS = 256 << 10;

const written = (end: number): string => Buffer.from(bytes.subarray(TO, end)).toString('latin1');

/** A function (to, value) that is given the 64-bit value at FROM. */
function ofValue(functions: readonly Code[], call: number): (value: bigint) => string {
  const code = new Code([], [I32]);
  code.i32(TO).i32(FROM).load(LOAD.u64).call(call);
  const run = compile(memory, [], [...functions, code]);
  return (value) => {
    view.setBigUint64(FROM, BigInt.asUintN(64, value), true);
    return written(run());
  };
}

const number = fc.oneof(
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
  fc.bigInt({ min: 0n, max: 2n ** 32n - 1n }),
  fc.bigInt({ min: 0n, max: 20_000n }),
  fc.constantFrom(...Array.from({ length: 20 }, (_, n) => [10n ** BigInt(n), 10n ** BigInt(n) - 1n]).flat()),
);

describe('numbers', () => {
  const decimal = ofValue([line.decimalCode(0)], 0);
  const signed = ofValue([line.decimalCode(0), line.signedCode(0)], 1);
  const millionths = ofValue([line.millionthsCode()], 0);

  test('of 64 bits in decimal, unsigned and signed', () => {
    fc.assert(
      fc.property(number, (value) => {
        expect(decimal(value)).toBe(`${value}`);
        expect(signed(value)).toBe(`${BigInt.asIntN(64, value)}`);
      }),
      { numRuns: 3000 },
    );
    for (let value = 0n; value < 10_100n; value++) expect(decimal(value)).toBe(`${value}`);
  });

  test('of one digit without a call', () => {
    const code = new Code([I32, I64], [I32]);
    line.shortDecimal(code, 0, 1, 0);
    const short = ofValue([line.decimalCode(0), code.get(0)], 1);
    for (let n = 0n; n < 120n; n++) expect(short(n)).toBe(`${n}`);
    expect(short(2n ** 64n - 1n)).toBe(`${2n ** 64n - 1n}`);
  });

  test('fractions of a second have six digits, of a larger number the last ones', () => {
    fc.assert(
      fc.property(number, (value) => {
        expect(millionths(value)).toBe(`${value % 1_000_000n}`.padStart(6, '0'));
      }),
    );
  });
});

test('fixed text of any length', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 60 }), (text) => {
      const code = new Code([], [I32]);
      const to = code.local(I32);
      code.i32(TO).set(to);
      line.literal(code, to, text);
      const end = compile(memory, [], [code.get(to)])();
      expect(Buffer.from(bytes.subarray(TO, end)).toString()).toBe(Buffer.from(text).toString());
    }),
    { numRuns: 200 },
  );
});

/** A function (to, from, length) on text at FROM; nothing may be touched further than SLACK behind the end. */
function ofText(run: Compiled, text: Uint8Array, room: number): string {
  bytes.fill(0xaa, TO, TO + room + 2 * SLACK + 8);
  bytes.fill(0x22, FROM - 8, FROM + text.length + 32); // quotes around it are none of its
  bytes.set(text, FROM);
  const end = run(TO, FROM, text.length);
  expect(
    bytes.subarray(Math.max(end, TO + room) + SLACK, TO + room + 2 * SLACK + 8).every((byte) => byte === 0xaa),
  ).toBe(true);
  return written(end);
}

const text = fc.oneof(
  fc.uint8Array({ maxLength: 80 }),
  fc.string({ maxLength: 80 }).map((string) => Uint8Array.from(Buffer.from(string))),
);

test('copied bytes of any length', () => {
  const code = new Code([I32, I32, I32], [I32]);
  code.get(0).get(1).get(2).call(0);
  const copy = compile(memory, [], [line.bytesCode(), code]);
  fc.assert(
    fc.property(text, (given) => {
      expect(ofText(copy, given, given.length)).toBe(Buffer.from(given).toString('latin1'));
    }),
  );
});

describe('strings of JSON', () => {
  const asked: number[] = [];
  const escaped = {
    parameters: [I32, I32, I32],
    results: [I32],
    call: (to: number, from: number, length: number) => {
      asked.push(length);
      return writeJsonString(bytes, to, bytes, from, length, false);
    },
  };
  const code = new Code([I32, I32, I32], [I32]);
  code.get(0).get(1).get(2).call(1);
  const write = compile(memory, [escaped], [line.jsonStringCode(0), code]);

  test('are what writeJsonString makes of any bytes', () => {
    fc.assert(
      fc.property(text, (given) => {
        const end = writeJsonString(bytes, TO, given, 0, given.length, false);
        const expected = written(end);
        expect(ofText(write, given, 6 * given.length + 2)).toBe(expected);
      }),
      { numRuns: 3000 },
    );
  });

  test('each byte is asked for at each place when it needs more than to be copied, and no other', () => {
    for (let byte = 0; byte < 256; byte++) {
      for (let at = 0; at < 17; at++) {
        asked.length = 0;
        const given = new Uint8Array(17).fill(0x61);
        given[at] = byte;
        ofText(write, given, 6 * 17 + 2);
        const odd = byte < 0x20 || byte > 0x7e || byte === 0x22 || byte === 0x5c;
        expect([byte, at, asked.length]).toEqual([byte, at, odd ? 1 : 0]);
      }
    }
  });
});

test('addresses as dotted decimal', () => {
  line.writeOctets(bytes, OCTETS);
  const code = new Code([], [I32]);
  code.i32(TO).i32(FROM).call(0);
  const run = compile(memory, [], [line.dottedQuadCode(OCTETS), code]);
  const octet = fc.oneof(fc.integer({ min: 0, max: 255 }), fc.constantFrom(0, 9, 10, 99, 100, 255));
  fc.assert(
    fc.property(fc.tuple(octet, octet, octet, octet), (address) => {
      bytes.set(address, FROM);
      const found = written(run());
      expect(found).toBe(address.join('.'));
      expect(found).toBe(written(writeIp(bytes, TO, Uint8Array.from(address), 0, 4)));
    }),
  );
});

describe('text in lines', () => {
  const escaped = {
    parameters: [I32, I32, I32],
    results: [I32],
    call: (to: number, from: number, length: number) => writePrintable(bytes, to, bytes, from, length, false),
  };
  const code = new Code([I32, I32, I32], [I32]);
  code.get(0).get(1).get(2).call(1);
  const write = compile(memory, [escaped], [line.printableCode(0), code]);

  test('is what writePrintable makes of any bytes', () => {
    fc.assert(
      fc.property(text, (given) => {
        const expected = written(writePrintable(bytes, TO, given, 0, given.length, false));
        expect(ofText(write, given, 4 * given.length)).toBe(expected);
      }),
      { numRuns: 2000 },
    );
  });
});

test('hardware addresses of any length', () => {
  const code = new Code([I32, I32, I32], [I32]);
  code.get(0).get(1).get(2).call(0);
  const write = compile(memory, [], [line.hardwareAddressCode(), code]);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 32 }), (given) => {
      const expected = Array.from(given, (byte) => byte.toString(16).padStart(2, '0')).join(':');
      expect(ofText(write, given, 3 * given.length)).toBe(expected);
    }),
  );
});
