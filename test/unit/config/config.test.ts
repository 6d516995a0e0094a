import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Config, loadConfig, parseConfig } from '../../../src/config/config.ts';
import { resolveOptions } from '../../../src/config/option.ts';
import { ConfigError, formatProblem } from '../../../src/config/problem.ts';

const known = (
  'NFLOG UNIXSOCK NFCT NFACCT IFINDEX IP2STR IP2BIN IP2HBIN PRINTPKT HWHDR PRINTFLOW MARK PWSNIFF LOGEMU SYSLOG XML ' +
  'SQLITE3 GPRINT OPRINT NACCT PCAP PGSQL MYSQL BASE GRAPHITE JSON'
).split(' ');
const path = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
const stacks = (config: Config): string[] =>
  config.stacks.map(({ steps }) => steps.map(({ id, plugin }) => `${id}:${plugin}`).join(','));
const problems = (text: string): string[] =>
  parseConfig(text, 'f', known).problems.map((problem) => formatProblem(problem));

describe('the configuration of an operator', () => {
  const config = loadConfig(path('operator.conf'), known);

  test('has no problem', () => {
    expect(config.problems).toEqual([]);
    expect(config.global).toMatchObject({ logfile: '/var/log/ulog/ulogd.log', loglevel: 3, compat: '' });
    expect(config.global.plugin).toHaveLength(22);
  });

  test('has the stacks that are not commented out', () => {
    expect(stacks(config)).toEqual([
      'log1:NFLOG,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,print1:PRINTPKT,emu1:LOGEMU',
      'log1:NFLOG,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,mac2str1:HWHDR,json1:JSON',
      'ct1:NFCT,ip2str1:IP2STR,print1:PRINTFLOW,emu2:LOGEMU',
      'ct2:NFCT,ip2str1:IP2STR,json2:JSON',
      'log2:NFLOG,base1:BASE,mark1:MARK,pcap1:PCAP',
      'acct1:NFACCT,graphite1:GRAPHITE',
    ]);
    expect(config.stacks.every(({ complete }) => complete)).toBe(true);
  });

  test.each([
    ['ct1', 'event_mask', '0x00000005'],
    ['ct1', 'accept_src_filter', '192.168.1.0/24,1:2::/64'],
    ['log1', 'group', '1'],
    ['json1', 'device', 'net-gw-07 (rack 3, left)'],
    ['mark1', 'mask', '0xff'],
    ['graphite1', 'prefix', 'netfilter.nfacct'],
  ])('[%s] %s', (section, key, value) => {
    expect(config.sections.get(section)?.entries.find((entry) => entry.key === key)?.value).toBe(value);
  });

  test('its sections become options', () => {
    const at = config.stacks[0]!.steps[0]!;
    const specs = {
      group: { type: 'int', default: 0, max: 65535, doc: '' },
      numeric_label: { type: 'int', default: 0, max: 255, doc: '' },
      bind: { type: 'bool', default: false, doc: '' },
    } as const;
    const { values, problems } = resolveOptions(config.sections.get(at.id), specs, { at, compat: false });
    expect(problems).toEqual([]);
    expect(values).toEqual({ group: 1, numeric_label: 8, bind: false });
  });
});

test('every problem of a file is shown where it is, in the order of the file', async () => {
  const { text, problems } = parseConfig(readFileSync(path('broken.conf'), 'utf8'), 'broken.conf', known);
  const report = problems.map((problem) => formatProblem(problem, text)).join('\n');
  await expect(`${report}\n`).toMatchFileSnapshot('broken.txt');
});

describe('[global]', () => {
  const rest = 'stack=l:NFLOG,j:JSON';

  test.each([
    {
      name: 'needs a stack',
      text: '[global]\nloglevel=3',
      wrong: ['f:1:2: error: [global] has no stack= line: nothing would be logged'],
    },
    {
      name: 'must be there',
      text: '',
      wrong: ['f:1:1: error: there is no section [global], which holds the stack= lines'],
    },
    {
      name: 'is spelled so',
      text: '[a]\n[Global]',
      wrong: ['f:2:2: error: there is no section [global], which holds the stack= lines; this is [Global]'],
    },
    {
      name: 'no longer has what ulogd 1 had, and says where it is now',
      text: `[global]\n${rest}\nrmem=131071`,
      wrong: [
        'f:3:1: error: [global] rmem: unknown option; ulogd 1 had it; write netlink_socket_buffer_size= into the section of the NFLOG input',
      ],
    },
    { name: 'has few keys', text: `[global]\n${rest}\nx=1`, wrong: ['f:3:1: error: [global] x: unknown option'] },
    {
      name: 'ignores others where ulogd 2.0.8 does',
      text: `[global]\nx=1\n${rest}\ncompat="ulogd-2.0.8"`,
      wrong: ['f:2:1: warning: [global] x: unknown option'],
    },
    {
      name: 'takes the first of its name',
      text: `[global]\n${rest}\n[global]\nstack=x`,
      wrong: ['f:3:1: warning: [global] is ignored: the section in line 1 has that name'],
    },
  ])('$name', ({ text, wrong }) => {
    expect(problems(text)).toEqual(wrong);
  });

  test('has defaults, also when it is missing', () => {
    const expected = { logfile: '', loglevel: 5, plugin: [], compat: '' };
    expect(parseConfig(`[global]\n${rest}`, 'f', known).global).toMatchObject(expected);
    expect(parseConfig('', 'f', known).global).toMatchObject(expected);
  });

  test.each([
    ['/usr/lib/ulogd/ulogd_inppkt_NFLOG.so', undefined],
    ['ulogd_raw2packet_BASE.so', undefined],
    ['"/no/such/dir/ulogd_inpflow_NFCT.so"', undefined],
    ['/usr/lib/ulogd_output_JSN.so', 'unknown plugin "JSN"; did you mean "JSON"?'],
    ['/usr/lib/ulogd_inppkt_ULOG.so', undefined], // only a stack that needs it is in trouble
    ['JSON', '"JSON" is not the path of an ulogd plugin'],
  ])('plugin=%s', (value, message) => {
    const column = value.startsWith('"') ? 9 : 8;
    const wrong = message === undefined ? [] : [`f:2:${column}: warning: plugin: ${message}`];
    expect(problems(`[global]\nplugin=${value}\n${rest}`)).toEqual(wrong);
  });
});

test('a file that cannot be read is a ConfigError', () => {
  expect(() => loadConfig('/no/such/ulogd.conf', known)).toThrow(
    new ConfigError([
      {
        file: '/no/such/ulogd.conf',
        line: 0,
        column: 0,
        message: 'cannot be read: ENOENT: no such file or directory',
        severity: 'error',
      },
    ]),
  );
});

describe('any text', () => {
  const words = [
    '[',
    ']',
    '[global]',
    'stack',
    '=',
    ' ',
    '\t',
    '"',
    '#',
    ',',
    ':',
    'l:NFLOG',
    'JSON',
    'loglevel',
    '\n',
    '\r\n',
    '\0',
    '\ufeff',
  ];
  const text = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 200 }),
    fc.array(fc.constantFrom(...words), { maxLength: 60 }).map((parts) => parts.join('')),
    fc.array(fc.constantFrom(...words), { maxLength: 60 }).map((parts) => `[global]\n${parts.join('')}`),
  );

  test('is parsed without a throw, and every place is within it', () => {
    fc.assert(
      fc.property(text, (text) => {
        const config = parseConfig(text, 'f', known);
        const lines = text.replace(/^\ufeff/, '').split('\n');
        const places = [
          ...config.problems,
          ...config.stacks.flatMap((stack) => [stack, ...stack.steps]),
          ...[...config.sections.values()].flatMap((section) => [section, ...section.entries]),
        ];
        for (const { line, column } of places) {
          expect(line).toBeGreaterThanOrEqual(1);
          expect(line).toBeLessThanOrEqual(lines.length);
          expect(column).toBeGreaterThanOrEqual(1);
          expect(column).toBeLessThanOrEqual(lines[line - 1]!.length + 1);
        }
        for (const problem of config.problems) formatProblem(problem, text);
      }),
      { numRuns: 3000 },
    );
  });

  test('of which words are cut stands where the places say', () => {
    fc.assert(
      fc.property(text, (text) => {
        const config = parseConfig(text, 'f', known);
        const lines = text.replace(/^\ufeff/, '').split('\n');
        const at = (line: number, column: number, word: string) =>
          expect(lines[line - 1]!.slice(column - 1, column - 1 + word.length)).toBe(word);
        for (const section of config.sections.values()) {
          at(section.line, section.column, section.name);
          for (const entry of section.entries) {
            at(entry.line, entry.column, entry.key);
            at(entry.line, entry.valueColumn, entry.value);
          }
        }
        for (const { line, column, id, plugin } of config.stacks.flatMap(({ steps }) => steps)) {
          at(line, column, `${id}:${plugin}`);
        }
      }),
      { numRuns: 2000 },
    );
  });

  test('of a megabyte is read to its end', () => {
    for (const unit of ['stack=', '[', '"', '#', 'a:NFLOG,', '[a]\n', 'stack=a:NFLOG,b:JSON\n', 'x\n', ' ']) {
      const long = `[global]\nstack=${unit.repeat(1e6 / unit.length)}`;
      expect(parseConfig(long, 'f', known).file).toBe('f');
    }
  });
});
