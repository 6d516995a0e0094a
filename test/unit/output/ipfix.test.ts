import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { until } from '../../../scripts/lab.js';
import { flowKeys } from '../../../src/input/conntrack/flow-keys.ts';
import ipfix from '../../../src/output/ipfix.ts';
import { FlowRecords, type FlowSlots, flowReads } from '../../../src/output/ipfix-flow.ts';
import type { KeySpec } from '../../../src/pipeline/key.ts';
import { Clock } from '../../../src/system/clock.ts';
import { type End, endMessage, STATES } from '../../support/conntrack-ends.ts';
import { type Decoded, decodeIpfix } from '../../support/ipfix.ts';
import { type Given, TestOutput } from '../../support/output.ts';
import { address } from '../../support/packets.ts';

let server: Server;
let received = Buffer.alloc(0);
let output: TestOutput | undefined;
beforeEach(async () => {
  received = Buffer.alloc(0);
  server = createServer((socket) =>
    socket.on('data', (bytes) => {
      received = Buffer.concat([received, bytes]);
    }),
  ).listen(0, '127.0.0.1');
  await once(server, 'listening');
});
afterEach(async () => {
  await output?.source.stages[0]?.service.stop?.();
  if (output) rmSync(output.folder, { recursive: true });
  output = undefined;
  server.close();
});

function open(options: Readonly<{ [key: string]: unknown }> = {}, compat = false): TestOutput {
  const { port } = server.address() as AddressInfo;
  const defaults = Object.fromEntries(Object.entries(ipfix.options).map(([key, spec]) => [key, spec.default]));
  output = new TestOutput(ipfix, flowKeys, {
    options: { ...defaults, oid: 77, host: '127.0.0.1', port, ...options },
    compat,
  });
  return output;
}

/** What the peer gets of these events. */
async function sent(events: readonly Given[], options = {}, compat = false): Promise<Decoded> {
  const out = open(options, compat);
  for (const event of events) out.event(event);
  const taken = events.length - (out.source.program.stopped[0] ?? 0);
  if (!compat) out.flush();
  await out.source.stages[0]?.service.stop?.();
  await until('the records', () => decodeIpfix(received).records.length >= taken);
  return decodeIpfix(received);
}

const FLOW: Given = {
  'orig.ip.saddr': address('10.0.0.1'),
  'orig.ip.daddr': address('10.0.0.2'),
  'orig.ip.protocol': 6,
  'orig.l4.sport': 40000,
  'orig.l4.dport': 443,
  'orig.raw.pktlen': 0x123456789an,
  'orig.raw.pktcount': 10n,
  'reply.ip.saddr': address('10.0.0.2'),
  'reply.ip.daddr': address('10.0.0.1'),
  'reply.l4.sport': 443,
  'reply.l4.dport': 40000,
  'reply.raw.pktlen': 2n,
  'reply.raw.pktcount': 0xffffffffffffffffn,
  'ct.mark': 0x80000001,
  'ct.id': 0xfffffffe,
  'ct.event': 4,
  'flow.start.sec': 1795255423,
  'flow.start.usec': 999999,
  'flow.end.sec': 1795255426,
  'flow.end.usec': 988,
  ct: endMessage({ of: 'tcp', state: STATES.TIME_WAIT }),
};
const milliseconds = (time: number) => time.toString(16).padStart(16, '0');
const PLAIN = {
  8: '0a000001',
  12: '0a000002',
  4: '06',
  7: '9c40',
  11: '01bb',
  152: milliseconds(1795255423999),
  153: milliseconds(1795255426000),
  136: '03',
  85: '000000123456789a',
  86: '000000000000000a',
  '29305/85': '0000000000000002',
  '29305/86': 'ffffffffffffffff',
  233: '02',
  148: 'fffffffe',
  '21373/4': '80000001',
};

test('a connection has both directions, its times, its end and its mark', async () => {
  const { records, messages } = await sent([FLOW]);
  expect(records.map(({ fields }) => fields)).toEqual([PLAIN]);
  expect(records[0]).toMatchObject({ template: 264, sequence: 0, domain: 77 });
  expect(messages.every(({ sequence }) => sequence === 0)).toBe(true);
});

test('NAT is told with both sides of it, and as an event of its own', async () => {
  const natted = {
    ...FLOW,
    'reply.ip.daddr': address('192.0.2.1'),
    'reply.l4.dport': 1024,
    'reply.ip.saddr': address('10.9.0.2'),
    'reply.l4.sport': 8443,
  };
  const nat = {
    225: 'c0000201',
    226: '0a090002',
    227: '0400',
    228: '20fb',
    230: '05',
    323: milliseconds(1795255426000),
  };
  const { records } = await sent([natted]);
  expect(records.map(({ fields }) => fields)).toEqual([{ ...PLAIN, ...nat }]);
});

test.each([
  ['reply.ip.daddr', address('192.0.2.1')],
  ['reply.ip.saddr', address('192.0.2.1')],
  ['reply.l4.dport', 1],
  ['reply.l4.sport', 1],
])('a difference in %s alone is NAT', async (key, value) => {
  const { records } = await sent([{ ...FLOW, [key]: value }]);
  expect(records[0]?.template).toBe(268);
});

test('IPv6 has its own elements, also for NAT and ICMP', async () => {
  const [a, b, c] = ['2001:db8::1', '2001:db8::2', '2001:db8:1::3'].map(address) as [Buffer, Buffer, Buffer];
  const { 'orig.l4.sport': _1, 'orig.l4.dport': _2, 'reply.l4.sport': _3, 'reply.l4.dport': _4, ...portless } = FLOW;
  const ping = {
    ...portless,
    ct: endMessage({ of: 'udp' }),
    'orig.ip.protocol': 58,
    'icmpv6.type': 128,
    'icmpv6.code': 1,
  };
  const six = { 'orig.ip.saddr': a, 'orig.ip.daddr': b, 'reply.ip.saddr': c, 'reply.ip.daddr': a };
  const { records } = await sent([{ ...ping, ...six }]);
  const { 8: _5, 12: _6, 7: _7, 11: _8, ...rest } = PLAIN;
  expect(records.map(({ fields }) => fields)).toEqual([
    {
      ...rest,
      27: a.toString('hex'),
      28: b.toString('hex'),
      4: '3a',
      136: '01',
      139: '8001',
      281: a.toString('hex'),
      282: c.toString('hex'),
    },
  ]);
});

test('what an event was', async () => {
  const { 'flow.end.sec': _1, 'flow.end.usec': _2, ...going } = FLOW;
  const nat = { 'reply.ip.daddr': address('192.0.2.1') };
  const before = Math.floor(Date.now() / 1000) * 1000;
  const { records } = await sent([
    { ...going, ...nat, 'ct.event': 1 },
    { ...going, ...nat, 'ct.event': 2 },
    { ...FLOW, ...nat },
  ]);
  expect(records.map(({ fields }) => [fields[136], fields[230], fields[233]])).toEqual([
    ['02', '04', '01'],
    ['02', '00', '05'],
    ['03', '05', '02'],
  ]);
  // A connection that goes on was last seen now.
  expect(Number.parseInt(records[0]?.fields[153] as string, 16)).toBeGreaterThanOrEqual(before);
});

test.each<[End, string | undefined]>([
  [{ of: 'tcp', state: STATES.TIME_WAIT }, '03'],
  [{ of: 'tcp', state: STATES.CLOSE }, '03'],
  [{ of: 'tcp', state: STATES.ESTABLISHED }, '01'],
  [{ of: 'tcp', state: STATES.ESTABLISHED, port: 4711 }, '04'],
  [{ of: 'tcp', state: STATES.ESTABLISHED, timeout: 9 }, undefined],
  [{ of: 'tcp' }, undefined],
  [{ of: 'udp' }, '01'],
  [{ of: 'udp', port: 4711 }, '04'],
  [{ of: 'udp', timeout: 9 }, undefined],
])('why a connection ended, %j: flowEndReason %s', async (end, reason) => {
  const { records } = await sent([
    { ...FLOW, ct: endMessage(end) },
    { ...FLOW, ct: endMessage(end), 'ct.event': 2 },
  ]);
  const { 136: _, ...rest } = PLAIN;
  expect(records[0]?.fields).toEqual({ ...rest, ...(reason === undefined ? {} : { 136: reason }) });
  expect(records[0]?.template).toBe(reason === undefined ? 296 : 264);
  expect(records[1]?.fields).toMatchObject({ 136: '02' });
});

test('an end that was found in a dump: lost after an overrun, of an unknown reason when the table is polled', async () => {
  const { ct: _, ...found } = FLOW;
  const { records } = await sent([{ ...found, 'flow.unobserved': 1 }, found]);
  expect(records.map(({ template, fields }) => [template, fields[136]])).toEqual([
    [264, '05'],
    [296, undefined],
  ]);
});

test('an unknown begin is left out, and what has no ports has zeros', async () => {
  const { 'flow.start.sec': _1, 'flow.start.usec': _2, 'orig.l4.sport': _3, 'orig.l4.dport': _4, ...gre } = FLOW;
  const { records } = await sent([gre]);
  const { 152: _5, ...rest } = PLAIN;
  expect(records.map(({ fields }) => fields)).toEqual([{ ...rest, 7: '0000', 11: '0000' }]);
});

test('the kernel losses are records of options: how many connections so far, and between which times', async () => {
  const out = open();
  const service = out.source.stages[0]?.service;
  const gap = { input: 'ct1:NFCT', from: 1795255423999, to: 1795255426001, exact: false, cause: 'overrun' };
  out.event(FLOW);
  service?.gap?.({ ...gap, lost: 5 });
  service?.gap?.({ ...gap, lost: 2 });
  out.event(FLOW);
  await service?.stop?.();
  await until('all records', () => decodeIpfix(received).records.length === 4);
  const { records } = decodeIpfix(received);
  expect(records.map(({ template }) => template)).toEqual([264, 272, 272, 264]);
  const [from, to] = [gap.from, gap.to].map(milliseconds);
  expect(records[1]?.fields).toEqual({ 149: '0000004d', 166: milliseconds(5), 323: from, "323'": to });
  expect(records[2]?.fields).toMatchObject({ 166: milliseconds(7) });
  expect(service?.account?.()).toMatchObject({ written: 2, queued: 0 });
});

test('messages keep to the mtu, and their numbers count the records', async () => {
  const { messages } = await sent(Array(50).fill(FLOW), { mtu: 400 });
  const data = messages.filter(({ records }) => records > 0);
  expect(data.length).toBeGreaterThan(5);
  expect(messages.every(({ length }) => length <= 400)).toBe(true);
  expect(data.map(({ sequence }) => sequence)).toEqual(
    data.map((_, i) => data.slice(0, i).reduce((sum, { records }) => sum + records, 0)),
  );
});

test('templates in every message need no announcement', async () => {
  const { announced, messages } = await sent(Array(50).fill(FLOW), { send_template: 'always' });
  expect(announced).toEqual(messages.map(() => 264));
});

describe('with compat', () => {
  test("a connection is ulogd's record, an IPv6 one none", async () => {
    const six = { ...FLOW, 'orig.ip.saddr': address('::1'), 'orig.ip.daddr': address('::2') };
    const { records, announced } = await sent([FLOW, six], {}, true);
    expect(announced).toEqual([256]);
    expect(records).toMatchObject([{ sequence: 1, template: 256 }]);
    expect(records[0]?.fields).toEqual({
      8: '0a000001',
      12: '0a000002',
      86: '00000009',
      85: '3456789c',
      150: (1795255423).toString(16),
      151: (1795255426).toString(16),
      7: '9c40',
      11: '01bb',
      4: '06',
      95: '80000001',
    });
  });
});

test('keys and templates name the same elements', () => {
  const slots = Object.fromEntries(Object.keys(flowReads).map((key, i) => [key, i + 2])) as FlowSlots;
  const { templates } = new FlowRecords(slots, new Clock());
  const header = (set: Uint8Array) => Buffer.concat([Buffer.from([0, 10, 0, 16 + set.length]), Buffer.alloc(12), set]);
  const known = new Map<number, { elements: readonly { name: string }[] }>();
  for (const { set } of templates) decodeIpfix(header(set), known as Parameters<typeof decodeIpfix>[1]);
  const four: { [six: string]: string } = { 27: '8', 28: '12', 281: '225', 282: '226' };
  const sentAs = new Set([...known.values()].flatMap(({ elements }) => elements.map(({ name }) => four[name] ?? name)));
  const declared = Object.keys(flowReads).flatMap((key) => {
    const { ipfix: element } = flowKeys[key as keyof typeof flowKeys] as KeySpec;
    return element ? [element.vendor ? `${element.vendor}/${element.field}` : String(element.field)] : [];
  });
  // Why it ended, what became of NAT and when: made of several keys.
  expect([...sentAs].sort()).toEqual([...new Set([...declared, '136', '230', '323'])].sort());
});
