import { setImmediate } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { dumpInTurn } from '../../../src/input/conntrack/dump-turns.ts';

test('the first dump begins at once, the others one in each turn, in their order', async () => {
  const begun: number[] = [];
  for (let i = 0; i < 4; i++) dumpInTurn(() => void begun.push(i));
  expect(begun).toEqual([0]);
  await setImmediate();
  expect(begun).toEqual([0, 1]);
  while (begun.length < 4) await setImmediate();
  expect(begun).toEqual([0, 1, 2, 3]);
  await setImmediate();
  dumpInTurn(() => void begun.push(4));
  expect(begun, 'at once again').toEqual([0, 1, 2, 3, 4]);
  await setImmediate();
});
