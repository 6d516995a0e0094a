import { describe, expect, test } from 'vitest';
import type { Node } from '../../../src/pipeline/plan.ts';
import { ABSENT, FIRST_SLOT, UNREAD } from '../../../src/pipeline/record.ts';
import { filter, input, link, output, plan } from '../../support/stacks.ts';

const names = (nodes: readonly Node[]) => nodes.map(({ name }) => name);
const at = (nodes: readonly Node[], name: string): Node => {
  const found = nodes.find((node) => node.name === name);
  if (found === undefined) throw new Error(`no step ${name}`);
  return found;
};

describe('keys', () => {
  const IN = input('IN', ['a', 'b', 'c']);

  test('a key is that of the nearest plugin above that writes it', () => {
    const F = filter('F', { writes: ['a'] });
    const OUT = output('OUT', { reads: ['a', 'b'] });
    const { plans, problems } = plan(['in:IN,f:F,out:OUT'], [IN, F, OUT]);
    const { input: source, nodes } = plans[0]!;
    expect(problems).toEqual([]);
    expect(at(nodes, 'out:OUT').reads.get('a')).toBe(at(nodes, 'f:F').writes.get('a'));
    expect(at(nodes, 'out:OUT').reads.get('b')).toBe(source.writes.get('b'));
    expect(source.writes.get('a')).toBe(UNREAD);
  });

  test('a plugin that reads and writes the same key reads the one from above', () => {
    const F = filter('F', { reads: ['a'], writes: ['a'] });
    const OUT = output('OUT', { reads: ['a'] });
    const { input: source, nodes } = plan(['in:IN,f:F,out:OUT'], [IN, F, OUT]).plans[0]!;
    const f = at(nodes, 'f:F');
    expect(f.reads.get('a')).toBe(source.writes.get('a'));
    expect(f.writes.get('a')).not.toBe(f.reads.get('a'));
    expect(at(nodes, 'out:OUT').reads.get('a')).toBe(f.writes.get('a'));
  });

  test('a key that nobody reads has no slot of its own', () => {
    const OUT = output('OUT', { reads: ['b'] });
    const { input: source, slots } = plan(['in:IN,out:OUT'], [IN, OUT]).plans[0]!;
    expect([...source.writes]).toEqual([
      ['a', UNREAD],
      ['b', FIRST_SLOT],
      ['c', UNREAD],
    ]);
    expect(slots).toBe(FIRST_SLOT + 1);
  });

  test('an optional key that nobody writes is absent, and no problem', () => {
    const OUT = output('OUT', { reads: ['x?', 'a'] });
    const { plans, problems } = plan(['in:IN,out:OUT'], [IN, OUT]);
    expect(problems).toEqual([]);
    expect(at(plans[0]!.nodes, 'out:OUT').reads.get('x')).toBe(ABSENT);
  });

  test('a key written on another branch is not seen', () => {
    const F = filter('F', { writes: ['x'] });
    const OUT = output('OUT', { reads: ['x?'] });
    const { nodes } = plan(['in:IN,f:F,out1:OUT', 'in:IN,out2:OUT'], [IN, F, OUT]).plans[0]!;
    expect(at(nodes, 'out1:OUT').reads.get('x')).toBe(at(nodes, 'f:F').writes.get('x'));
    expect(at(nodes, 'out2:OUT').reads.get('x')).toBe(ABSENT);
  });

  test('no two keys that are read share a slot', () => {
    const F = filter('F', { reads: ['a', 'b'], writes: ['a', 'd', 'e'] });
    const OUT = output('OUT', { reads: 'every' });
    const { input: source, nodes, slots } = plan(['in:IN,f:F,out:OUT', 'in:IN,f2:F,out2:OUT'], [IN, F, OUT]).plans[0]!;
    const used = [source, ...nodes].flatMap(({ writes }) => [...writes.values()]).filter((slot) => slot !== UNREAD);
    expect(new Set(used).size).toBe(used.length);
    expect(Math.min(...used)).toBe(FIRST_SLOT);
    expect(Math.max(...used)).toBe(slots - 1);
  });

  test('an output that reads every key gets each once: first place, nearest writer', () => {
    const F = filter('F', { reads: ['a'], writes: ['d', 'b'] });
    const OUT = output('OUT', { reads: 'every' });
    const { input: source, nodes } = plan(['in:IN,f:F,out:OUT'], [IN, F, OUT]).plans[0]!;
    const { upstream } = at(nodes, 'out:OUT');
    const f = at(nodes, 'f:F');
    expect(upstream.map(({ name, slot }) => [name, slot])).toEqual([
      ['a', source.writes.get('a')],
      ['b', f.writes.get('b')],
      ['c', source.writes.get('c')],
      ['d', f.writes.get('d')],
    ]);
    expect(upstream.every(({ slot }) => slot >= FIRST_SLOT)).toBe(true);
  });
});

describe('sharing', () => {
  const IN = input('IN', ['a']);
  const F = filter('F', {});
  const G = filter('G', {});
  const OUT = output('OUT');
  const catalog = [IN, F, G, OUT];

  test('stacks with the same beginning share it', () => {
    const { plans } = plan(['in:IN,f:F,g:G,x:OUT', 'in:IN,f:F,y:OUT'], catalog);
    expect(plans).toHaveLength(1);
    expect(names(plans[0]!.nodes)).toEqual(['f:F', 'g:G', 'x:OUT', 'y:OUT']);
    expect(at(plans[0]!.nodes, 'y:OUT').parent).toBe(at(plans[0]!.nodes, 'f:F'));
  });

  test('the same filter behind another one is another filter', () => {
    const { nodes } = plan(['in:IN,f:F,x:OUT', 'in:IN,g:G,f:F,y:OUT'], catalog).plans[0]!;
    expect(names(nodes)).toEqual(['f:F', 'x:OUT', 'g:G', 'f:F', 'y:OUT']);
  });

  test('another id is another instance, also of an input', () => {
    const { plans } = plan(['in1:IN,f:F,x:OUT', 'in2:IN,f:F,y:OUT', 'in1:IN,f2:F,z:OUT'], catalog);
    expect(plans.map((one) => [one.input.name, names(one.nodes)])).toEqual([
      ['in1:IN', ['f:F', 'x:OUT', 'f2:F', 'z:OUT']],
      ['in2:IN', ['f:F', 'y:OUT']],
    ]);
  });

  test('a stack given twice is two outputs behind one beginning', () => {
    const { nodes } = plan(['in:IN,f:F,x:OUT', 'in:IN,f:F,x:OUT'], catalog).plans[0]!;
    expect(names(nodes)).toEqual(['f:F', 'x:OUT', 'x:OUT']);
  });
});

describe('problems', () => {
  const RAW = input('RAW', ['a', 'p:raw'], 'raw');
  const FLOW = input('FLOW', ['a'], 'flow');
  const BASE = filter('BASE', { reads: ['p:raw'], writes: ['tcp', 'udp'], accepts: ['raw'], gives: 'packet' });
  const ALSO = filter('ALSO', { writes: ['tcp'] });
  const FLOWS = filter('FLOWS', { accepts: ['flow'] });
  const TCP = output('TCP', { reads: ['tcp', 'udp', 'no.such', 'a'] });
  const ONE = output('ONE', { reads: ['udp'] });
  const TEXT = output('TEXT', { reads: ['a:string'] });
  const PACKETS = output('PACKETS', { accepts: ['packet'] });
  const ANY = output('ANY');
  const catalog = [RAW, FLOW, BASE, ALSO, FLOWS, TCP, ONE, TEXT, PACKETS, ANY];
  const problemsOf = (...lines: string[]) =>
    plan(lines, catalog).problems.map(({ line, column, severity, message }) => [line, column, severity, message]);

  test('missing keys are named, with the plugins that give them, where the reader stands', () => {
    expect(problemsOf('raw:RAW,x:TCP')).toEqual([
      [1, 9, 'error', 'x:TCP needs the key tcp, which nothing before it in the stack writes; BASE or ALSO gives it'],
      [1, 9, 'error', 'x:TCP needs the key udp, which nothing before it in the stack writes; BASE gives it'],
      [1, 9, 'error', 'x:TCP needs the key no.such, which nothing before it in the stack writes; no plugin gives it'],
    ]);
  });

  test('keys that one plugin gives are named together', () => {
    const READER = output('READER', { reads: ['tcp', 'udp'] });
    const { problems } = plan(['raw:RAW,x:READER'], [RAW, BASE, READER]);
    expect(problems.map(({ message }) => message)).toEqual([
      'x:READER needs the keys tcp, udp, which nothing before it in the stack writes; BASE gives them',
    ]);
  });

  test('of many keys the first are named, and a filter is proposed before another input', () => {
    const keys = ['a1', 'a2', 'a3', 'a4', 'a5', 'a6'];
    const READER = output('READER', { reads: keys });
    const { problems } = plan(
      ['raw:RAW,x:READER'],
      [RAW, input('OTHER', keys), filter('MANY', { writes: keys }), READER],
    );
    expect(problems.map(({ message }) => message)).toEqual([
      'x:READER needs the keys a1, a2, a3, a4 and 2 more, which nothing before it in the stack writes; MANY gives them',
    ]);
  });

  test('a filter for another kind of event names its counterpart, and not the keys that it lacks', () => {
    const PKT = filter('PKT', { accepts: ['packet'], reads: ['udp', 'tcp'], writes: ['print'] });
    const PRINTFLOW = filter('PRINTFLOW', { accepts: ['flow'], writes: ['print'] });
    const { problems } = plan(['flow:FLOW,print:PKT,x:ANY'], [FLOW, BASE, PKT, PRINTFLOW, ANY]);
    expect(problems.map(({ message }) => message)).toEqual([
      'type mismatch: flow:FLOW gives a flow, print:PKT takes packet; for a flow there is PRINTFLOW',
    ]);
  });

  test('a key of another type is an error', () => {
    expect(problemsOf('raw:RAW,x:TEXT')).toEqual([
      [1, 9, 'error', 'x:TEXT reads a as string, but raw:RAW writes it as u32'],
    ]);
  });

  test('an undecoded packet where a decoded one belongs is a warning, as in ulogd', () => {
    expect(problemsOf('raw:RAW,x:PACKETS')).toEqual([
      [1, 9, 'warning', 'type mismatch: raw:RAW gives a raw, x:PACKETS takes packet'],
    ]);
    expect(problemsOf('raw:RAW,base:BASE,x:PACKETS')).toEqual([]);
  });

  test('a flow where a packet belongs is an error, and so is a packet where a flow belongs', () => {
    expect(problemsOf('flow:FLOW,x:PACKETS')).toEqual([
      [1, 11, 'error', 'type mismatch: flow:FLOW gives a flow, x:PACKETS takes packet'],
    ]);
    expect(problemsOf('raw:RAW,f:FLOWS,x:ANY')).toEqual([
      [1, 9, 'error', 'type mismatch: raw:RAW gives a raw, f:FLOWS takes flow'],
    ]);
  });

  test('a filter that leaves the kind alone hands it on', () => {
    expect(problemsOf('flow:FLOW,also:ALSO,x:PACKETS')).toEqual([
      [1, 21, 'error', 'type mismatch: also:ALSO gives a flow, x:PACKETS takes packet'],
    ]);
  });

  test('a stack that begins with a filter or an output is told so', () => {
    expect(problemsOf('also:ALSO,x:ANY')).toEqual([
      [1, 1, 'error', 'a stack begins with an input, and also:ALSO is a filter'],
    ]);
    expect(problemsOf('x:ANY')).toEqual([[1, 1, 'error', 'a stack begins with an input, and x:ANY is an output']]);
  });

  test('a stack that ends with a filter or an input is told so', () => {
    expect(problemsOf('raw:RAW,also:ALSO')).toEqual([
      [1, 9, 'error', 'a stack ends with an output, and also:ALSO is a filter'],
    ]);
    expect(problemsOf('raw:RAW')).toEqual([[1, 1, 'error', 'a stack ends with an output, and raw:RAW is an input']]);
  });

  test('an output in the middle and an input behind the beginning are told so', () => {
    expect(problemsOf('raw:RAW,x:ANY,y:ANY')).toEqual([[1, 9, 'error', 'x:ANY is an output: it can only end a stack']]);
    expect(problemsOf('raw:RAW,flow:FLOW,y:ANY')).toEqual([
      [1, 9, 'error', 'flow:FLOW is an input: it can only begin a stack, as in '],
    ]);
  });

  test('all stacks are looked at, whatever is wrong with the first', () => {
    expect(
      problemsOf('also:ALSO,x:ANY', 'raw:RAW,y:ONE', 'flow:FLOW,z:PACKETS')
        .map(([line]) => line)
        .sort(),
    ).toEqual([1, 2, 3]);
  });

  test('a plugin shared by several stacks is reported once for what it lacks', () => {
    const NEEDS = filter('NEEDS', { reads: ['udp'] });
    const { problems } = plan(['raw:RAW,n:NEEDS,x:ANY', 'raw:RAW,n:NEEDS,y:ANY'], [...catalog, NEEDS]);
    expect(problems).toHaveLength(1);
  });
});

describe('a configuration without measure', () => {
  const IN = input('IN', ['a']);
  const PASS = filter('PASS', { reads: ['a'] });
  const OUT = output('OUT', { reads: 'every' });

  test('has outputs by the ten thousand on one input, each of its own', () => {
    const lines = Array.from({ length: 10_000 }, (_, i) => `in:IN,pass:PASS,out${i}:OUT`);
    const { plans, problems } = plan(lines, [IN, PASS, OUT]);
    expect(problems).toEqual([]);
    expect(plans[0]?.nodes).toHaveLength(10_001);
  });

  test('has a stack of thousands of steps, which does not overflow ours', () => {
    const steps = Array.from({ length: 6_000 }, (_, i) => `pass${i}:PASS`);
    const [source] = link([`in:IN,${steps.join(',')},out:OUT`], [IN, PASS, OUT]);
    expect(source?.stages).toHaveLength(6_001);
    expect(source?.stages.at(-1)?.parent).toBe(5_999);
    expect(source?.stages[0]?.parent).toBeUndefined();
  });
});
