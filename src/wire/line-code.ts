// What lines are made of, as code for WebAssembly (wasm.ts): numbers, fixed text and copied text. All of it writes up to
// SLACK bytes (ascii.ts) behind what it returns.
import { Code, I32, I64, LOAD, OP, STORE } from './wasm.ts';

const WORD = 8;
const QUOTE = 0x22;
const ZEROS = 0x3030303030303030n;
const EVERY_BYTE = 0x0101010101010101n;
const HIGH_BITS = 0x8080808080808080n;
const MILLION = 1_000_000n;
const HUNDRED_MILLION = 100_000_000n;

/** Writes text that is known now, and moves the local `to` behind it. */
export function literal(code: Code, to: number, text: string): void {
  const length = Buffer.byteLength(text);
  const padded = Buffer.alloc((length + WORD - 1) & -WORD);
  padded.write(text);
  for (let at = 0; at < length; at += WORD) {
    code.get(to).i64(padded.readBigInt64LE(at)).store(STORE.u64, at);
  }
  code.get(to).i32(length).op(OP.i32Add).set(to);
}

/**
 * Takes a number below 10^8 from the local `value` and leaves its eight digits as bytes, the first one lowest: halves of
 * four digits, quarters of two and single ones, each time all at once, by multiplying with the reciprocal.
 */
function eightDigits(code: Code, value: number, rest: number): void {
  // value = upper * 10^4 + lower  ->  upper | lower << 32. 3518437209 / 2^45 is 10^-4, exact for 32 bits.
  code.get(value).get(value).i64(3518437209n).op(OP.i64Mul).i64(45n).op(OP.i64ShrU).tee(rest);
  code.i64(10_000n).op(OP.i64Mul, OP.i64Sub).i64(32n).op(OP.i64Shl).get(rest).op(OP.i64Or).set(value);
  split(code, value, rest, 10486n, 20n, 0x0000007f0000007fn, 100n, 16n);
  split(code, value, rest, 103n, 10n, 0x000f000f000f000fn, 10n, 8n);
  code.get(value);
}

/** Splits each part of `value` by `base`: its quotient stays where it is, the remainder goes `width` bits higher. */
function split(
  code: Code,
  value: number,
  quotient: number,
  reciprocal: bigint,
  shift: bigint,
  mask: bigint,
  base: bigint,
  width: bigint,
): void {
  code.get(value).i64(reciprocal).op(OP.i64Mul).i64(shift).op(OP.i64ShrU).i64(mask).op(OP.i64And).set(quotient);
  code.get(value).get(quotient).i64(base).op(OP.i64Mul, OP.i64Sub).i64(width).op(OP.i64Shl);
  code.get(quotient).op(OP.i64Or).set(value);
}

/** (to, value): writes an unsigned 64-bit number in decimal, and returns the address behind it. `self`: its number. */
export function decimalCode(self: number): Code {
  const code = new Code([I32, I64], [I32]);
  const [to, value] = [0, 1];
  const rest = code.local(I64);
  const zeros = code.local(I64);
  code.get(value).i64(HUNDRED_MILLION).op(OP.i64GeU);
  code.if(() => {
    code.get(to).get(value).i64(HUNDRED_MILLION).op(OP.i64DivU).tee(rest).call(self).set(to);
    code.get(value).get(rest).i64(HUNDRED_MILLION).op(OP.i64Mul, OP.i64Sub).set(value);
    code.get(to);
    eightDigits(code, value, rest);
    code.i64(ZEROS).op(OP.i64Or).store(STORE.u64);
    code.get(to).i32(WORD).op(OP.i32Add).return();
  });
  eightDigits(code, value, rest);
  // Leading zeros are the lowest bits: all but the last digit's own.
  code
    .tee(value)
    .i64(1n << 56n)
    .op(OP.i64Or, OP.i64Ctz)
    .i64(56n)
    .op(OP.i64And)
    .set(zeros);
  code.get(to).get(value).i64(ZEROS).op(OP.i64Or).get(zeros).op(OP.i64ShrU).store(STORE.u64);
  code.get(to).i32(WORD).op(OP.i32Add).get(zeros).i64(3n).op(OP.i64ShrU, OP.i32WrapI64, OP.i32Sub);
  return code;
}

/** Writes what `decimalCode`, of that number, would of the 64-bit number in local `value`, most of which are single digits. */
export function shortDecimal(code: Code, to: number, value: number, decimal: number): void {
  code.get(value).i64(10n).op(OP.i64LtU);
  code.if(
    () => {
      code.get(to).get(value).i64(0x30n).op(OP.i64Add).store(STORE.u64);
      code.get(to).i32(1).op(OP.i32Add).set(to);
    },
    () => code.get(to).get(value).call(decimal).set(to),
  );
}

/** (to, value): writes the fraction of a second in six digits, of a number from 10^6 on the last ones, and returns the address behind it. */
export function millionthsCode(): Code {
  const code = new Code([I32, I64], [I32]);
  const [to, value] = [0, 1];
  const rest = code.local(I64);
  code.get(value).get(value).i64(MILLION).op(OP.i64DivU).i64(MILLION).op(OP.i64Mul, OP.i64Sub).set(value);
  code.get(to);
  eightDigits(code, value, rest);
  code.i64(ZEROS).op(OP.i64Or).i64(16n).op(OP.i64ShrU).store(STORE.u64);
  return code.get(to).i32(6).op(OP.i32Add);
}

/** (to, value): writes a signed number in decimal, and returns the address behind it. `decimal`: the number of decimalCode. */
export function signedCode(decimal: number): Code {
  const code = new Code([I32, I64], [I32]);
  const [to, value] = [0, 1];
  code.get(value).i64(0n).op(OP.i64LtS);
  code.if(() => {
    code.i64(0n).get(value).op(OP.i64Sub).set(value);
    literal(code, to, '-');
  });
  return code.get(to).get(value).call(decimal);
}

/** (to, from, length): copies bytes eight at a time, and returns the address behind them. */
export function bytesCode(): Code {
  const code = new Code([I32, I32, I32], [I32]);
  const [to, from, length] = [0, 1, 2];
  const end = code.local(I32);
  code.get(to).get(length).op(OP.i32Add).set(end);
  // Mostly an address of 9 to 16 bytes: no branch that goes now here, now there.
  code.get(to).get(from).load(LOAD.u64).store(STORE.u64);
  code.get(to).get(from).load(LOAD.u64, WORD).store(STORE.u64, WORD);
  code
    .get(length)
    .i32(2 * WORD)
    .op(OP.i32GtU);
  code.if(() => {
    code.repeat(() => {
      code
        .get(to)
        .get(from)
        .load(LOAD.u64, 2 * WORD)
        .store(STORE.u64, 2 * WORD);
      code.get(from).i32(WORD).op(OP.i32Add).set(from);
      code
        .get(to)
        .i32(WORD)
        .op(OP.i32Add)
        .tee(to)
        .i32(2 * WORD)
        .op(OP.i32Add)
        .get(end)
        .op(OP.i32LtU);
    });
  });
  return code.get(end);
}

/**
 * Copies `length` bytes from `from` to `offset` bytes behind `to`, eight at a time, and returns from the function with what
 * `escaped`, the number of one of the same form, makes of the whole text when one of them is not from 0x20 to 0x7e, or is in `odd`.
 */
function copyPlain(code: Code, offset: number, odd: readonly bigint[], escaped: number): void {
  const [to, from, length] = [0, 1, 2];
  const done = code.local(I32);
  const word = code.local(I64);
  const marks = code.local(I64);
  code.get(length);
  code.if(() => {
    code.repeat(() => {
      code.get(from).get(done).op(OP.i32Add).load(LOAD.u64).set(word);
      code.get(to).get(done).op(OP.i32Add).get(word).store(STORE.u64, offset);
      // The highest bit marks a byte above 0x7e, and one below 0x20 or in `odd`, of which a subtraction borrows; a carry or a
      // borrow from a byte that is marked itself can only mark one too many.
      code.get(word).get(word).i64(EVERY_BYTE).op(OP.i64Add, OP.i64Or);
      code
        .get(word)
        .i64(EVERY_BYTE * 0x20n)
        .op(OP.i64Sub, OP.i64Or);
      for (const byte of odd) {
        code
          .get(word)
          .i64(EVERY_BYTE * byte)
          .op(OP.i64Xor)
          .i64(EVERY_BYTE)
          .op(OP.i64Sub, OP.i64Or);
      }
      code.i64(HIGH_BITS).op(OP.i64And).set(marks);
      // Of the last word, only what belongs to the text.
      code.get(length).get(done).op(OP.i32Sub).i32(WORD).op(OP.i32LtU);
      code.if(() => {
        code.get(marks).i64(-1n).get(length).get(done).op(OP.i32Sub).i32(3).op(OP.i32Shl, OP.i64ExtendI32U, OP.i64Shl);
        code.i64(-1n).op(OP.i64Xor, OP.i64And).set(marks);
      });
      code.get(marks).op(OP.i64Eqz, OP.i32Eqz);
      code.if(() => code.get(to).get(from).get(length).call(escaped).return());
      code.get(done).i32(WORD).op(OP.i32Add).tee(done).get(length).op(OP.i32LtU);
    });
  });
}

/**
 * (to, from, length): writes bytes as a JSON string with its quotes, and returns the address behind it, or what `escape`,
 * the number of a function of the same form, returns: it has the text in which a byte needs more than to be copied.
 */
export function jsonStringCode(escaped: number): Code {
  const code = new Code([I32, I32, I32], [I32]);
  const [to, , length] = [0, 1, 2];
  code.get(to).i32(QUOTE).store(STORE.u8);
  copyPlain(code, 1, [BigInt(QUOTE), 0x5cn], escaped);
  code.get(to).get(length).op(OP.i32Add).tee(to).i32(QUOTE).store(STORE.u8, 1);
  return code.get(to).i32(2).op(OP.i32Add);
}

/** The same for text without quotes around it, in which quotes and backslashes are nothing special. */
export function printableCode(escaped: number): Code {
  const code = new Code([I32, I32, I32], [I32]);
  copyPlain(code, 0, [], escaped);
  return code.get(0).get(2).op(OP.i32Add);
}

/** Leaves the hexadecimal digit, in lower case, of the number of 0 to 15 in the local. */
function hexDigit(code: Code, nibble: number): void {
  code.get(nibble).i32(0x30).op(OP.i32Add).get(nibble).i32(9).op(OP.i32GtU).i32(0x27).op(OP.i32Mul, OP.i32Add);
}

/** (to, from, length): writes bytes in lower-case hexadecimal with colons between, and returns the address behind them. */
export function hardwareAddressCode(): Code {
  const code = new Code([I32, I32, I32], [I32]);
  const [to, from, length] = [0, 1, 2];
  const byte = code.local(I32);
  const nibble = code.local(I32);
  code.get(length).op(OP.i32Eqz);
  code.if(() => code.get(to).return());
  code.repeat(() => {
    code.get(from).load(LOAD.u8).set(byte);
    code.get(to).get(byte).i32(4).op(OP.i32ShrU).set(nibble);
    hexDigit(code, nibble);
    code.store(STORE.u8).get(to).get(byte).i32(15).op(OP.i32And).set(nibble);
    hexDigit(code, nibble);
    code.store(STORE.u8, 1).get(to).i32(0x3a).store(STORE.u8, 2);
    code.get(to).i32(3).op(OP.i32Add).set(to).get(from).i32(1).op(OP.i32Add).set(from);
    code.get(length).i32(1).op(OP.i32Sub).tee(length);
  });
  return code.get(to).i32(1).op(OP.i32Sub); // the last colon
}

/** Bytes of the table that `dottedQuadCode` reads: octets as text with a dot behind, four bytes each. */
export const OCTETS_SIZE = 1024;

/** Writes that table. */
export function writeOctets(bytes: Uint8Array, at: number): void {
  for (let octet = 0; octet < 256; octet++) bytes.set(Buffer.from(`${octet}.`), at + 4 * octet);
}

/** (to, from): writes the four bytes at `from` as dotted decimal, and returns the address behind it. `octets`: where the table is. */
export function dottedQuadCode(octets: number): Code {
  const code = new Code([I32, I32], [I32]);
  const [to, from] = [0, 1];
  const octet = code.local(I32);
  for (let i = 0; i < 4; i++) {
    code.get(from).load(LOAD.u8, i).set(octet);
    code.get(to).get(octet).i32(2).op(OP.i32Shl).load(LOAD.u32, octets).store(STORE.u32);
    code.get(to).i32(2).op(OP.i32Add).get(octet).i32(9).op(OP.i32GtU, OP.i32Add);
    code.get(octet).i32(99).op(OP.i32GtU, OP.i32Add).set(to);
  }
  return code.get(to).i32(1).op(OP.i32Sub); // the last dot
}
