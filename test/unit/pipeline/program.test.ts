import { describe, expect, test } from 'vitest';
import { Memory } from '../../../src/pipeline/memory.ts';
import type { Run } from '../../../src/pipeline/plugin.ts';
import { Program } from '../../../src/pipeline/program.ts';
import { Record } from '../../../src/pipeline/record.ts';

const record = new Record(new Memory(64), 2);

/** A program whose steps note their number when they run; `answers[i]` is what step i returns or throws. */
function program(answers: readonly (boolean | Error)[], next: readonly number[]) {
  const ran: number[] = [];
  const errors: [number, unknown][] = [];
  const steps = answers.map(
    (answer, step): Run =>
      () => {
        ran.push(step);
        if (answer instanceof Error) throw answer;
        return answer;
      },
  );
  return { ran, errors, program: new Program(steps, next, (step, error) => void errors.push([step, error])) };
}

describe('two branches: 0 leads to 1 and 2, 3 leads to 4', () => {
  const next = [3, 2, 3, 5, 5];

  test('every step runs once, in order', () => {
    const { ran, program: it } = program([true, true, true, true, true], next);
    it.run(record);
    expect(ran).toEqual([0, 1, 2, 3, 4]);
    expect([...it.stopped]).toEqual([0, 0, 0, 0, 0]);
  });

  test('a step that says no ends its branch and is counted', () => {
    const { ran, program: it } = program([false, true, true, true, true], next);
    it.run(record);
    it.run(record);
    expect(ran).toEqual([0, 3, 4, 0, 3, 4]);
    expect([...it.stopped]).toEqual([2, 0, 0, 0, 0]);
    expect([...it.failed]).toEqual([0, 0, 0, 0, 0]);
  });

  test('a leaf that says no ends nothing else', () => {
    const { ran, program: it } = program([true, false, true, true, false], next);
    it.run(record);
    expect(ran).toEqual([0, 1, 2, 3, 4]);
    expect([...it.stopped]).toEqual([0, 1, 0, 0, 1]);
  });

  test('a step that throws is counted and told of; the other branches go on', () => {
    const [first, last] = [new Error('first'), new Error('last')];
    const { ran, errors, program: it } = program([first, true, true, true, last], next);
    it.run(record);
    expect(ran).toEqual([0, 3, 4]);
    expect([...it.failed]).toEqual([1, 0, 0, 0, 1]);
    expect([...it.stopped]).toEqual([0, 0, 0, 0, 0]);
    expect(errors).toEqual([
      [0, first],
      [4, last],
    ]);
  });

  test('a disabled step lets nothing pass, whatever it was, and counts as disabled', () => {
    const { ran, program: it } = program([true, true, true, true, true], next);
    it.run(record);
    it.disable(3);
    it.run(record);
    expect(ran).toEqual([0, 1, 2, 3, 4, 0, 1, 2]);
    expect([...it.stopped]).toEqual([0, 0, 0, 1, 0]);
    expect([it.isDisabled(3), it.isDisabled(2)]).toEqual([true, false]);
  });
});

test('a program without steps does nothing', () => {
  const { ran, program: it } = program([], []);
  it.run(record);
  expect(ran).toEqual([]);
});

test('a program leaves the steps it was given alone', () => {
  const steps: Run[] = [() => true];
  new Program(steps, [1], () => {}).disable(0);
  expect(steps[0]?.(record)).toBe(true);
});
