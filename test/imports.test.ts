import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { expect, test } from 'vitest';

const src = resolve(import.meta.dirname, '../src');

/** Who may import whom: a room imports from rooms on later lines, or from itself. */
const ALTITUDE = [
  ['main.ts'],
  ['cli'],
  ['input', 'filter', 'output'],
  ['doctor', 'who-had'],
  ['pipeline', 'database', 'delivery', 'router', 'neutron', 'system', 'control'],
  ['config', 'wire'],
];
const altitudeOf = (file: string): number =>
  ALTITUDE.findIndex((rooms) => rooms.includes(file.split('/')[0] as string));

const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
const imports = files.flatMap((file) =>
  [...readFileSync(join(src, file), 'utf8').matchAll(/(?:from|import\() ?'(\.[^']+)'/g)].map((match) => ({
    from: file,
    to: relative(src, resolve(src, dirname(file), match[1] as string)),
  })),
);

test('imports go one way: main, cli, plugins, pipeline and system, config and wire', () => {
  const wrong = imports.filter(({ from, to }) => altitudeOf(to) < altitudeOf(from));
  expect(wrong).toEqual([]);
});

test('a plugin imports no plugin of another role, and pipeline knows none', () => {
  const rooms = ALTITUDE[2] as string[];
  const roomOf = (file: string) => file.split('/')[0] as string;
  const wrong = imports.filter(
    ({ from, to }) => rooms.includes(roomOf(to)) && roomOf(from) !== roomOf(to) && roomOf(from) !== 'cli',
  );
  expect(wrong).toEqual([]);
});

test('config and wire import nothing of ours but themselves', () => {
  const wrong = imports.filter(
    ({ from, to }) => /^(config|wire)\//.test(from) && from.split('/')[0] !== to.split('/')[0],
  );
  expect(wrong).toEqual([]);
});

test('every file has one reason to exist: none is longer than 500 lines', () => {
  const long = files.filter((file) => readFileSync(join(src, file), 'utf8').split('\n').length > 500);
  expect(long).toEqual([]);
});
