// WebAssembly modules, made here for what is known only when a stack is linked. V8 compiles one once, for the processor that
// it runs on, with no type or bound to check for each store; what it reaches is its memory and nothing else.

/** The instructions in use (WebAssembly core specification, section 5.4). */
const IF = 0x04;
const END = 0x0b;
const ELSE = 0x05;
const LOOP = 0x03;
const BR_IF = 0x0d;
const RETURN = 0x0f;
const CALL = 0x10;
const LOCAL_GET = 0x20;
const LOCAL_SET = 0x21;
const LOCAL_TEE = 0x22;
const I32_CONST = 0x41;
const I64_CONST = 0x42;
const NO_RESULT = 0x40;

/** Loads, with the alignment that is promised: none. */
export const LOAD = { u32: 0x28, u64: 0x29, u8: 0x2d, u32as64: 0x35 } as const;
export const STORE = { u32: 0x36, u64: 0x37, u8: 0x3a } as const;
export const OP = {
  i32Eqz: 0x45,
  i32Eq: 0x46,
  i32LtS: 0x48,
  i32LtU: 0x49,
  i32GtU: 0x4b,
  i64Eqz: 0x50,
  i64LtS: 0x53,
  i64LtU: 0x54,
  i64GeU: 0x5a,
  i32Add: 0x6a,
  i32Sub: 0x6b,
  i32Mul: 0x6c,
  i32And: 0x71,
  i32Shl: 0x74,
  i32ShrU: 0x76,
  i64Ctz: 0x7a,
  i64Add: 0x7c,
  i64Sub: 0x7d,
  i64Mul: 0x7e,
  i64DivU: 0x80,
  i64And: 0x83,
  i64Or: 0x84,
  i64Xor: 0x85,
  i64Shl: 0x86,
  i64ShrU: 0x88,
  i32WrapI64: 0xa7,
  i64ExtendI32U: 0xad,
} as const;

/** Types of values. */
export const I32 = 0x7f;
export const I64 = 0x7e;

/** The body of a function: its parameters are the first locals. */
export class Code {
  readonly #bytes: number[] = [];
  readonly #locals: number[] = [];
  readonly parameters: readonly number[];
  readonly results: readonly number[];

  constructor(parameters: readonly number[], results: readonly number[]) {
    this.parameters = parameters;
    this.results = results;
  }

  /** A new local variable, by its number. */
  local(type: number): number {
    return this.parameters.length + this.#locals.push(type) - 1;
  }

  /** Instructions that have nothing but their number. */
  op(...operations: readonly number[]): this {
    this.#bytes.push(...operations);
    return this;
  }

  get(local: number): this {
    return this.op(LOCAL_GET, ...unsigned(local));
  }

  set(local: number): this {
    return this.op(LOCAL_SET, ...unsigned(local));
  }

  /** Sets the local, and leaves the value where it was. */
  tee(local: number): this {
    return this.op(LOCAL_TEE, ...unsigned(local));
  }

  i32(value: number): this {
    return this.op(I32_CONST, ...signed(BigInt(value | 0)));
  }

  i64(value: bigint): this {
    return this.op(I64_CONST, ...signed(BigInt.asIntN(64, value)));
  }

  /** Takes an address, and leaves what stands `offset` bytes behind it. */
  load(kind: number, offset = 0): this {
    return this.op(kind, 0, ...unsigned(offset));
  }

  /** Takes an address and a value, and puts it `offset` bytes behind that. */
  store(kind: number, offset = 0): this {
    return this.op(kind, 0, ...unsigned(offset));
  }

  call(index: number): this {
    return this.op(CALL, ...unsigned(index));
  }

  /** Takes a condition. */
  if(then: () => void, otherwise?: () => void): this {
    this.op(IF, NO_RESULT);
    then();
    if (otherwise !== undefined) {
      this.op(ELSE);
      otherwise();
    }
    return this.op(END);
  }

  /** Takes a condition, and leaves the value, of `type`, that one of both leaves. */
  choose(type: number, then: () => void, otherwise: () => void): this {
    this.op(IF, type);
    then();
    this.op(ELSE);
    otherwise();
    return this.op(END);
  }

  /** Repeats `body` for as long as it leaves a condition that holds. */
  repeat(body: () => void): this {
    this.op(LOOP, NO_RESULT);
    body();
    return this.op(BR_IF, 0, END);
  }

  return(): this {
    return this.op(RETURN);
  }

  /** As the module has it (section 5.5.13). */
  encode(): number[] {
    const locals = this.#locals.flatMap((type) => [1, type]);
    const body = [...unsigned(this.#locals.length), ...locals, ...this.#bytes, END];
    return [...unsigned(body.length), ...body];
  }
}

/** A function of JavaScript that the module calls. */
export interface Import {
  readonly parameters: readonly number[];
  readonly results: readonly number[];
  readonly call: (...values: number[]) => number;
}

/** Functions that know the offsets of what they were made for, and are given addresses in their memory. */
export type Compiled = (...addresses: number[]) => number;

/**
 * Compiles functions over `memory`, and returns the last one. They call each other by number: imports first, then
 * functions, each in its order.
 */
export function compile(memory: WebAssembly.Memory, imports: readonly Import[], functions: readonly Code[]): Compiled {
  const types = [...imports, ...functions].map(({ parameters, results }) => [
    0x60,
    ...vector(parameters.map((type) => [type])),
    ...vector(results.map((type) => [type])),
  ]);
  const bytes = Uint8Array.from([
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, types),
    ...section(2, [
      [...name('m'), ...name('m'), 2, 0, 0],
      ...imports.map((_, index) => [...name('m'), ...name(`${index}`), 0, ...unsigned(index)]),
    ]),
    ...section(
      3,
      functions.map((_, index) => unsigned(imports.length + index)),
    ),
    ...section(7, [[...name('f'), 0, ...unsigned(types.length - 1)]]),
    ...section(
      10,
      functions.map((code) => code.encode()),
    ),
  ]);
  const given = Object.fromEntries(imports.map(({ call }, index) => [`${index}`, call]));
  const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), { m: { m: memory, ...given } });
  return instance.exports.f as Compiled;
}

const made = new WeakMap<WebAssembly.Memory, Map<string, Compiled>>();

/** What `make` compiles for `memory`, made once for all who give the same key: hundreds of namespaces have the same stack. */
export function compiledOnce(memory: WebAssembly.Memory, key: string, make: () => Compiled): Compiled {
  const known = made.get(memory) ?? new Map<string, Compiled>();
  made.set(memory, known);
  const compiled = known.get(key) ?? make();
  known.set(key, compiled);
  return compiled;
}

const section = (id: number, entries: readonly (readonly number[])[]): number[] => {
  const content = vector(entries);
  return [id, ...unsigned(content.length), ...content];
};
const vector = (entries: readonly (readonly number[])[]): number[] => [...unsigned(entries.length), ...entries.flat()];
const name = (text: string): number[] => vector([...Buffer.from(text)].map((byte) => [byte]));

/** LEB128 (section 5.2.2). */
function unsigned(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  return [...bytes, rest];
}

function signed(value: bigint): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest < -64n || rest > 63n; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  return [...bytes, Number(rest & 0x7fn)];
}
