import { describe, expect, test } from 'vitest';
import { placePlans } from '../../../src/cli/placement.ts';
import { defineOutput } from '../../../src/pipeline/plugin.ts';
import { filter, input, output, plan } from '../../support/stacks.ts';

const catalog = [
  input('IN', ['a']),
  filter('FILTER', {}),
  output('OUT'),
  defineOutput({
    name: 'FILE',
    summary: 'For a test.',
    example: '',
    accepts: ['packet'],
    options: { file: { type: 'string', default: '', doc: 'A file.' } },
    reads: {},
    link: () => ({ run: () => true }),
  }),
];

/** Names of the inputs of each thread. */
function place(workers: number, lines: readonly string[], options = {}): string[][] {
  const { plans, problems } = plan(lines, catalog, options);
  expect(problems).toEqual([]);
  return placePlans(plans, workers).map((thread) => thread.map((index) => plans[index]?.input.step.id ?? ''));
}

describe('inputs are spread over threads', () => {
  test('one each, as far as threads go; then where fewest are', () => {
    const lines = ['a:IN,o1:OUT', 'b:IN,o2:OUT', 'c:IN,o3:OUT'];
    expect(place(1, lines)).toEqual([['a', 'b', 'c']]);
    expect(place(2, lines)).toEqual([['a', 'c'], ['b']]);
    expect(place(3, lines)).toEqual([['a'], ['b'], ['c']]);
    expect(place(9, lines)).toEqual([['a'], ['b'], ['c']]);
  });

  test('those that share a filter by its name too: each thread has its own', () => {
    expect(place(2, ['a:IN,f:FILTER,o1:OUT', 'b:IN,f:FILTER,o2:OUT'])).toEqual([['a'], ['b']]);
  });

  test('but not those that share an output, directly or by a third', () => {
    expect(place(2, ['a:IN,o:OUT', 'b:IN,o:OUT', 'c:IN,p:OUT'])).toEqual([['a', 'b'], ['c']]);
    expect(place(4, ['a:IN,o:OUT', 'b:IN,p:OUT', 'c:IN,o:OUT', 'c:IN,p:OUT', 'd:IN,q:OUT'])).toEqual([
      ['a', 'b', 'c'],
      ['d'],
    ]);
  });

  test('nor those whose outputs write the same file under two names', () => {
    const options = { o1: { file: '/x' }, o2: { file: '/x' }, o3: { file: '/y' } };
    expect(place(3, ['a:IN,o1:FILE', 'b:IN,o2:FILE', 'c:IN,o3:FILE'], options)).toEqual([['a', 'b'], ['c']]);
  });
});
