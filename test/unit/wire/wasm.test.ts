import { expect, test } from 'vitest';
import { Code, compile, compiledOnce, I32, I64, LOAD, OP, STORE } from '../../../src/wire/wasm.ts';

const memory = new WebAssembly.Memory({ initial: 1, maximum: 1 });
const view = new DataView(memory.buffer);

test('a function reaches its parameters, its locals, the memory and the functions before it', () => {
  const calls: number[][] = [];
  const given = {
    parameters: [I32, I32],
    results: [I32],
    call: (...values: number[]) => {
      calls.push(values);
      return 5;
    },
  };
  const double = new Code([I32], [I32]);
  double.get(0).get(0).op(OP.i32Add);
  const whole = new Code([I32], [I32]);
  const local = whole.local(I32);
  whole.get(0).load(LOAD.u32, 4).call(1).set(local);
  whole.get(0).get(local).store(STORE.u32, 8);
  whole.get(local).i32(-3).call(0);
  view.setUint32(104, 21, true);
  expect(compile(memory, [given], [double, whole])(100)).toBe(5);
  expect(calls).toEqual([[42, -3]]);
  expect(view.getUint32(108, true)).toBe(42);
});

test.each([0, 1, 63, 64, -1, -64, -65, 127, 128, 0x7fffffff, -0x80000000])('the constant %i', (value) => {
  const code = new Code([], [I32]);
  code.i32(value);
  expect(compile(memory, [], [code])()).toBe(value);
});

test.each([0n, 63n, 64n, -64n, -65n, 2n ** 63n - 1n, -(2n ** 63n), 2n ** 64n - 1n])('the wide constant %s', (value) => {
  const code = new Code([], [I32]);
  code.i32(0).i64(value).store(STORE.u64).i32(0);
  compile(memory, [], [code])();
  expect(view.getBigInt64(0, true)).toBe(BigInt.asIntN(64, value));
});

test('branches and loops', () => {
  const code = new Code([I32], [I32]);
  const sum = code.local(I32);
  code.get(0).if(
    () => {
      code.repeat(() => {
        code.get(sum).get(0).op(OP.i32Add).set(sum);
        code.get(0).i32(1).op(OP.i32Sub).tee(0);
      });
    },
    () => code.i32(-1).return(),
  );
  code.get(sum).i32(100).op(OP.i32LtU);
  code.choose(
    I32,
    () => code.get(sum),
    () => code.i32(100),
  );
  const run = compile(memory, [], [code]);
  expect([0, 1, 4, 20].map((n) => run(n))).toEqual([-1, 1, 10, 100]);
});

test('an access beyond the memory is an error, and reaches nothing', () => {
  const code = new Code([I32], [I32]);
  code.get(0).load(LOAD.u32, 4);
  expect(() => compile(memory, [], [code])(65_532)).toThrow('out of bounds');
});

test('what is compiled for a key is compiled once for each memory', () => {
  let times = 0;
  const make = () => {
    times++;
    const code = new Code([], [I32]);
    code.i32(times);
    return compile(memory, [], [code]);
  };
  expect([compiledOnce(memory, 'a', make)(), compiledOnce(memory, 'a', make)()]).toEqual([1, 1]);
  expect(compiledOnce(memory, 'b', make)()).toBe(2);
  expect(compiledOnce(new WebAssembly.Memory({ initial: 1, maximum: 1 }), 'a', make)()).toBe(3);
});

test('a local of 64 bits', () => {
  const code = new Code([], [I32]);
  const wide = code.local(I64);
  code
    .i64(2n ** 40n)
    .set(wide)
    .get(wide)
    .i64(38n)
    .op(OP.i64ShrU, OP.i32WrapI64);
  expect(compile(memory, [], [code])()).toBe(4);
});
