import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { Past } from '../../../src/pipeline/books.ts';
import type { OutputAccount } from '../../../src/pipeline/ledger.ts';
import { Rates } from '../../../src/pipeline/rates.ts';
import { countersOf, joinSnapshots, takeSnapshot } from '../../../src/pipeline/snapshot.ts';
import { input, link, output } from '../../support/stacks.ts';

describe('rates', () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  test('are what came over the last five to ten seconds, and over less when there was less', () => {
    const subject = {};
    let count = 0;
    const rates = new Rates(() => new Map([[subject, count]]));
    rates.start();
    const run = (seconds: number, each: number) => {
      for (let i = 0; i < seconds * 10; i++) {
        count += each / 10;
        vi.advanceTimersByTime(100);
      }
    };
    run(2, 100);
    expect(rates.of(subject, count)).toBeCloseTo(100);
    run(10, 100);
    expect(rates.of(subject, count)).toBeCloseTo(100);
    run(10, 0);
    expect(rates.of(subject, count)).toBe(0);
    run(5, 40);
    expect(rates.of(subject, count)).toBeGreaterThan(20);
    rates.stop();
    expect(vi.getTimerCount()).toBe(0);
  });

  test('of what was not there at the last sample count from there', () => {
    const rates = new Rates(() => new Map());
    rates.start();
    vi.advanceTimersByTime(2000);
    expect(rates.of({}, 10)).toBeCloseTo(5);
  });
});

describe('a snapshot', () => {
  const account: OutputAccount = {
    sink: {},
    written: 3,
    queued: 1,
    dropped: { 'queue full': 1 },
    bytes: 99,
    connected: true,
  };
  const keeper = { ...output('BOOKS', {}), link: () => ({ run: () => true, account: () => account }) };

  test('has a destination once, whatever feeds it, and the sums on both sides', () => {
    const one = input('ONE', { a: { type: 'u32', doc: '' } });
    const two = input('TWO', { a: { type: 'u32', doc: '' } });
    const sources = link(['a:ONE,b:BOOKS', 'c:TWO,b:BOOKS', 'c:TWO,p:PLAIN'], [one, two, keeper, output('PLAIN')]);
    for (let i = 0; i < 2; i++) one.linked[0]?.deliver.event();
    for (let i = 0; i < 3; i++) two.linked[0]?.deliver.event();
    const rates = new Rates(() => countersOf(sources, new Past()));
    const told = takeSnapshot(sources, new Past(), rates, () => undefined);
    expect(told.inputs.map(({ name, events, stacks }) => [name, events, stacks.map(({ output }) => output)])).toEqual([
      ['a:ONE', 2, ['b:BOOKS']],
      ['c:TWO', 3, ['b:BOOKS', 'p:PLAIN']],
    ]);
    expect(told.outputs).toMatchObject([
      {
        name: 'b:BOOKS',
        inputs: ['a:ONE', 'c:TWO'],
        taken: 5,
        written: 3,
        queued: 1,
        spooled: 0,
        connected: true,
        bytes: 99,
      },
      { name: 'p:PLAIN', inputs: ['c:TWO'], taken: 3, written: 3 },
    ]);
    expect(told.imbalances).toEqual([]);
    expect(JSON.parse(JSON.stringify(told)), 'plain enough for threads and sockets').toEqual(told);
    expect(structuredClone(told)).toEqual(told);
  });

  test('says what does not run, and of several threads all', () => {
    const source = input('ONE', { a: { type: 'u32', doc: '' } });
    const sources = link(['a:ONE,p:PLAIN'], [source, output('PLAIN')]);
    const rates = new Rates(() => new Map());
    const told = takeSnapshot(sources, new Past(), rates, (_, stage) => (stage === undefined ? 'no right' : undefined));
    expect(told.inputs[0]?.failure).toBe('no right');
    expect(told.outputs[0]).not.toHaveProperty('failure');
    expect(joinSnapshots([told, told]).threads).toHaveLength(2);
  });
});
