import { describe, expect, test } from 'vitest';
import { ignoredText, lex } from '../../../src/config/lexer.ts';
import { formatProblem } from '../../../src/config/problem.ts';

/** `section key=value` of every entry. */
const entries = (text: string): string[] =>
  [...lex(text, 'f').sections.values()].flatMap(({ name, entries }) =>
    entries.map(({ key, value }) => `${name} ${key}=${value}`),
  );
const problems = (text: string): string[] => lex(text, 'f').problems.map((problem) => formatProblem(problem));

// The right column was measured on ulogd 2.0.8, which logs the value of every stack= line it reads.
describe('values are what ulogd takes for values', () => {
  test.each([
    ['k=a', 'a'],
    ['k a', 'a'],
    ['k\ta', 'a'],
    ['k = a', 'a'],
    [' \t k\t=\ta', 'a'],
    ['=k==a', 'a'],
    ['"k"=a', 'a'],
    ['k=a=b', 'a'],
    ['k=a b', 'a'],
    ['k=a # comment', 'a'],
    ['k=a#b', 'a#b'],
    ['k=#b', '#b'],
    ['k=x;y', 'x;y'],
    ['k=a\\', 'a\\'],
    ["k='a b'", "'a"],
    ['k=a"b"c', 'a"b"c'],
    ['k=x[1]', 'x[1]'],
    ['k="a b"', 'a b'],
    ['k="a=b"', 'a=b'],
    ['k="a\tb"', 'a\tb'],
    ['k="a#b" # c', 'a#b'],
    ['k="a"b', 'a'],
    ['k="a""b"', 'a'],
    ['k= "x y" z', 'x y'],
    ['k=""', ''],
    ['k=a\r', 'a'],
    ['k=a "b', 'a'],
    ['k=größe', 'größe'],
  ])('%j', (line, value) => {
    expect(entries(`[s]\n${line}\n`)).toEqual([`s k=${value}`]);
    expect(problems(`[s]\n${line}\n`)).toEqual([]);
  });
});

describe('sections are found as ulogd finds them', () => {
  test.each([
    { name: 'one', text: '[s]\nk=v\n', expected: ['s k=v'] },
    { name: 'blanks around the header and in it', text: ' \t[ s ] text\nk=v\n', expected: ['s k=v'] },
    { name: 'brackets twice', text: '[[s]]\nk=v', expected: ['s k=v'] },
    { name: 'a name with a dot is one name', text: '[a.b]\nk=v\n[a]\nk=w\n', expected: ['a.b k=v', 'a k=w'] },
    { name: 'a name in quotes', text: '["s"]\nk=v\n', expected: ['s k=v'] },
    { name: 'lines of Windows', text: '[s]\r\nk=v\r\n\r\n[t]\r\nk = "w"\r\n', expected: ['s k=v', 't k=w'] },
    { name: 'a byte order mark', text: '\ufeff[s]\nk=v\n', expected: ['s k=v'] },
    { name: 'a last line without its end', text: '[s]\nk=v', expected: ['s k=v'] },
    {
      name: 'comments, also indented ones',
      text: '#a=b\n # a=b\n[s]\n\t#a=b\n#\n\nk=v\n #[t]\nl=w',
      expected: ['s k=v', 's l=w'],
    },
    { name: 'keys that are repeated', text: '[s]\nk=v\nk=w\n', expected: ['s k=v', 's k=w'] },
    { name: 'a line longer than 255', text: `[s]\nk="${'x'.repeat(1000)}"\n`, expected: [`s k=${'x'.repeat(1000)}`] },
    { name: 'a comment longer than 255', text: `[s]\n#${'x '.repeat(1000)}\nk=v\n`, expected: ['s k=v'] },
    { name: 'names that objects have', text: '[__proto__]\nconstructor=v\n', expected: ['__proto__ constructor=v'] },
    { name: 'nothing', text: '', expected: [] },
  ])('$name', ({ text, expected }) => {
    expect(entries(text)).toEqual(expected);
    expect(problems(text)).toEqual([]);
  });
});

describe('what is wrong is reported where it is', () => {
  test.each([
    {
      name: 'a second section of the same name is not read',
      text: '[s]\nk=v\n[s]\nk=w\n',
      expected: ['s k=v'],
      wrong: ['f:3:1: warning: [s] is ignored: the section in line 1 has that name'],
    },
    {
      name: 'a bare id is no header',
      text: '[s]\nk=v\njson1\nl=w\n',
      expected: ['s k=v', 's l=w'],
      wrong: ['f:3:1: warning: "json1" has no value and is ignored; a section is written [json1]'],
    },
    {
      name: 'a key without a value',
      text: '[s]\n  sync=\nk=v\n',
      expected: ['s k=v'],
      wrong: ['f:2:3: warning: "sync" has no value and is ignored'],
    },
    {
      name: 'a comment where the value should be',
      text: '[s]\nk= # note\n',
      expected: ['s k=#'],
      wrong: ['f:2:4: warning: "#" is read as the value, not as a comment'],
    },
    {
      name: 'a name with a blank in it',
      text: '[my log]\nk=v\n',
      expected: ['my k=v'],
      wrong: ['f:1:2: warning: the section is "my": its name ends at the blank'],
    },
    {
      name: 'a quote that is not closed',
      text: '[s]\nk="v\nl=w\n',
      expected: ['s l=w'],
      wrong: ['f:2:3: error: the quote is not closed on its line'],
    },
    {
      name: 'a header that is not closed still begins a section',
      text: '[s]\nk=v\n[t\nk=w\n',
      expected: ['s k=v', 't k=w'],
      wrong: ['f:3:1: error: the section has no closing ]'],
    },
    {
      name: 'a header without a name ends the section before it',
      text: '[s]\nk=v\n []\nk=w\n',
      expected: ['s k=v'],
      wrong: ['f:3:2: error: the section has no name'],
    },
    {
      name: 'text before the first section, reported once',
      text: '\nglobal\nk=v\n[s]\nk=v\n',
      expected: ['s k=v'],
      wrong: ['f:2:1: error: text before the first section: a file begins with [global]'],
    },
    {
      name: 'bytes that a crash left behind',
      text: '[s]\nk=v\n\0\0\0\0',
      expected: ['s k=v'],
      wrong: ['f:3:1: error: control character 0x00'],
    },
    {
      name: 'a terminal command in a value',
      text: '[s]\nk=a\x1b[2Jb\n',
      expected: [],
      wrong: ['f:2:4: error: control character 0x1b'],
    },
    {
      name: 'a value in Latin-1, but not a comment',
      text: '[s]\n# gr\ufffd\ufffde\nk="gr\ufffd\ufffde"\nl=1 # gr\ufffd\ufffde\n',
      expected: ['s l=1'],
      wrong: ['f:3:6: error: text that is not UTF-8'],
    },
  ])('$name', ({ text, expected, wrong }) => {
    expect(entries(text)).toEqual(expected);
    expect(problems(text)).toEqual(wrong);
  });
});

test('an entry knows the columns of its words and what follows them', () => {
  const [plain, quoted] = lex('[s]\n\tkey = value # note\n  k="a b"  c d \r\n', 'f').sections.get('s')!.entries;
  expect(plain).toMatchObject({ line: 2, column: 2, valueColumn: 8, quoted: false, rest: '# note' });
  expect(quoted).toMatchObject({ line: 3, column: 3, valueColumn: 6, quoted: true, rest: 'c d' });
  expect(ignoredText(plain!)).toBeUndefined();
  expect(ignoredText(quoted!)).toBe('c d');
});
