import { describe, expect, test } from 'vitest';
import { readArguments, UsageError } from '../../../src/cli/arguments.ts';
import { commandNames, helpText, usageExitCode } from '../../../src/cli/help.ts';

describe('help', () => {
  test.each(commandNames)('%s has its own, however it is asked for', (name) => {
    for (const words of [
      [name, '--help'],
      [name, '-h'],
      [name, 'operand', '--help'],
      ['help', name],
    ]) {
      expect(readArguments(words)).toEqual({ command: 'help', about: name });
    }
    expect(helpText(name)).toMatch(new RegExp(`^Usage: flowlogd ${name}\\b[^]*\\.\n[^]*\n$`));
  });

  test('on what is no command is an error that names the nearest', () => {
    expect(() => readArguments(['help', 'stauts'])).toThrow('unknown command "stauts"; did you mean "status"?');
    expect(readArguments(['help'])).toEqual({ command: 'help' });
  });

  test('of the program names every command, and fits a terminal', () => {
    const text = helpText();
    for (const name of commandNames) expect(text).toContain(`flowlogd ${name}`);
    for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(100);
  });

  test('every command of it is one that is understood', () => {
    for (const name of commandNames) {
      let message = '';
      try {
        readArguments([name, '--no-such-flag', 'x', 'y', 'z']);
      } catch (error) {
        message = (error as Error).message;
      }
      expect(message, name).not.toBe('');
      expect(message, name).not.toContain('unknown command');
    }
  });
});

describe('who-had', () => {
  test('takes address, time and files, in any order', () => {
    const words = [
      'who-had',
      '--at',
      '1795255425',
      '192.0.2.7:40000',
      'a',
      '--proto',
      'tcp',
      '--within=5s',
      '-',
      '--json',
    ];
    expect(readArguments(words)).toEqual({
      command: 'who-had',
      address: '192.0.2.7:40000',
      at: '1795255425',
      protocol: 'tcp',
      within: '5s',
      json: true,
      files: ['a', '-'],
    });
  });

  test.each([
    [[], 'who-had takes one ADDRESS'],
    [['192.0.2.7', 'file'], 'who-had needs --at TIME'],
    [['192.0.2.7', '--at', '1795255425'], 'who-had takes the FILES to search; - is stdin'],
  ])('says what is missing: %j', (words, message) => {
    expect(() => readArguments(['who-had', ...words])).toThrow(new UsageError(message));
  });
});

test('a command line that is wrong is never taken for an answer', () => {
  expect([undefined, '-x', 'check', 'status', 'doctor', 'who-had'].map(usageExitCode)).toEqual([1, 1, 1, 2, 2, 2]);
});
