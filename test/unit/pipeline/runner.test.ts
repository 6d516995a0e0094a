// Sources that come and go beside others that run.
import { beforeEach, expect, test } from 'vitest';
import type { Service } from '../../../src/pipeline/plugin.ts';
import { Runner } from '../../../src/pipeline/runner.ts';
import { input, link, output } from '../../support/stacks.ts';

let notes: string[] = [];
beforeEach(() => {
  notes = [];
});

/** A service that notes what is done with it. */
const noting = (name: string, more: Service = {}): Service => ({
  start(inherited) {
    notes.push(inherited === undefined ? `${name} starts` : `${name} goes on with ${inherited}`);
  },
  flush: () => void notes.push(`${name} flushes`),
  stop: () => void notes.push(`${name} stops`),
  ...more,
});

function plugins(version: string, { handsOver = true } = {}) {
  const IN = input('IN', []);
  const heir: Service = handsOver ? { handOver: () => `the socket of ${version}` } : {};
  const OUT = output('OUT');
  return [
    { ...IN, link: () => noting(`${version} input`, heir) },
    { ...OUT, link: () => ({ run: () => true, ...noting(`${version} output`) }) },
  ];
}

const log = (errors: string[]) => ({
  debug() {},
  info() {},
  notice() {},
  error: (message: string) => void errors.push(message),
  isDebug: () => false,
});

async function replaced(settings: Parameters<typeof plugins>[1], line = 'in:IN,out:OUT') {
  const errors: string[] = [];
  const runner = new Runner(log(errors));
  const old = link(['in:IN,out:OUT'], plugins('old', settings));
  await runner.change([], old);
  notes = [];
  const outputs = await runner.change(old, link([line], plugins('new', settings)));
  await runner.stop();
  return { outputs, errors };
}

test('an input of the same name and options hands its socket over, when the outputs behind are open', async () => {
  const { outputs } = await replaced({});
  expect(outputs).toBe(1);
  expect(notes.slice(0, 3)).toEqual([
    'new output starts',
    'new input goes on with the socket of old',
    'old output stops',
  ]);
  expect(notes).not.toContain('old input stops');
});

test('an input that cannot hand over closes before its successor opens', async () => {
  await replaced({ handsOver: false });
  expect(notes.slice(0, 4)).toEqual(['new output starts', 'old input stops', 'new input starts', 'old output stops']);
});

test('an input of another name closes before the new one opens', async () => {
  await replaced({}, 'other:IN,out:OUT');
  expect(notes.slice(0, 4)).toEqual(['new output starts', 'old input stops', 'new input starts', 'old output stops']);
});

test('an output that finds open what its predecessor holds starts when that one has closed it', async () => {
  const errors: string[] = [];
  const runner = new Runner(log(errors));
  const old = link(['in:IN,out:OUT'], plugins('old'));
  await runner.change([], old);
  const [IN, OUT] = plugins('new');
  const locked = {
    ...(OUT as object),
    link: () => ({
      run: () => true,
      start() {
        if (!notes.includes('old output stops')) throw new Error('it is locked');
        notes.push('new output starts');
      },
    }),
  };
  const fresh = link(['in:IN,out:OUT'], [IN, locked] as never);
  expect(await runner.change(old, fresh)).toBe(1);
  expect(notes.slice(-3)).toEqual([
    'new input goes on with the socket of old',
    'old output stops',
    'new output starts',
  ]);
  expect(errors).toEqual([]);
  await runner.stop();
});

test('an input that fails to start is stopped: what it had opened by then would stay open', async () => {
  const errors: string[] = [];
  const [IN, OUT] = plugins('new');
  const start = () => {
    notes.push('new input opens one of two');
    throw new Error('the namespace is gone');
  };
  const failing = { ...(IN as object), link: () => noting('new input', { start }) };
  const runner = new Runner(log(errors));
  expect(await runner.change([], link(['in:IN,out:OUT'], [failing, OUT] as never))).toBe(0);
  expect(notes).toEqual(['new output starts', 'new input opens one of two', 'new input stops']);
  expect(errors).toEqual([expect.stringContaining('the namespace is gone')]);
  await runner.stop();
});

test('a source that is told to go while it comes is gone in the end', async () => {
  const runner = new Runner(log([]));
  const sources = link(['in:IN,out:OUT'], plugins('old'));
  const coming = runner.change([], sources);
  await runner.change(sources, []);
  await coming;
  expect(notes).toEqual(['old output starts', 'old input starts', 'old input stops', 'old output stops']);
  expect(runner.sources).toEqual([]);
});

test('what sources counted that are gone is kept', async () => {
  const IN = input('IN', []);
  const runner = new Runner(log([]));
  const sources = link(['in:IN,out:OUT'], [IN, output('OUT')]);
  await runner.change([], sources);
  for (let i = 0; i < 3; i++) IN.linked[0]!.deliver.event();
  await runner.change(sources, []);
  expect(runner.snapshot().past).toMatchObject({ inputs: 1, events: 3 });
  expect(runner.snapshot().inputs).toEqual([]);
});
