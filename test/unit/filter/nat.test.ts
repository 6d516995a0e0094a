import { describe, expect, test } from 'vitest';
import nat from '../../../src/filter/nat.ts';
import { TestStage, type ValuesByKey } from '../../support/stage.ts';

const stage = new TestStage(nat);

/** A connection: `source:port > target:port | source:port > target:port`, original and reply; without ports for ICMP. */
function flow(text: string): ValuesByKey {
  const [os, od, rs, rd] = text.split(/ [>|] /).map((end) => {
    const [, address = '', port] = /^\[?([\da-f.:]+?)\]?(?::(\d+))?$/.exec(end) ?? [];
    return { address, port: port === undefined ? undefined : Number(port) };
  });
  return {
    'orig.ip.saddr': os?.address,
    'orig.ip.daddr': od?.address,
    'reply.ip.saddr': rs?.address,
    'reply.ip.daddr': rd?.address,
    'orig.l4.sport': os?.port,
    'orig.l4.dport': od?.port,
    'reply.l4.sport': rs?.port,
    'reply.l4.dport': rd?.port,
  };
}

describe('the two tuples say what was translated', () => {
  test.each([
    ['none', '10.5.0.8:5 > 10.5.0.9:80 | 10.5.0.9:80 > 10.5.0.8:5'],
    ['none', '10.5.0.8 > 10.5.0.9 | 10.5.0.9 > 10.5.0.8'],
    ['dnat', '10.5.0.8:5 > 10.5.150.82:80 | 192.168.21.73:80 > 10.5.0.8:5'],
    ['dnat', '10.5.0.8:5 > 10.5.150.82:2222 | 10.5.150.82:22 > 10.5.0.8:5'],
    ['snat', '192.168.21.73 > 10.5.0.8 | 10.5.0.8 > 10.5.150.82'],
    ['snat', '10.5.0.8:5 > 10.5.0.9:80 | 10.5.0.9:80 > 10.5.0.8:40000'],
    ['both', '192.168.21.74:5 > 10.5.150.82:80 | 192.168.21.73:80 > 10.5.0.100:19305'],
    ['dnat', '[2001:db8::8]:5 > [2001:db8::82]:80 | [fd00::73]:80 > [2001:db8::8]:5'],
    ['snat', '[fd00::73]:5 > [2001:db8::8]:80 | [2001:db8::8]:80 > [2001:db8::82]:5'],
    ['none', '[fd00::73]:5 > [fd00::74]:80 | [fd00::74]:80 > [fd00::73]:5'],
  ])('%s: %s', (type, text) => {
    expect(stage.run(flow(text))?.['nat.type']).toBe(type);
  });
});

test('the outside and the inside of a translation are named, with the port that the outside sees', () => {
  const forwarded = stage.run(flow('10.5.0.8:52496 > 10.5.0.100:2222 | 192.168.21.74:22 > 10.5.0.8:52496'));
  expect(forwarded).toMatchObject({
    'nat.class': 'port-forward',
    'nat.external_ip': '10.5.0.100',
    'nat.external_port': 2222,
    'nat.fixed_ip': '192.168.21.74',
  });
  const shared = stage.run(flow('[fd00::74]:5353 > [2001:db8::8]:99 | [2001:db8::8]:99 > [2001:db8::100]:51484'));
  expect(shared).toEqual({
    'nat.type': 'snat',
    'nat.class': 'snat',
    'nat.external_ip': '2001:db8::100',
    'nat.external_port': 51484,
    'nat.fixed_ip': 'fd00::74',
  });
});

test('a question for metadata is one, whatever answers it', () => {
  const asked = stage.run(flow('192.168.21.74:5 > 169.254.169.254:80 | 192.168.21.1:9697 > 192.168.21.74:5'));
  expect(asked).toEqual({ 'nat.type': 'dnat', 'nat.class': 'metadata' });
});

test('tuples that are not whole say nothing', () => {
  expect(stage.run({ 'orig.ip.saddr': '10.5.0.8', 'orig.ip.daddr': '10.5.0.9' })).toEqual({});
  const mixed = { ...flow('10.0.0.1 > 10.0.0.2 | 10.0.0.2 > 10.0.0.1'), 'reply.ip.saddr': 'fd00::1' };
  expect(stage.run(mixed)).toEqual({});
});

describe('the duration of a connection', () => {
  const times = (from: [number, number], to?: [number, number]): ValuesByKey => ({
    'flow.start.sec': from[0],
    'flow.start.usec': from[1],
    'flow.end.sec': to?.[0],
    'flow.end.usec': to?.[1],
  });
  test.each([
    [times([1795255423, 999078], [1795255426, 988]), 2001n],
    [times([1795255423, 0], [1795255423, 999]), 0n],
    [times([1, 0], [4294967295, 0]), 4294967294000n],
    [times([1795255423, 0]), undefined],
    // The clock was set back meanwhile.
    [times([1795255423, 0], [1795255422, 0]), undefined],
  ])('%j: %s ms', (given, milliseconds) => {
    expect(stage.run(given)?.['flow.duration']).toBe(milliseconds);
  });
});
