import { describe, expect, test } from 'vitest';
import { imbalances, outputLedgers, Past } from '../../../src/pipeline/books.ts';
import type { OutputAccount } from '../../../src/pipeline/ledger.ts';
import type { OutputPlugin } from '../../../src/pipeline/plugin.ts';
import { filter, input, link, output } from '../../support/stacks.ts';

/** An output that keeps its books in `account`. */
function bookkeeper(name: string, account: () => OutputAccount): OutputPlugin {
  const plain = output(name, {});
  return { ...plain, link: (linking) => ({ ...plain.link(linking), account }) };
}

const books = { sink: {}, written: 0, queued: 0, dropped: {}, bytes: 0 };

describe('a ledger', () => {
  test('names for every output where its events went, and each sum holds', () => {
    let seen = 0;
    const source = input('IN', { a: { type: 'u32', doc: '' } });
    const sieve = filter('SIEVE', { act: () => ++seen % 2 === 0 });
    const faulty = filter('FAULTY', {
      act: () => {
        if (seen % 5 === 0) throw new Error('a test');
        return true;
      },
    });
    let account: OutputAccount = books;
    const lines = ['in:IN,s:SIEVE,f:FAULTY,b:BOOKS', 'in:IN,p:PLAIN'];
    const keeper = bookkeeper('BOOKS', () => account);
    const sources = link(lines, [source, sieve, faulty, keeper, output('PLAIN')]);
    for (let i = 0; i < 20; i++) source.linked[0]?.deliver.event();
    account = { ...books, written: 3, queued: 2, spooled: 1, dropped: { 'queue full': 1, 'spool full': 1 } };
    const [first, second] = outputLedgers(sources[0] as never);
    expect(first).toEqual({
      name: 'b:BOOKS',
      received: 20,
      filtered: { 's:SIEVE': 10 },
      failed: { 'f:FAULTY': 2 },
      taken: 8,
      written: 3,
      queued: 2,
      spooled: 1,
      dropped: { 'queue full': 1, 'spool full': 1 },
      bytes: 0,
    });
    expect(second).toMatchObject({ name: 'p:PLAIN', taken: 20, written: 20 });
    expect(imbalances(sources)).toEqual([]);
    account = { ...account, written: 4 };
    expect(imbalances(sources)).toEqual(['in:IN … b:BOOKS took 8 events, and 9 are accounted for']);
  });

  test('keeps what a plugin that could not start has cost, also when its input is gone', () => {
    const source = input('IN', { a: { type: 'u32', doc: '' } });
    const sources = link(['in:IN,p:PLAIN', 'in:IN,q:PLAIN'], [source, output('PLAIN')]);
    sources[0]?.program.disable(1);
    for (let i = 0; i < 4; i++) source.linked[0]?.deliver.event();
    const past = new Past();
    past.add(sources[0] as never);
    expect(past.failed).toBe(4);
  });

  test('counts what reaches a plugin that could not start as failed, not as filtered', () => {
    const source = input('IN', { a: { type: 'u32', doc: '' } });
    const sources = link(['in:IN,p:PLAIN', 'in:IN,q:PLAIN'], [source, output('PLAIN')]);
    sources[0]?.program.disable(1);
    for (let i = 0; i < 4; i++) source.linked[0]?.deliver.event();
    expect(outputLedgers(sources[0] as never)).toMatchObject([
      { name: 'p:PLAIN', filtered: {}, failed: {}, taken: 4 },
      { name: 'q:PLAIN', filtered: {}, failed: { 'q:PLAIN': 4 }, taken: 0 },
    ]);
    expect(imbalances(sources)).toEqual([]);
  });

  test('counts the events of outputs that share a destination together', () => {
    const source = input('IN', { a: { type: 'u32', doc: '' } });
    const other = input('ELSE', { a: { type: 'u32', doc: '' } });
    const account = { ...books, written: 5 };
    const keeper = bookkeeper('BOOKS', () => account);
    const sources = link(['in:IN,b:BOOKS', 'two:ELSE,b:BOOKS'], [source, other, keeper]);
    for (let i = 0; i < 3; i++) source.linked[0]?.deliver.event();
    expect(imbalances(sources)).toEqual([
      'in:IN … b:BOOKS and two:ELSE … b:BOOKS took 3 events, and 5 are accounted for',
    ]);
    for (let i = 0; i < 2; i++) other.linked[0]?.deliver.event();
    expect(imbalances(sources)).toEqual([]);
  });
});

describe('a gap', () => {
  const gap = { input: 'in', from: 1, to: 2, lost: 3, exact: true, cause: 'socket overrun' };

  function told(environment: { compat?: boolean; gapRecords?: boolean }): string[] {
    const source = input('IN', { a: { type: 'u32', doc: '' } });
    const heard: string[] = [];
    const listener = (name: string): OutputPlugin => {
      const plain = output(name, {});
      return { ...plain, link: (l) => ({ ...plain.link(l), gap: ({ lost }) => void heard.push(`${l.id} ${lost}`) }) };
    };
    const lines = ['in:IN,a:ONE', 'in:IN,a:ONE', 'in:IN,b:ONE', 'in:IN,c:DEAF'];
    link(lines, [source, listener('ONE'), output('DEAF')], environment);
    source.linked[0]?.deliver.gap(gap);
    expect(source.linked[0]?.deliver.ledger.gaps).toBe(1);
    return heard;
  }

  test('is told to every output once, however many stacks lead to it', () => {
    expect(told({})).toEqual(['a 3', 'b 3']);
  });

  test('is told to none with gap_records=0 or compat, and counted all the same', () => {
    expect(told({ gapRecords: false })).toEqual([]);
    expect(told({ compat: true })).toEqual([]);
  });
});
