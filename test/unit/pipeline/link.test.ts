import { afterEach, describe, expect, test, vi } from 'vitest';
import { summary } from '../../../src/cli/summary.ts';
import { defineOutput } from '../../../src/pipeline/plugin.ts';
import type { Record } from '../../../src/pipeline/record.ts';
import { Runner } from '../../../src/pipeline/runner.ts';
import { type Act, filter, input, link, output } from '../../support/stacks.ts';

afterEach(() => void vi.useRealTimers());

describe('events', () => {
  test('values go from writer to reader, and are forgotten before the next event', () => {
    const seen: (number | undefined)[] = [];
    const IN = input('IN', ['a', 'b']);
    const SUM = filter('SUM', {
      reads: ['a', 'b?'],
      writes: ['sum'],
      act(record, { read, write }) {
        const b = numberAt(record, read.b) ?? 0;
        record.setNumber(write.sum!, record.value[read.a!]! + b);
        return true;
      },
    });
    const OUT = output('OUT', {
      reads: ['sum', 'b?'],
      act(record, { read }) {
        seen.push(numberAt(record, read.sum), numberAt(record, read.b));
        return true;
      },
    });
    link(['in:IN,sum:SUM,out:OUT'], [IN, SUM, OUT]);
    const { record, write, deliver } = IN.linked[0]!;
    record.setNumber(write.a!, 3);
    record.setNumber(write.b!, 4);
    deliver.event();
    record.setNumber(write.a!, 10);
    deliver.event();
    expect(seen).toEqual([7, 4, 10, undefined]);
  });

  test('an optional key that nobody writes is never valid, whatever is written to keys that nobody reads', () => {
    const seen: (number | undefined)[] = [];
    const IN = input('IN', ['unread']);
    const OUT = output('OUT', {
      reads: ['absent?'],
      act: (record, { read }) => seen.push(numberAt(record, read.absent)) > 0,
    });
    link(['in:IN,out:OUT'], [IN, OUT]);
    const { record, write, deliver, wanted } = IN.linked[0]!;
    record.setNumber(write.unread!, 1);
    deliver.event();
    expect(wanted('unread')).toBe(false);
    expect(seen).toEqual([undefined]);
  });

  test('a plugin can ask whether anybody reads a key', () => {
    const IN = input('IN', ['read', 'unread']);
    link(['in:IN,out:OUT'], [IN, output('OUT', { reads: ['read'] })]);
    const { wanted } = IN.linked[0]!;
    expect([wanted('read'), wanted('unread')]).toEqual([true, false]);
  });

  test('what stacks begin with runs once an event, each output for itself', () => {
    const ran: string[] = [];
    const note =
      (name: string): Act =>
      () =>
        ran.push(name) > 0;
    const IN = input('IN', []);
    const F = filter('F', { act: note('f') });
    const [X, Y] = [output('X', { act: note('x') }), output('Y', { act: note('y') })];
    const sources = link(['in:IN,f:F,x:X', 'in:IN,f:F,y:Y', 'in:IN,y:Y'], [IN, F, X, Y]);
    expect(sources).toHaveLength(1);
    expect(IN.linked).toHaveLength(1);
    IN.linked[0]!.deliver.event();
    expect(ran).toEqual(['f', 'x', 'y', 'y']);
    expect(sources[0]!.counts.received).toBe(1);
  });

  test('two inputs have records of their own', () => {
    const IN = input('IN', ['a']);
    const seen: number[] = [];
    const OUT = output('OUT', { reads: ['a'], act: (record, { read }) => seen.push(record.value[read.a!]!) > 0 });
    link(['one:IN,out:OUT', 'two:IN,out:OUT'], [IN, OUT]);
    const [one, two] = IN.linked;
    one!.record.setNumber(one!.write.a!, 1);
    two!.record.setNumber(two!.write.a!, 2);
    one!.deliver.event();
    two!.deliver.event();
    expect(seen).toEqual([1, 2]);
  });
});

describe('failures', () => {
  const IN = () => input('IN', []);
  const BAD = output('BAD', {
    act() {
      throw new Error('broken on purpose');
    },
  });

  test('an output that throws does not stop the others, and is named at most once a second', () => {
    vi.useFakeTimers({ toFake: ['performance'] });
    const [IN1, GOOD] = [IN(), output('GOOD')];
    const errors: string[] = [];
    const [source] = link(['in:IN,bad:BAD', 'in:IN,good:GOOD'], [IN1, BAD, GOOD], { errors });
    const { deliver } = IN1.linked[0]!;
    for (let i = 0; i < 5; i++) {
      deliver.event();
      vi.advanceTimersByTime(400);
    }
    // at 0 ms and at 1200 ms
    expect(errors).toHaveLength(2);
    expect(errors[0]).toMatch(/^bad:BAD: an event failed here and was counted: Error: broken on purpose\n/);
    expect(summary([source!])).toEqual([
      'in:IN: 5 events received',
      '  bad:BAD: 0 written, 5 failed in bad:BAD',
      '  good:GOOD: 5 written',
    ]);
  });

  test('each plugin that throws is named, however often another one did', () => {
    const IN1 = IN();
    const errors: string[] = [];
    link(['in:IN,one:BAD', 'in:IN,two:BAD'], [IN1, BAD], { errors });
    IN1.linked[0]!.deliver.event();
    IN1.linked[0]!.deliver.event();
    expect(errors.map((line) => line.split(':')[0])).toEqual(['one', 'two']);
  });

  test('every event of an output is written, stopped or failed', () => {
    const IN1 = IN();
    let turn = 0;
    const SIEVE = filter('SIEVE', { act: () => turn++ % 2 === 0 });
    const THIRD = filter('THIRD', {
      act() {
        if (turn % 3 === 0) throw new Error('every third');
        return true;
      },
    });
    const [OUT] = [output('OUT')];
    const [source] = link(['in:IN,sieve:SIEVE,third:THIRD,out:OUT'], [IN1, SIEVE, THIRD, OUT]);
    for (let i = 0; i < 12; i++) IN1.linked[0]!.deliver.event();
    expect(summary([source!])).toEqual([
      'in:IN: 12 events received',
      '  out:OUT: 4 written, 6 stopped by sieve:SIEVE, 2 failed in third:THIRD',
    ]);
  });
});

describe('services', () => {
  /** An output that shares a list of what happened with all of its id. */
  const NOTES = defineOutput({
    name: 'NOTES',
    summary: 'For a test.',
    example: '',
    accepts: ['packet'],
    options: {},
    reads: {},
    link({ id, shared }) {
      const notes = shared(() => {
        made.push(id);
        return [] as string[];
      });
      notesOf.set(id, notes);
      return {
        run: () => notes.push('run') > 0,
        flush: () => void notes.push('flush'),
        reopen: () => void notes.push('reopen'),
        signal: () => void notes.push('signal'),
        stop: () => void notes.push('stop'),
        start() {
          if (id === 'cannot') throw new Error('no such file');
          notes.push('start');
        },
      };
    },
  });
  const made: string[] = [];
  const notesOf = new Map<string, string[]>();

  afterEach(() => {
    made.length = 0;
    notesOf.clear();
  });

  test('two stacks that name the same output share what it opens; another id has its own', () => {
    const IN = input('IN', []);
    link(['in:IN,n:NOTES', 'other:IN,n:NOTES', 'in:IN,m:NOTES'], [IN, NOTES]);
    expect(made.sort()).toEqual(['m', 'n']);
    for (const { deliver } of IN.linked) deliver.event();
    expect(notesOf.get('n')).toEqual(['run', 'run']);
    expect(notesOf.get('m')).toEqual(['run']);
  });

  test('a batch ends with a flush of every output', () => {
    const IN = input('IN', []);
    link(['in:IN,n:NOTES', 'in:IN,m:NOTES'], [IN, NOTES]);
    const { deliver } = IN.linked[0]!;
    deliver.event();
    deliver.event();
    deliver.batch();
    expect(notesOf.get('n')).toEqual(['run', 'run', 'flush']);
    expect(notesOf.get('m')).toEqual(['run', 'run', 'flush']);
  });

  test('signals reach every running plugin, and stopping closes all', async () => {
    const IN = input('IN', []);
    const runner = new Runner(silent());
    expect(await runner.change([], link(['in:IN,n:NOTES'], [IN, NOTES]))).toBe(1);
    runner.reopen();
    runner.signal();
    await runner.stop();
    expect(notesOf.get('n')).toEqual(['start', 'reopen', 'signal', 'stop']);
  });

  test('an output that cannot start takes down its own stack only, and says why', async () => {
    const IN = input('IN', []);
    const errors: string[] = [];
    const sources = link(['in:IN,cannot:NOTES', 'in:IN,n:NOTES'], [IN, NOTES]);
    const runner = new Runner(silent(errors));
    expect(await runner.change([], sources)).toBe(1);
    expect(errors).toEqual(['stack in:IN … cannot:NOTES: no such file; this stack is not run']);
    IN.linked[0]!.deliver.event();
    expect(notesOf.get('cannot')).toEqual([]);
    expect(notesOf.get('n')).toEqual(['start', 'run']);
    expect(summary(sources)).toEqual([
      'in:IN: 1 events received',
      '  cannot:NOTES: 0 written, 1 failed in cannot:NOTES',
      '  n:NOTES: 1 written',
    ]);
  });

  test('a filter that cannot start takes every output behind it down', async () => {
    const IN = input('IN', []);
    const started = vi.fn();
    const F = {
      ...filter('F', {}),
      link: () => ({
        run: () => true,
        start() {
          throw new Error('no names');
        },
      }),
    };
    const source = { ...IN, link: (...args: Parameters<typeof IN.link>) => ({ ...IN.link(...args), start: started }) };
    const sources = link(['in:IN,f:F,n:NOTES', 'in:IN,f:F,m:NOTES'], [source, F, NOTES]);
    const errors: string[] = [];
    expect(await new Runner(silent(errors)).change([], sources)).toBe(0);
    expect(errors).toEqual(['stack in:IN … f:F: no names; this stack is not run']);
    expect(started, 'an input that feeds nobody').not.toHaveBeenCalled();
  });
});

function numberAt(record: Record, slot: number | undefined): number | undefined {
  return slot !== undefined && record.valid[slot] === 1 ? record.value[slot] : undefined;
}

const silent = (errors: string[] = []) => ({
  debug() {},
  info() {},
  notice() {},
  error: (line: string) => void errors.push(line),
  isDebug: () => false,
});
