import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ADDRESS_BYTES, FlowTable } from '../../../src/input/conntrack/flow-table.ts';
import { Moment } from '../../../src/input/conntrack/flow-times.ts';
import { ConntrackEntry } from '../../../src/wire/conntrack.ts';
import { CTA_MARK } from '../../../src/wire/ctnetlink.ts';
import { IP_TEXT_LENGTH, writeIp } from '../../../src/wire/ip-text.ts';
import { type Connection, entryOf, view } from './conntrack-entry.ts';

const UDP = 17;
const at = (seconds: number): Moment => {
  const moment = new Moment();
  moment.set(seconds, seconds % 1_000_000);
  return moment;
};
const put = (table: FlowTable, connection: Connection, start = 1) => table.put(view, entryOf(connection), at(start));
const find = (table: FlowTable, connection: Connection) => table.find(view, entryOf(connection));
function startOf(table: FlowTable, index: number): number {
  const moment = new Moment();
  table.startOf(index, moment);
  expect(moment.microseconds).toBe(moment.seconds % 1_000_000);
  return moment.seconds;
}

/** What can be read back from the table, in the words of a connection. */
function restored(table: FlowTable, index: number): Connection & { family: number; bytes: readonly [bigint, bigint] } {
  const entry = new ConntrackEntry();
  const memory = new DataView(new ArrayBuffer(ADDRESS_BYTES + 8));
  table.restore(index, entry, memory, 8);
  const bytes = new Uint8Array(memory.buffer);
  const { orig, reply, origCounters, replyCounters } = entry;
  const shown = (offset: number, length: number) => {
    const out = new Uint8Array(IP_TEXT_LENGTH + 3);
    return Buffer.from(out.subarray(0, writeIp(out, 0, bytes, offset, length))).toString();
  };
  expect(shown(reply.sourceOffset, reply.sourceLength)).toBe(shown(orig.destinationOffset, orig.destinationLength));
  expect(shown(reply.destinationOffset, reply.destinationLength)).toBe(shown(orig.sourceOffset, orig.sourceLength));
  const wide = (high: number, low: number) => (BigInt(high) << 32n) | BigInt(low);
  return {
    family: entry.family,
    source: shown(orig.sourceOffset, orig.sourceLength),
    destination: shown(orig.destinationOffset, orig.destinationLength),
    protocol: orig.protocol,
    ...(orig.protoPresent & 0x4 ? { ports: [orig.sourcePort, orig.destinationPort] as const } : {}),
    ...(orig.protoPresent & 0x120 ? { icmp: [orig.icmpType, orig.icmpCode, orig.icmpId] as const } : {}),
    id: entry.id,
    mark: (entry.present >>> CTA_MARK) & 1 ? entry.mark : -1,
    packets: [
      wide(origCounters.packetsHigh, origCounters.packetsLow),
      wide(replyCounters.packetsHigh, replyCounters.packetsLow),
    ],
    bytes: [wide(origCounters.bytesHigh, origCounters.bytesLow), wide(replyCounters.bytesHigh, replyCounters.bytesLow)],
  };
}

const udp: Connection = { source: '10.0.0.1', destination: '10.0.0.2', protocol: UDP, ports: [1000, 53], id: 7 };

describe('one connection', () => {
  test('is found by its tuple, not by its id', () => {
    const table = new FlowTable(10);
    const index = put(table, udp, 5);
    expect(find(table, { ...udp, id: 8 })).toBe(index);
    expect(startOf(table, index)).toBe(5);
    expect(table.size).toBe(1);
  });

  test.each<[string, Partial<Connection>]>([
    ['source', { source: '10.0.0.3' }],
    ['destination', { destination: '10.0.0.3' }],
    ['protocol', { protocol: 6 }],
    ['source port', { ports: [1001, 53] }],
    ['destination port', { ports: [1000, 54] }],
    ['ports exchanged', { ports: [53, 1000] }],
    ['zone', { zone: 1 }],
    ['zone of the original direction', { originalZone: 1 }],
    ['family', { source: '::a00:1', destination: '::a00:2' }],
  ])('is another one with another %s', (_, change) => {
    const table = new FlowTable(10);
    put(table, udp);
    expect(find(table, { ...udp, ...change })).toBe(-1);
    put(table, { ...udp, ...change });
    expect(table.size).toBe(2);
  });

  test.each<[string, Connection]>([
    ['ICMP', { source: '10.0.0.1', destination: '10.0.0.2', protocol: 1, icmp: [8, 0, 77], id: 1 }],
    ['ICMPv6', { source: 'fd00::1', destination: 'fd00::2', protocol: 58, icmp: [128, 0, 77], id: 1 }],
  ])('of %s is told apart by type, code and id', (_, echo) => {
    const table = new FlowTable(10);
    const index = put(table, echo);
    const [type, code, id] = echo.icmp!;
    for (const icmp of [
      [type + 1, code, id],
      [type, code + 1, id],
      [type, code, id + 1],
    ] as const) {
      expect(find(table, { ...echo, icmp })).toBe(-1);
    }
    expect(find(table, echo)).toBe(index);
  });

  test('without ports is found whatever came between', () => {
    const table = new FlowTable(10);
    const plain: Connection = { source: '10.0.0.1', destination: '10.0.0.2', protocol: 253, id: 3 };
    const index = put(table, plain);
    put(table, { ...udp, zone: 9 });
    put(table, { ...udp, originalZone: 7 });
    expect(find(table, plain)).toBe(index);
  });

  test('comes back from the table as it was put there', () => {
    const table = new FlowTable(10);
    const connections: Connection[] = [
      { ...udp, mark: 0xffffffff, packets: [2n ** 64n - 1n, 2n ** 32n] },
      { source: 'fd00::1', destination: '2001:db8::ffff', protocol: 6, ports: [65535, 1], id: 0xffffffff, mark: 1 },
      { source: 'fd00::1', destination: 'fd00::2', protocol: 58, icmp: [128, 3, 65535], id: 9 },
      { source: '1.2.3.4', destination: '255.255.255.255', protocol: 1, icmp: [255, 255, 0], id: 10 },
      { source: '1.2.3.4', destination: '5.6.7.8', protocol: 253, id: 11 },
    ];
    const indexes = connections.map((connection) => put(table, connection));
    for (const [i, connection] of connections.entries()) {
      const packets = connection.packets ?? [0n, 0n];
      const swap = (n: bigint) => ((n & 0xffffffffn) << 32n) | (n >> 32n);
      expect(restored(table, indexes[i]!)).toEqual({
        mark: 0,
        ...connection,
        packets,
        bytes: packets.map(swap),
        family: connection.source.includes(':') ? 10 : 2,
      });
    }
  });

  test('a change keeps begin, mark and counters that it does not tell of', () => {
    const table = new FlowTable(10);
    const index = put(table, { ...udp, mark: 5, packets: [3n, 4n] }, 100);
    expect(put(table, udp, 200)).toBe(index);
    expect(startOf(table, index)).toBe(100);
    expect(restored(table, index)).toMatchObject({ mark: 5, packets: [3n, 4n] });
    put(table, { ...udp, mark: 0, packets: [5n, 6n] }, 300);
    expect(restored(table, index)).toMatchObject({ mark: 0, packets: [5n, 6n] });
    expect(table.size).toBe(1);
  });

  test('with another id is a new one, whose predecessor went unnoticed: nothing of that is kept', () => {
    const table = new FlowTable(10);
    const index = put(table, { ...udp, mark: 5, packets: [3n, 4n] }, 100);
    expect(put(table, { ...udp, id: 8 }, 200)).toBe(index);
    expect(startOf(table, index)).toBe(200);
    expect(restored(table, index)).toMatchObject({ id: 8, mark: 0, packets: [0n, 0n] });
    expect(table.size).toBe(1);
  });
});

test('a full table refuses and counts what is new, and still follows what it knows', () => {
  const table = new FlowTable(2);
  const [one, two, three] = [1, 2, 3].map((port): Connection => ({ ...udp, ports: [port, 53], id: port }));
  put(table, one!);
  put(table, two!);
  expect(put(table, three!)).toBe(-1);
  expect(put(table, three!)).toBe(-1);
  expect([table.size, table.refused]).toEqual([2, 2]);
  expect(put(table, { ...one!, mark: 9 })).toBe(find(table, one!));
  table.remove(find(table, two!));
  expect(put(table, three!)).toBeGreaterThanOrEqual(0);
  expect([table.size, table.refused]).toEqual([2, 2]);
});

test('what the last dump did not show is visited once, and may be removed there', () => {
  const table = new FlowTable(100);
  const all = Array.from({ length: 10 }, (_, port): Connection => ({ ...udp, ports: [port, 53], id: port }));
  for (const connection of all) put(table, connection);
  table.generation++;
  for (const connection of all.slice(0, 4)) put(table, connection);
  const visited: number[] = [];
  table.forEachOlder((index) => {
    visited.push(restored(table, index).id);
    table.remove(index);
  });
  expect(visited.sort()).toEqual([4, 5, 6, 7, 8, 9]);
  expect(table.size).toBe(4);
  table.forEachOlder(() => expect.unreachable());
  expect(all.map((connection) => find(table, connection) >= 0)).toEqual([
    ...Array(4).fill(true),
    ...Array(6).fill(false),
  ]);
});

test('forty thousand connections: chunks, widening and the free list', () => {
  const count = 40_000;
  const table = new FlowTable(count);
  const make = (n: number): Connection => ({
    source: n % 3 === 0 ? `fd00::${(n >> 8).toString(16)}` : `10.${n >> 14}.${(n >> 7) & 127}.1`,
    destination: n % 3 === 0 ? 'fd00::1' : '192.0.2.1',
    protocol: UDP,
    ports: [n & 0xffff, 53],
    id: n,
  });
  for (let n = 0; n < count; n++) put(table, make(n), n);
  expect([table.size, table.refused]).toEqual([count, 0]);
  for (let n = 0; n < count; n += 2) table.remove(find(table, make(n)));
  expect(table.size).toBe(count / 2);
  const fresh = (n: number): Connection => ({ ...make(n), ports: [n & 0xffff, 443], id: n + 1_000_000 });
  for (let n = 0; n < count; n += 2) put(table, fresh(n), n + 1);
  expect([table.size, table.refused]).toEqual([count, 0]);
  let wrong = 0;
  for (let n = 0; n < count; n++) {
    const [index, other] = [find(table, make(n)), find(table, fresh(n))];
    if (n % 2 === 0) wrong += index !== -1 || startOf(table, other) !== n + 1 ? 1 : 0;
    else wrong += other !== -1 || startOf(table, index) !== n ? 1 : 0;
  }
  expect(wrong).toBe(0);
});

describe('against a Map', () => {
  const v4 = fc.constantFrom('10.0.0.1', '10.0.0.2', '192.0.2.1');
  const v6 = fc.constantFrom('fd00::1', 'fd00::2', '2001:db8::a00:1', '::a00:1');
  const port = fc.constantFrom(0, 1, 53, 65535);
  const shape = (addresses: fc.Arbitrary<string>, icmp: number) =>
    fc.record({
      source: addresses,
      destination: addresses,
      kind: fc.oneof(
        fc.record({ protocol: fc.constantFrom(6, 17, 132), ports: fc.tuple(port, port) }),
        fc.record({
          protocol: fc.constant(icmp),
          icmp: fc.tuple(fc.constantFrom(0, 8, 128), fc.constantFrom(0, 3), port),
        }),
        fc.record({ protocol: fc.constantFrom(47, 50, 253) }),
      ),
      zone: fc.constantFrom({}, { zone: 0 }, { zone: 1 }, { zone: 65535 }, { originalZone: 1 }),
    });
  const tuple = fc
    .oneof(shape(v4, 1), shape(v6, 58))
    .map(({ source, destination, kind, zone }) => ({ source, destination, ...kind, ...zone }));
  const id = fc.integer({ min: 1, max: 3 });
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.record({ do: fc.constant('put' as const), tuple, id, start: fc.nat({ max: 999 }) }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('remove' as const), tuple }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('find' as const), tuple }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('generation' as const) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant('purge' as const) }) },
  );
  // No zone and zone 0 are the same; so are a zone of both directions and one of the original: no two such tuples can be.
  const keyOf = ({ zone, originalZone, ...rest }: Partial<Connection>) =>
    JSON.stringify([zone ?? originalZone ?? 0, rest.source, rest.destination, rest.protocol, rest.ports, rest.icmp]);

  test('whatever is put, found, removed and purged', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 30 }), fc.array(step, { maxLength: 120 }), (limit, steps) => {
        const table = new FlowTable(limit);
        const oracle = new Map<string, { id: number; start: number; generation: number }>();
        let refused = 0;
        for (const action of steps) {
          if (action.do === 'generation') table.generation++;
          else if (action.do === 'purge') {
            const seen: number[] = [];
            table.forEachOlder((index) => {
              seen.push(startOf(table, index));
              table.remove(index);
            });
            const expected = [...oracle].filter(([, { generation }]) => generation !== table.generation);
            for (const [key] of expected) oracle.delete(key);
            expect(seen.sort()).toEqual(expected.map(([, { start }]) => start).sort());
          } else {
            const key = keyOf(action.tuple);
            const known = oracle.get(key);
            const connection = { ...action.tuple, id: 1 } as Connection;
            const index = find(table, connection);
            expect(index >= 0).toBe(known !== undefined);
            if (known) expect(startOf(table, index)).toBe(known.start);
            if (action.do === 'remove' && known) {
              table.remove(index);
              oracle.delete(key);
            } else if (action.do === 'put') {
              const result = put(table, { ...connection, id: action.id }, action.start);
              if (!known && oracle.size >= limit) {
                refused++;
                expect(result).toBe(-1);
              } else {
                const start = known?.id === action.id ? known.start : action.start;
                oracle.set(key, { id: action.id, start, generation: table.generation });
                expect(startOf(table, result)).toBe(start);
              }
            }
          }
          expect([table.size, table.refused]).toEqual([oracle.size, refused]);
        }
      }),
      { numRuns: 400 },
    );
  });
});
