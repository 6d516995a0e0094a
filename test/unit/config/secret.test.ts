import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterAll, describe, expect, test } from 'vitest';
import { parseConfig } from '../../../src/config/config.ts';
import { resolveOptions } from '../../../src/config/option.ts';
import { formatProblem } from '../../../src/config/problem.ts';
import { NO_SECRET, Secret } from '../../../src/config/secret.ts';

const folder = mkdtempSync(join(tmpdir(), 'flowlogd-secret-'));
afterAll(() => rmSync(folder, { recursive: true }));
const specs = { pass: { type: 'secret', default: NO_SECRET, doc: '' } } as const;

function write(name: string, text: string, mode = 0o600): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
}

/** Reads `pass=…` and everything that could be printed about it. */
function read(line: string) {
  const config = parseConfig(`[global]\nstack=a:NFLOG\n[db]\n${line}\n`, 'f', ['NFLOG']);
  const at = { file: 'f', line: 1, column: 1, id: 'db' };
  const { values, problems } = resolveOptions(config.sections.get('db'), specs, { at, compat: false });
  const printed = [...config.problems, ...problems].map((problem) => formatProblem(problem, config.text)).join('\n');
  return { pass: values.pass, printed };
}

describe('the text of a secret', () => {
  test('stands in the configuration, in a file or in the environment', () => {
    process.env.FLOWLOGD_TEST_SECRET = 'from the environment';
    expect(read('pass="with = and #"').pass.reveal()).toBe('with = and #');
    expect(read('pass=env:FLOWLOGD_TEST_SECRET').pass.reveal()).toBe('from the environment');
    expect(read(`pass="file:${write('a', 'from a file\n')}"`).pass.reveal()).toBe('from a file');
    expect(NO_SECRET.isEmpty).toBe(true);
    expect(NO_SECRET.reveal()).toBe('');
  });

  test('is read anew from its file, and stays when the file cannot be read any more', () => {
    const path = write('b', 'first');
    const secret = new Secret(`file:${path}`);
    expect(secret.reveal()).toBe('first');
    writeFileSync(path, 'second\n');
    expect(secret.reveal()).toBe('second');
    rmSync(path);
    expect(secret.reveal()).toBe('second');
  });

  test('that is missing is named by its place', () => {
    expect(() => new Secret('env:FLOWLOGD_NOT_SET').reveal()).toThrow('variable FLOWLOGD_NOT_SET is not set');
    expect(() => new Secret('file:/nowhere/at/all').reveal()).toThrow('ENOENT: no such file or directory (/nowhere');
    expect(() => new Secret(`file:${write('c', '\nsecond line')}`).reveal()).toThrow('is empty');
  });
});

describe('what is said about it', () => {
  test('an impossible place is an error, one that is out of reach now a warning', () => {
    expect(read('pass=env:').printed).toContain('error: [db] pass: env: is followed by the name');
    expect(read('pass=file:relative').printed).toContain('error: [db] pass: file: is followed by an absolute path');
    expect(read('pass=env:FLOWLOGD_NOT_SET').printed).toContain('warning: [db] pass: the environment variable');
    expect(read('pass=file:/nowhere').printed).toContain('warning: [db] pass: cannot read the secret');
    expect(read('pass=file:/dev/zero').printed).toContain('cannot read the secret: it is no regular file (/dev/zero)');
    expect(read(`pass=file:${write('d', 'x', 0o644)}`).printed).toContain('warning: [db] pass: every user can read');
    expect(read(`pass=file:${write('e', 'x', 0o640)}`).printed).toBe('');
  });

  test.each([
    'pass="hunter2" hunter2',
    'pass="hunter2',
    'pass=x\npass=hunter2',
    'pas=hunter2',
    'PASSWORD = hunter2',
    'pass= #hunter2',
    'pass==hunter2 hunter2',
    '"pass"="hunter2" hunter2',
    'pass="hunter2\u0007"',
  ])('no message holds the text of %j', (line) => {
    const { printed } = read(line);
    expect(printed).toMatch(/(error|warning): /);
    expect(printed).not.toContain('hunter2');
    expect(printed).toContain('***');
  });

  test('it prints as stars wherever it goes', () => {
    const secret = new Secret('hunter2');
    for (const text of [`${secret}`, JSON.stringify({ secret }), inspect({ secret }), String(secret)]) {
      expect(text).toContain('***');
      expect(text).not.toContain('hunter2');
    }
  });
});
