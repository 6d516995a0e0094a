import { expect, test } from 'vitest';
import { Connections } from '../../../src/who-had/connections.ts';
import { readQuestion } from '../../../src/who-had/question.ts';

const question = readQuestion({ address: '10.5.0.100', at: '1795255200' });

/** A connection of `port` through the shared address; times in seconds before the question. */
function add(to: Connections, port: number, id: number, times: { begin?: number; end?: number }): void {
  const at = (name: string, ago: number | undefined) => (ago === undefined ? {} : { [name]: 1795255200 - ago });
  to.add(
    {
      'ct.id': id,
      'ct.event': times.end === undefined ? 1 : 4,
      ...at('flow.start.sec', times.begin),
      ...at('flow.end.sec', times.end),
    },
    {
      how: 'snat',
      protocol: 6,
      inside: { address: '192.168.21.74', port },
      external: { address: '10.5.0.100', port },
      unique: `203.0.113.9 443 10.5.0.100 ${port}`,
    },
  );
}

const portsOf = (connections: Connections): (number | undefined)[] =>
  [...connections.evidence({ ends: true, mayBeLost: () => false })].map(({ inside }) => inside.port);

test('of more begins than can be kept the oldest are left out, and counted', () => {
  const connections = new Connections(question, 3);
  for (let port = 1; port <= 10; port++) add(connections, port, port, { begin: 100 - port });
  expect(portsOf(connections)).toEqual([8, 9, 10]);
  expect(connections.forgotten).toBe(7);
});

test('connections that have ended before take no room', () => {
  const connections = new Connections(question, 3);
  for (let port = 1; port <= 10; port++) {
    add(connections, port, port, { begin: 100 });
    add(connections, port, port, { begin: 100, end: 50 });
  }
  add(connections, 11, 11, { begin: 40 });
  expect(portsOf(connections)).toEqual([11]);
  expect(connections.forgotten).toBe(0);
  expect(connections.before?.end).toBe(1795255150_000);
});

test('an end that is read before its begin counts', () => {
  const connections = new Connections(question);
  add(connections, 1, 1, { begin: 100, end: 50 });
  add(connections, 1, 1, { begin: 100 });
  expect(portsOf(connections)).toEqual([]);
});

test('the same tuple anew ends the connection before, whoever has it now, and in either order', () => {
  for (const order of [
    [100, 30],
    [30, 100],
  ]) {
    const connections = new Connections(question);
    for (const begin of order) add(connections, 1, begin, { begin });
    const [evidence, ...more] = connections.evidence({ ends: true, mayBeLost: () => false });
    expect(more).toEqual([]);
    expect(evidence).toMatchObject({ begin: 1795255170_000, end: undefined });
  }
});
