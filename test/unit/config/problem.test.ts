import { expect, test } from 'vitest';
import { ConfigError, formatProblem, type Problem, quote, sortProblems } from '../../../src/config/problem.ts';

const problem: Problem = { file: 'ulogd.conf', line: 2, column: 7, message: '[log1] group: bad', severity: 'error' };

test('a problem is one line that an editor can follow', () => {
  expect(formatProblem(problem)).toBe('ulogd.conf:2:7: error: [log1] group: bad');
});

test.each([
  { name: 'the line', text: '[log1]\ngroup=abc\n', shown: '  group=abc\n        ^' },
  { name: 'tabs as they are', text: '[log1]\r\n\tgroup\t=abc\r\n', shown: '  \tgroup\t=abc\n  \t     ^' },
  { name: 'no terminal commands', text: '[log1]\ngroup\u001b[2J=\u009babc', shown: '  group?[2J=?abc\n        ^' },
  { name: 'no line that is not there', text: '[log1]', shown: undefined },
])('with the text of the file it shows $name', ({ text, shown }) => {
  const headline = 'ulogd.conf:2:7: error: [log1] group: bad';
  expect(formatProblem(problem, text)).toBe(shown === undefined ? headline : `${headline}\n${shown}`);
});

test('a problem of the whole file has no place in it', () => {
  expect(formatProblem({ ...problem, line: 0, column: 0 }, '[log1]')).toBe('ulogd.conf: error: [log1] group: bad');
});

test('the error names every problem', () => {
  const error = new ConfigError([problem, { ...problem, line: 3, severity: 'warning' }]);
  expect(error.message).toBe('ulogd.conf:2:7: error: [log1] group: bad\nulogd.conf:3:7: warning: [log1] group: bad');
  expect(error.problems).toHaveLength(2);
});

test('problems are sorted as the file is read', () => {
  const at = (line: number, column: number): Problem => ({ ...problem, line, column });
  expect(sortProblems([at(10, 1), at(2, 9), at(2, 3)]).map(({ line, column }) => [line, column])).toEqual([
    [2, 3],
    [2, 9],
    [10, 1],
  ]);
});

test('a long text is cut in a message', () => {
  expect(quote('abc')).toBe('"abc"');
  expect(quote('x'.repeat(1000))).toHaveLength(64 + 3);
});

test('of a line that is very long the part around the place is shown', () => {
  const text = `stack=${'a:B,'.repeat(10_000)}HERE:C,${'a:B,'.repeat(10_000)}\n`;
  const lines = formatProblem({ ...problem, line: 1, column: text.indexOf('HERE') + 1 }, text).split('\n');
  expect(lines[1]?.length).toBeLessThan(210);
  expect(lines[1]?.slice((lines[2] as string).indexOf('^'))).toMatch(/^HERE:C/);
});
