import { describe, expect, expectTypeOf, test } from 'vitest';
import { lex } from '../../../src/config/lexer.ts';
import { type OptionSpec, type OptionSpecs, resolveOptions } from '../../../src/config/option.ts';
import { formatProblem, sortProblems } from '../../../src/config/problem.ts';
import { NO_SECRET } from '../../../src/config/secret.ts';

const at = { file: 'f', line: 7, column: 12, id: 's' };

function resolve<const Specs extends OptionSpecs>(text: string, specs: Specs, compat = false) {
  const section = lex(text, 'f').sections.get('s');
  const { values, problems } = resolveOptions(section, specs, { at, compat });
  return { values, problems: sortProblems(problems).map((problem) => formatProblem(problem)) };
}

const int = { type: 'int', default: 7, doc: '' } as const;
const bool = { type: 'bool', default: false, doc: '' } as const;
const string = { type: 'string', default: 'd', doc: '' } as const;
const choice = { type: 'choice', default: 'file', choices: ['file', 'tcp', 'udp'], doc: '' } as const;
const list = { type: 'list', default: [], doc: '' } as const;

describe('values', () => {
  test.each<[OptionSpec, string, unknown]>([
    [int, '0', 0],
    [int, '65535', 65535],
    [int, '+5', 5],
    [int, '0x10', 16],
    [int, '0XfF', 255],
    [int, '010', 8],
    [int, '00', 0],
    [int, '0xffffffff', 0xffffffff],
    [{ ...int, min: -5 }, '-5', -5],
    [int, '-0', 0],
    [int, '"3"', 3],
    [{ ...int, unit: 'bytes' }, '64M', 64 << 20],
    [{ ...int, unit: 'bytes' }, '2g', 2 ** 31],
    [{ ...int, unit: 'seconds' }, '2h', 7200],
    [{ ...int, unit: 'seconds' }, '1w', 604_800],
    [bool, '0', false],
    [bool, '1', true],
    [bool, '0x0', false],
    [bool, 'Yes', true],
    [bool, 'on', true],
    [bool, 'TRUE', true],
    [bool, 'no', false],
    [bool, 'off', false],
    [bool, 'False', false],
    [string, '"a b"', 'a b'],
    [string, '""', ''],
    [string, '007', '007'],
    [choice, 'TCP', 'tcp'],
    [list, '192.168.1.0/24,1:2::/64', ['192.168.1.0/24', '1:2::/64']],
    [list, '"tcp, udp,,"', ['tcp', 'udp']],
    [list, '","', []],
  ])('of %o from %s', (spec, text, expected) => {
    expect(resolve(`[s]\nk=${text} # note`, { k: spec })).toEqual({ values: { k: expected }, problems: [] });
  });

  test('have the types of their options', () => {
    const { values } = resolve('', { int, bool, string, choice, list, lines: { type: 'lines', default: [], doc: '' } });
    expectTypeOf(values.int).toEqualTypeOf<number>();
    expectTypeOf(values.bool).toEqualTypeOf<boolean>();
    expectTypeOf(values.string).toEqualTypeOf<string>();
    expectTypeOf(values.choice).toEqualTypeOf<'file' | 'tcp' | 'udp'>();
    expectTypeOf(values.list).toEqualTypeOf<readonly string[]>();
    expect(values).toEqual({ int: 7, bool: false, string: 'd', choice: 'file', list: [], lines: [] });
  });
});

describe('a value that cannot be is an error, and the default stands', () => {
  test.each<[OptionSpec, string, string]>([
    [{ ...int, max: 65535 }, 'abc', '"abc" is not an integer (0-65535)'],
    [int, '1k', '"1k" is not an integer (0-4294967295)'],
    [{ ...int, unit: 'bytes' }, '1x', '"1x" is not an integer (0-4294967295 bytes)'],
    [{ ...int, unit: 'bytes' }, '4G', '"4G" is out of range (0-4294967295 bytes)'],
    [{ ...int, unit: 'seconds' }, '1k', '"1k" is not an integer (0-4294967295 seconds)'],
    [int, '08', '"08" is not an integer (0-4294967295)'],
    [int, '0x', '"0x" is not an integer (0-4294967295)'],
    [int, '1.5', '"1.5" is not an integer (0-4294967295)'],
    [int, '""', '"" is not an integer (0-4294967295)'],
    [int, '-1', '"-1" is out of range (0-4294967295)'],
    [{ ...int, min: -1, max: 10 }, '11', '"11" is out of range (-1 to 10)'],
    [int, '9'.repeat(40), `"${'9'.repeat(40)}" is out of range (0-4294967295)`],
    [bool, 'maybe', '"maybe" is neither yes nor no (1, 0, yes, no, on, off, true, false)'],
    [choice, 'tpc', '"tpc" is none of file, tcp, udp; did you mean "tcp"?'],
    [choice, 'kafka', '"kafka" is none of file, tcp, udp'],
  ])('%o from %s', (spec, text, message) => {
    const { values, problems } = resolve(`[s]\nk=${text}`, { k: spec });
    expect(problems).toEqual([`f:2:${text === '""' ? 4 : 3}: error: [s] k: ${message}`]);
    expect(values).toEqual({ k: spec.default });
  });
});

describe('what ulogd 2.0.8 takes', () => {
  const path = { type: 'string', path: 'file', default: '/var/log/x', doc: '' } as const;
  const folder = { type: 'string', path: 'folder', default: '', doc: '' } as const;

  test.each([
    [bool, '7', true, '"7" is neither 0 nor 1'],
    [bool, '-1', true, '"-1" is neither 0 nor 1'],
    [path, '""', '', 'empty, and must name a file'],
  ])('and is wrong, is an error; with compat a warning: %o from %s', (spec, text, taken, message) => {
    const read = (compat: boolean) => resolve(`[s]\nk=${text}\n`, { k: spec } as OptionSpecs, compat);
    expect(read(false).problems).toEqual([`f:2:${text === '""' ? 4 : 3}: error: [s] k: ${message}`]);
    expect(read(true).problems).toEqual([`f:2:${text === '""' ? 4 : 3}: warning: [s] k: ${message}`]);
    expect(read(true).values).toEqual({ k: taken });
  });

  test('a path that may be empty is none of it', () => {
    expect(resolve('[s]\nk=""\n', { k: folder }).problems).toEqual([]);
  });
});

describe('keys', () => {
  const specs = {
    group: int,
    pass: { type: 'secret', default: NO_SECRET, doc: '' },
    device: string,
  } as const satisfies OptionSpecs;

  test.each([
    {
      name: 'unknown',
      text: 'gruop=1',
      compat: false,
      wrong: ['f:2:1: error: [s] gruop: unknown option; did you mean "group"?'],
    },
    { name: 'unknown, as ulogd 2.0.8', text: 'x=1', compat: true, wrong: ['f:2:1: warning: [s] x: unknown option'] },
    {
      name: 'that objects have',
      text: 'toString=1',
      compat: false,
      wrong: ['f:2:1: error: [s] toString: unknown option'],
    },
    {
      name: 'given twice and thrice',
      text: 'group=1\n\ngroup=2\n group=3',
      compat: false,
      wrong: [
        'f:4:1: error: [s] group: given twice, in line 2 and in line 4',
        'f:5:2: error: [s] group: given twice, in line 2 and in line 5',
      ],
    },
    {
      name: 'whose value needs quotes',
      text: 'device=My firewall',
      compat: false,
      wrong: ['f:2:10: warning: [s] device: "firewall" after the value is ignored: put a value with blanks in quotes'],
    },
    {
      name: 'whose value is not for the log',
      text: 'pass="my" secret',
      compat: false,
      wrong: ['f:2:10: warning: [s] pass: text after the value is ignored: put a value with blanks in quotes'],
    },
  ])('$name', ({ text, compat, wrong }) => {
    expect(resolve(`[s]\n${text}\n`, specs, compat).problems).toEqual(wrong);
  });

  test('the first of two values stands', () => {
    expect(resolve('[s]\ngroup=1\ngroup=2\n', specs).values.group).toBe(1);
  });

  test('lines are all kept, in order', () => {
    const { values, problems } = resolve('[s]\nk=a b\nk=c\n', { k: { type: 'lines', default: [], doc: '' } });
    expect(values.k.map(({ value, line }) => [value, line])).toEqual([
      ['a', 2],
      ['c', 3],
    ]);
    expect(problems).toEqual([]);
  });
});

describe('what is required', () => {
  const specs = { db: { ...string, required: true }, port: int } as const;

  test.each([
    { name: 'is given', text: '[s]\ndb=x', wrong: [] },
    {
      name: 'is missed at the header of the section',
      text: '\n[s]\nport=1',
      wrong: ['f:2:2: error: [s] db: required'],
    },
    {
      name: 'is missed at the stack when there is no section',
      text: '',
      wrong: ['f:7:12: error: [s] db: required, but there is no section [s]'],
    },
  ])('$name', ({ text, wrong }) => {
    expect(resolve(text, specs).problems).toEqual(wrong);
  });
});

test('what is required unless another option is given may be missing then', () => {
  const specs = { db: { ...string, required: { unless: 'connstring' } }, connstring: string } as const;
  expect(resolve('[s]\nconnstring=x', specs).problems).toEqual([]);
  expect(resolve('[s]', specs).problems).toEqual(['f:1:2: error: [s] db: required']);
});
