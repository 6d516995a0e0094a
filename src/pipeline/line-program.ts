import {
  bytesCode,
  decimalCode,
  hardwareAddressCode,
  jsonStringCode,
  literal,
  millionthsCode,
  printableCode,
  shortDecimal,
  signedCode,
} from '../wire/line-code.ts';
import { Code, type Compiled, compile, compiledOnce, I32, I64, type Import, LOAD, OP } from '../wire/wasm.ts';
import { HEAD_TEXT } from './line-head.ts';
import type { Memory } from './memory.ts';
import type { Record } from './record.ts';

// The functions of every program by number: imports first.
const ESCAPE = 0;
const DECIMAL = 1;
const SIGNED = 2;
const TEXT = 3;
const BYTES = 4;
const MILLIONTHS = 5;
const PRINTABLE = 6;
const HARDWARE_ADDRESS = 7;

// Its parameters: where the record, the line and its head lie.
const RECORD = 0;
const TO = 1;
const HEAD = 2;

/** (to, from, length): writes a text in which a byte needs more than to be copied; below 0 when it is not to be written. */
export type Escape = (to: number, from: number, length: number) => number;

/**
 * Compiles what writes lines of a record's values, once for all that have the same `key` and records of the same form:
 * `write` says what stands in a line. It is given the addresses of a record, of room for the line and of its `LineHead`, and
 * returns the address behind the line; up to SLACK bytes (wire/ascii.ts) behind that are written, too.
 */
export function compileLine(
  key: string,
  record: Record,
  memory: Memory,
  write: (line: LineProgram) => void,
  escapeText: Escape = () => -1,
): Compiled {
  return compiledOnce(memory.linear, `${key} ${record.value.length}`, () => {
    const code = new Code([I32, I32, I32], [I32]);
    write(new LineProgram(code, record));
    const escaped: Import = { parameters: [I32, I32, I32], results: [I32], call: escapeText };
    const numbers = [decimalCode(DECIMAL), signedCode(DECIMAL)];
    const texts = [jsonStringCode(ESCAPE), bytesCode(), millionthsCode(), printableCode(ESCAPE), hardwareAddressCode()];
    return compile(memory.linear, [escaped], [...numbers, ...texts, code.get(TO)]);
  });
}

/** A line in the making: each method adds what writes one part of it behind what is there. */
export class LineProgram {
  readonly #record: Record;
  readonly #code: Code;
  readonly #start: number;
  readonly #number: number;
  readonly #length: number;

  constructor(code: Code, record: Record) {
    this.#record = record;
    this.#code = code;
    this.#start = code.local(I32);
    this.#number = code.local(I64);
    this.#length = code.local(I32);
  }

  /** Text that is the same in every line. */
  literal(text: string): void {
    literal(this.#code, TO, text);
  }

  /** What `then` adds where the slot is valid, else what `otherwise` does. */
  ifValid(slot: number, then: () => void, otherwise?: () => void): void {
    this.#code.get(RECORD).load(LOAD.u8, slot).if(then, otherwise);
  }

  /** What stands beside the slot's number in `cases` adds, else what `otherwise` does; a slot that is not valid counts as 0. */
  match(slot: number, cases: readonly (readonly [number, () => void])[], otherwise?: () => void): void {
    const [first, ...rest] = cases;
    if (first === undefined) {
      otherwise?.();
      return;
    }
    this.#valueOrZero(slot).i32(first[0]).op(OP.i32Eq);
    this.#code.if(first[1], () => this.match(slot, rest, otherwise));
  }

  /** The slot's 32 bits in decimal. */
  number(slot: number): void {
    this.#code.get(RECORD).load(LOAD.u32as64, this.#record.valueAt(slot)).set(this.#number);
    shortDecimal(this.#code, TO, this.#number, DECIMAL);
  }

  /** The same, and 0 where it is not valid. */
  numberOrZero(slot: number): void {
    this.#valueOrZero(slot).op(OP.i64ExtendI32U).set(this.#number);
    shortDecimal(this.#code, TO, this.#number, DECIMAL);
  }

  /** The slot's 64 bits in decimal. */
  wide(slot: number, { signed = false } = {}): void {
    const code = this.#code.get(RECORD).load(LOAD.u32as64, this.#record.valueAt(slot));
    code.get(RECORD).load(LOAD.u32as64, this.#record.extraAt(slot));
    code.i64(32n).op(OP.i64Shl, OP.i64Or).set(this.#number);
    shortDecimal(code, TO, this.#number, signed ? SIGNED : DECIMAL);
  }

  /** The slot's number as the six digits of a fraction of a second. */
  millionths(slot: number): void {
    const code = this.#code.get(TO).get(RECORD).load(LOAD.u32as64, this.#record.valueAt(slot));
    code.call(MILLIONTHS).set(TO);
  }

  /** The slot's bytes as they are. */
  bytes(slot: number): void {
    this.#code.get(TO);
    this.#span(slot).call(BYTES).set(TO);
  }

  /** The slot's text as a JSON string, behind `name`; neither where the program's `Escape` refuses it. */
  jsonString(name: string, slot: number): void {
    const code = this.#code.get(TO).set(this.#start);
    this.literal(name);
    code.get(TO);
    this.#span(slot).call(TEXT).tee(TO).i32(0).op(OP.i32LtS);
    code.if(() => code.get(this.#start).set(TO));
  }

  /** The slot's text without quotes, `most` bytes of it. */
  printable(slot: number, most: number): void {
    this.#code.get(TO);
    this.#span(slot, most).call(PRINTABLE).set(TO);
  }

  /** The slot's bytes, up to `most`, in hexadecimal with colons between. */
  hardwareAddress(slot: number, most: number): void {
    this.#code.get(TO);
    this.#span(slot, most).call(HARDWARE_ADDRESS).set(TO);
  }

  /** The first text of the line's head. */
  headBefore(): void {
    const code = this.#code.get(TO).get(HEAD).i32(HEAD_TEXT).op(OP.i32Add);
    code.get(HEAD).load(LOAD.u32).call(BYTES).set(TO);
  }

  /** The second text of the line's head. */
  headAfter(): void {
    const code = this.#code.get(TO).get(HEAD).i32(HEAD_TEXT).op(OP.i32Add).get(HEAD).load(LOAD.u32).op(OP.i32Add);
    code.get(HEAD).load(LOAD.u32, 4).call(BYTES).set(TO);
  }

  /** Leaves where the slot's bytes are, and how many, but no more than `most`. */
  #span(slot: number, most?: number): Code {
    const code = this.#code.get(RECORD).load(LOAD.u32, this.#record.valueAt(slot));
    code.get(RECORD).load(LOAD.u32, this.#record.extraAt(slot));
    if (most === undefined) return code;
    code.tee(this.#length).i32(most).op(OP.i32LtU);
    return code.choose(
      I32,
      () => code.get(this.#length),
      () => code.i32(most),
    );
  }

  #valueOrZero(slot: number): Code {
    const code = this.#code.get(RECORD).load(LOAD.u8, slot);
    return code.choose(
      I32,
      () => code.get(RECORD).load(LOAD.u32, this.#record.valueAt(slot)),
      () => code.i32(0),
    );
  }
}
