import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import verdict from '../../../src/input/verdict.ts';
import { Memory } from '../../../src/pipeline/memory.ts';
import type { InputPlugin } from '../../../src/pipeline/plugin.ts';
import { MessageBuilder } from '../../../src/wire/message-builder.ts';
import { beginRequest, NFNLGRP_NFTRACE, NFPROTO_INET } from '../../../src/wire/nfnetlink.ts';
import {
  NF_ACCEPT,
  NF_DROP,
  NFT_MSG_TRACE,
  NFT_TRACETYPE_POLICY,
  NFT_TRACETYPE_RULE,
} from '../../../src/wire/nftrace.ts';
import { FakeKernel, type FakeSocket } from '../../support/fake-netlink.ts';
import { TestInput } from '../../support/input.ts';

vi.mock('../../../src/system/native.ts', async (original) => ({
  ...(await original<object>()),
  openNativeSocket: (await import('../../support/fake-netlink.ts')).openFakeSocket,
}));

const LINK = Buffer.from('020000000002020000000001' + '0800', 'hex');
const IPV4 = Buffer.from('450000281234400040060000' + '0a050008' + 'c0a81549', 'hex');
const TCP = Buffer.from('c0041f90000000010000000050020400abcd0000', 'hex');

interface Message {
  id: number;
  table: string;
  chain: string;
  type?: number;
  handle?: number;
  code?: number;
  network?: Uint8Array;
  transport?: Uint8Array;
  outdev?: number | undefined;
}

function trace({ id, table, chain, type = NFT_TRACETYPE_RULE, handle, code, network, transport, outdev }: Message) {
  const message = beginRequest(new MessageBuilder(), NFT_MSG_TRACE, 0, 0, NFPROTO_INET);
  message.be32(6, id).be32(4, type).string(2, chain).string(1, table);
  if (handle !== undefined) message.bytes(3, Buffer.from(handle.toString(16).padStart(16, '0'), 'hex'));
  if (code !== undefined && type === NFT_TRACETYPE_RULE) message.nest(5).be32(1, code).end();
  if (code !== undefined && type === NFT_TRACETYPE_POLICY) message.be32(16, code);
  if (network !== undefined) {
    message.bytes(7, LINK).bytes(8, network).be32(10, 2).be16(11, 1).be32(14, 7).be32(18, 0xdeadbeef);
    if (outdev !== undefined) message.be32(12, outdev);
    if (transport !== undefined) message.bytes(9, transport);
  }
  return message.finish();
}
const begin = (id: number, more: Partial<Message> = {}) =>
  trace({
    id,
    table: 'flowlogd_audit',
    chain: 'forward_before',
    handle: 3,
    code: -1,
    network: IPV4,
    transport: TCP,
    outdev: 4,
    ...more,
  });
const end = (id: number) => trace({ id, table: 'flowlogd_audit', chain: 'forward_after', handle: 9, code: -1 });
const filter = (id: number, code: number, more: Partial<Message> = {}) =>
  trace({ id, table: 'filter', chain: 'fw', handle: 0x1_0000_0005, code, ...more });

let kernel: FakeKernel;
let input: TestInput;

beforeEach(async () => {
  kernel = new FakeKernel();
  input = await new TestInput(verdict as unknown as InputPlugin).start();
});
afterEach(() => input.service.stop?.());

async function tell(...datagrams: Uint8Array[]) {
  for (const datagram of datagrams) (kernel.sockets[0] as FakeSocket).bring(datagram);
  await kernel.idle();
  return input.events;
}
const undecided = () => input.service.counters?.()['packets without a verdict'];

test('it listens to traces', () => {
  expect([...(kernel.sockets[0] as FakeSocket).groups]).toEqual([NFNLGRP_NFTRACE]);
});

test('a packet is dropped by the rule that says so, with its headers', async () => {
  const [event] = await tell(begin(5), filter(5, NF_ACCEPT, { chain: 'mangle' }), filter(5, NF_DROP));
  expect(event).toMatchObject({
    'verdict.action': 'drop',
    'verdict.by': 'rule',
    'verdict.table': 'filter',
    'verdict.chain': 'fw',
    'verdict.rule': 0x1_0000_0005n,
    'ct.id': 0xdeadbeef,
    'oob.prefix': 'DROP fw',
    'raw.mac': LINK.toString('hex'),
    'raw.pkt': Buffer.concat([IPV4, TCP]).toString('hex'),
    'raw.pktlen': 40,
    'oob.ifindex_in': 2,
    'oob.ifindex_out': 4,
    'oob.hook': 2,
    'oob.mark': 7,
    'oob.family': 2,
    'oob.protocol': 0x800,
  });
  expect(input.events).toHaveLength(1);
});

test('a packet is accepted when it comes out behind all rules, by the last word on it, once', async () => {
  const policy = filter(5, NF_ACCEPT, { chain: 'FORWARD', type: NFT_TRACETYPE_POLICY });
  const [event] = await tell(
    begin(5),
    filter(5, NF_ACCEPT),
    trace({ id: 5, table: 'filter', chain: 'x', code: -3, handle: 1 }),
    policy,
    end(5),
    end(5),
  );
  expect(event).toMatchObject({ 'verdict.action': 'accept', 'verdict.by': 'rule', 'oob.prefix': 'ACCEPT FORWARD' });
  expect(input.events).toHaveLength(1);
});

test('where nobody else has rules, nobody is named', async () => {
  const [event] = await tell(begin(5), end(5));
  expect(event).toMatchObject({ 'verdict.action': 'accept', 'oob.prefix': 'ACCEPT ' });
  expect(event).not.toHaveProperty('verdict.chain');
});

test('a policy is told from a rule, and the router itself from what it sends on', async () => {
  const [event] = await tell(
    begin(6, { chain: 'input_before', outdev: undefined }),
    trace({ id: 6, table: 'filter', chain: 'INPUT', type: NFT_TRACETYPE_POLICY, code: NF_DROP }),
  );
  expect(event).toMatchObject({ 'verdict.action': 'drop', 'verdict.by': 'policy', 'oob.hook': 1 });
  expect(event).not.toHaveProperty('verdict.rule');
});

test('what somebody else traces is no event', async () => {
  expect(await tell(filter(5, NF_DROP), end(5))).toEqual([]);
  expect(undecided()).toBe(0);
});

test('packets under way do not mix; one whose verdict never comes is counted when its place is taken, or at the end', async () => {
  await tell(begin(1), begin(2), filter(2, NF_DROP), begin(3), end(3), begin(1), filter(7, NF_DROP));
  expect(input.events.map((event) => event['verdict.action'])).toEqual(['drop', 'accept']);
  expect(undecided()).toBe(1);
  // As many as there is room for, of which one is there already, and two more.
  for (let id = 100; id < 100 + 257; id++) await tell(begin(id));
  expect(undecided()).toBe(3);
  await tell(end(100 + 256), filter(100 + 255, NF_DROP));
  expect(input.events).toHaveLength(4);
  await input.service.stop?.();
  expect(undecided()).toBe(3 + 254);
});

test('the transport follows a header only where that is whole', async () => {
  const six = Buffer.alloc(40);
  six[0] = 0x60;
  six[6] = 6;
  const extended = Buffer.from(six);
  extended[6] = 60;
  const long = Buffer.alloc(40);
  long[0] = 0x4f; // 60 bytes, of which 40 are shown
  const lengths = [];
  for (const network of [IPV4, six, extended, long]) {
    await tell(begin(5, { network }), filter(5, NF_DROP));
    lengths.push(input.events.at(-1)?.['raw.pktlen']);
  }
  expect(lengths).toEqual([40, 60, 40, 40]);
  expect(input.events[1]).toMatchObject({ 'oob.family': 10, 'oob.protocol': 0x86dd });
});

test('names of any length and messages with any damage do no harm', async () => {
  const [event] = await tell(begin(5), filter(5, NF_DROP, { chain: 'c'.repeat(255) }));
  expect(event?.['verdict.chain']).toBe('c'.repeat(64));
  const samples = [begin(5), filter(5, NF_DROP), end(5), filter(5, NF_DROP, { type: NFT_TRACETYPE_POLICY })];
  const damage = fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 })), { maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...samples), damage, fc.nat({ max: 300 }), async (sample, changes, size) => {
      const bytes = Uint8Array.from(sample).subarray(0, size);
      for (const [at, value] of changes) if (bytes.length > 0) bytes[at % bytes.length] = value;
      await tell(bytes);
    }),
    { seed: 20261121, numRuns: 500 },
  );
  expect(input.ledger.malformed).toBeGreaterThan(0);
  const before = input.events.length;
  await tell(begin(77), filter(77, NF_DROP));
  expect(input.events).toHaveLength(before + 1);
});

test('the numbers of attributes are those of this machine’s headers', () => {
  const header = readFileSync('/usr/include/linux/netfilter/nf_tables.h', 'utf8');
  const [, body = ''] = /enum nft_trace_attributes \{([^}]*)\}/.exec(header) ?? [];
  const names = body.split(',').map((name) => name.trim());
  const source = readFileSync(new URL('../../../src/wire/nftrace.ts', import.meta.url), 'utf8');
  const cases = [...source.matchAll(/case (\d+): \/\/ (NFTA_TRACE_\w+)/g)].filter(
    ([, , name]) => !name?.includes('_CT_'),
  );
  expect(cases.length).toBeGreaterThan(10);
  for (const [, number, name] of cases) expect(names[Number(number)]).toBe(name);
});

test('its heir goes on with the socket, and with a packet that awaits its verdict', async () => {
  const memory = new Memory(32 << 20);
  const going = await new TestInput(verdict as unknown as InputPlugin, {}, { memory }).start();
  const listening = () => kernel.sockets.filter(({ groups }) => groups.has(NFNLGRP_NFTRACE));
  const socket = listening().at(-1) as FakeSocket;
  socket.bring(begin(5));
  await kernel.idle();
  const coming = await new TestInput(verdict as unknown as InputPlugin, {}, { memory }).start(
    going.service.handOver?.(),
  );
  expect(listening().at(-1)).toBe(socket);
  socket.bring(filter(5, NF_DROP));
  await kernel.idle();
  expect(coming.events).toMatchObject([
    { 'verdict.action': 'drop', 'verdict.chain': 'fw', 'raw.mac': LINK.toString('hex') },
  ]);
  await going.service.stop?.();
  await coming.service.stop?.();
  expect([going, coming].map(({ service }) => service.counters?.()['packets without a verdict'])).toEqual([0, 0]);
});

test('the rules are looked for at the start and every 30 s; that they are missing is said once each time', async () => {
  const said = () => input.log.filter((line) => line.includes('the audit rules are not there')).length;
  let missing = false;
  kernel.refusal = () => (missing ? 2 : 0); // ENOENT
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  try {
    input = await new TestInput(verdict as unknown as InputPlugin).start();
    await kernel.idle();
    expect(said()).toBe(0);
    missing = true;
    for (let i = 0; i < 3; i++) {
      vi.advanceTimersByTime(30_000);
      await kernel.idle();
    }
    expect(said()).toBe(1);
    missing = false;
    vi.advanceTimersByTime(30_000);
    await kernel.idle();
    missing = true;
    vi.advanceTimersByTime(30_000);
    await kernel.idle();
    expect(said()).toBe(2);
    await input.service.stop?.();
    expect(vi.getTimerCount()).toBe(0);
  } finally {
    vi.useRealTimers();
  }
});
