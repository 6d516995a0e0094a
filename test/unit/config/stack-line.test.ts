import { describe, expect, test } from 'vitest';
import { lex } from '../../../src/config/lexer.ts';
import { formatProblem } from '../../../src/config/problem.ts';
import { checkIds, parseStackLine } from '../../../src/config/stack-line.ts';

const known = ['NFLOG', 'NFCT', 'BASE', 'JSON'];

function parse(text: string) {
  const { sections } = lex(`[global]\n${text}`, 'f');
  const entries = sections.get('global')!.entries;
  const results = entries.map((entry) => parseStackLine(entry, known));
  const stacks = results.map(({ stack }) => stack);
  const problems = [...results.flatMap((result) => result.problems), ...checkIds(stacks, sections)];
  return { stacks, problems: problems.map((problem) => formatProblem(problem)) };
}

test.each([
  { name: 'plain', text: 'stack=l:NFLOG,b:BASE,j:JSON # note', columns: [7, 15, 22] },
  { name: 'in quotes', text: ' stack = "l:NFLOG,b:BASE,j:JSON"', columns: [11, 19, 26] },
  { name: 'in a file of Windows', text: 'stack=l:NFLOG,b:BASE,j:JSON\r', columns: [7, 15, 22] },
])('the words of a stack, $name', ({ text, columns }) => {
  const { stacks, problems } = parse(text);
  expect(problems).toEqual([]);
  expect(stacks[0]!.complete).toBe(true);
  expect(stacks[0]!.text).toBe('l:NFLOG,b:BASE,j:JSON');
  expect(stacks[0]!.steps).toEqual([
    { file: 'f', line: 2, column: columns[0], id: 'l', plugin: 'NFLOG' },
    { file: 'f', line: 2, column: columns[1], id: 'b', plugin: 'BASE' },
    { file: 'f', line: 2, column: columns[2], id: 'j', plugin: 'JSON' },
  ]);
});

describe('words that are wrong, each reported', () => {
  const empty = 'error: stack: a step is empty: a stack is written id:PLUGIN,id:PLUGIN';
  test.each([
    {
      text: 'stack=l:nflog,j:JSON',
      steps: 1,
      wrong: ['f:2:9: error: stack: unknown plugin "nflog"; did you mean "NFLOG"?'],
    },
    { text: 'stack=l:JSNO', steps: 0, wrong: ['f:2:9: error: stack: unknown plugin "JSNO"; did you mean "JSON"?'] },
    { text: 'stack=l:KAFKA,j:JSON', steps: 1, wrong: ['f:2:9: error: stack: unknown plugin "KAFKA"'] },
    {
      text: 'stack=l:ULOG,j:JSON',
      steps: 1,
      wrong: ['f:2:9: error: stack: unknown plugin "ULOG": the kernel has no ULOG since Linux 3.17: use NFLOG'],
    },
    { text: 'stack=l:NFLOG,,j:JSON', steps: 2, wrong: [`f:2:15: ${empty}`] },
    { text: 'stack=l:NFLOG,j:JSON,', steps: 2, wrong: [`f:2:22: ${empty}`] },
    { text: 'stack=""', steps: 0, wrong: [`f:2:8: ${empty}`] },
    {
      text: 'stack=NFLOG,:BASE,j:',
      steps: 0,
      wrong: [
        'f:2:7: error: stack: "NFLOG" has no colon: a step is written id:PLUGIN',
        'f:2:13: error: stack: ":BASE" has no id before the colon: a step is written id:PLUGIN',
        'f:2:19: error: stack: "j:" has no plugin after the colon: a step is written id:PLUGIN',
      ],
    },
    {
      text: 'stack=l:NFLOG, j:JSON',
      steps: 1,
      wrong: ['f:2:15: error: stack: a stack has no blanks: the value ends here, and "j:JSON" is not read'],
    },
    {
      text: 'stack=l:NFLOG ,j:JSON',
      steps: 1,
      wrong: ['f:2:14: error: stack: a stack has no blanks: the value ends here, and ",j:JSON" is not read'],
    },
    { text: 'stack="l:NFLOG, j:JSON"', steps: 1, wrong: ['f:2:16: error: stack: a stack has no blanks'] },
    {
      text: 'stack=l:NFLOG,j:JSON to be removed',
      steps: 2,
      wrong: ['f:2:21: warning: stack: "to be removed" after the stack is ignored'],
    },
  ])('$text', ({ text, steps, wrong }) => {
    const { stacks, problems } = parse(text);
    expect(problems).toEqual(wrong);
    expect(stacks[0]!.steps).toHaveLength(steps);
    expect(stacks[0]!.complete).toBe(wrong.every((problem) => problem.includes('warning')));
  });
});

test('an id that stands for two plugins is warned of when both would read its section', () => {
  const text = 'stack=l:NFLOG,j:JSON\nstack=l:NFLOG,b:BASE,j:JSON\nstack=l:NFCT,j:JSON';
  expect(parse(text).problems).toEqual([]);
  expect(parse(`${text}\n[l]\ngroup=1`).problems).toEqual([
    'f:4:7: warning: stack: l is NFCT here and NFLOG in line 2: both read the section [l]',
  ]);
});
