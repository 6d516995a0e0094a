import { expect, test } from 'vitest';
import { readArguments } from '../../../src/cli/arguments.ts';

test.each([
  ['netns', { command: 'netns', name: '', json: false }],
  ['netns --json -c /etc/f.conf', { command: 'netns', name: '', json: true, configFile: '/etc/f.conf' }],
  ['attach qrouter-1', { command: 'attach', name: 'qrouter-1', json: false }],
  ['detach qrouter-1 --control /run/c', { command: 'detach', name: 'qrouter-1', json: false, control: '/run/c' }],
])('flowlogd %s', (line, expected) => {
  expect(readArguments(line.split(' '))).toEqual(expected);
});

test.each([
  ['attach', 'attach takes one NAME'],
  ['detach a b', 'detach takes one NAME'],
  ['netns -c a --control b', 'netns takes -c or --control, not both'],
])('flowlogd %s: %s', (line, message) => {
  expect(() => readArguments(line.split(' '))).toThrow(message);
});
