import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  ANNOUNCE_ALWAYS,
  ANNOUNCE_NEVER,
  ANNOUNCE_ONCE,
  Announcement,
  type MessageSettings,
  MessageWriter,
  messageEnd,
  Template,
} from '../../../src/wire/ipfix.ts';
import { LineBuffer } from '../../../src/wire/line-buffer.ts';
import { decodeIpfix } from '../../support/ipfix.ts';

const templates = [
  new Template(256, [{ field: 8, length: 4 }, { field: 7, length: 2 }]),
  new Template(300, [{ vendor: 29305, field: 85, length: 8 }, { field: 4, length: 1 }]),
  new Template(511, [{ field: 149, length: 4 }, { field: 166, length: 8 }], 1),
]; // biome-ignore format: templates

/** Writes a record of each of these templates, filled with its position, and returns the messages. */
function written(order: readonly number[], settings: Partial<MessageSettings> = {}): Buffer {
  const buffer = new LineBuffer(64);
  const writer = new MessageWriter(buffer, {
    limit: 100,
    domain: 7,
    announce: ANNOUNCE_ALWAYS,
    countOwn: false,
    ...settings,
  });
  for (const [i, which] of order.entries()) {
    const template = templates[which] as Template;
    const at = writer.begin(template, 1795254797);
    buffer.bytes.fill(i, at, at + template.size);
    buffer.length = at + template.size;
  }
  writer.close();
  writer.close();
  return Buffer.from(buffer.bytes.subarray(0, buffer.length));
}

const orders = fc.array(fc.nat({ max: templates.length - 1 }), { maxLength: 100 });

test('whatever the order of records, each is there once, in messages within the limit, and the sequence number counts those before', () => {
  fc.assert(
    fc.property(orders, fc.integer({ min: 60, max: 300 }), (order, limit) => {
      const { messages, records } = decodeIpfix(written(order, { limit }));
      expect(records.map(({ template }) => template)).toEqual(order.map((which) => templates[which]?.id));
      for (const [i, { fields }] of records.entries())
        for (const value of Object.values(fields))
          expect(Buffer.from(value, 'hex').every((byte) => byte === i)).toBe(true);
      let before = 0;
      for (const message of messages) {
        expect(message.length).toBeLessThanOrEqual(limit);
        expect(message.sequence).toBe(before);
        before += message.records;
      }
    }),
  );
});

test('messages are as full as they can be', () => {
  // 16 of header, 16 of the template's set, 4 of the records' set, 6 for each record: ten fit into 100.
  expect(decodeIpfix(written(Array(25).fill(0))).messages.map(({ records }) => records)).toEqual([10, 10, 5]);
});

test('templates are announced in each message, in the first alone, or in none', () => {
  const order = Array(25).fill(0);
  expect(decodeIpfix(written(order)).announced).toEqual([256, 256, 256]);
  expect(decodeIpfix(written(order, { announce: ANNOUNCE_ONCE })).announced).toEqual([256]);
  expect(() => decodeIpfix(written(order, { announce: ANNOUNCE_NEVER }))).toThrow('which nothing announced');
});

test("ulogd's sequence number counts the message's own records, too", () => {
  const { messages } = decodeIpfix(written(Array(25).fill(0), { countOwn: true }));
  expect(messages.map(({ sequence }) => sequence)).toEqual([10, 20, 25]);
});

test('an announcement has every template, within the limit, and the time and number of what follows', () => {
  const known = new Map();
  const next = written([0, 1, 2], { announce: ANNOUNCE_NEVER });
  next.writeUInt32BE(4711, 8);
  const ahead = new Announcement(templates, 40, 7).before(next);
  const { messages, announced } = decodeIpfix(Buffer.from(ahead as Uint8Array), known);
  expect(announced).toEqual([256, 300, 511]);
  expect(messages).toEqual([
    { length: 32, sequence: 4711, records: 0 },
    { length: 36, sequence: 4711, records: 0 },
    { length: 34, sequence: 4711, records: 0 },
  ]);
  expect(decodeIpfix(next, known).records.map(({ time, domain }) => [time, domain])).toEqual(
    Array(3).fill([1795254797, 7]),
  );
});

test('what begins with templates needs no announcement', () => {
  expect(new Announcement(templates, 100, 7).before(written([0]))).toBeUndefined();
});

test('messages can be told apart', () => {
  const bytes = written(Array(25).fill(1));
  const ends = [];
  for (let at = 0; at < bytes.length; ) {
    at = messageEnd(bytes, at);
    ends.push(at);
  }
  expect(ends).toHaveLength(decodeIpfix(bytes).messages.length);
  expect(ends.at(-1)).toBe(bytes.length);
});

test('bytes of something else, which a spool may hold, are taken as one message and announced by nothing', () => {
  const announcement = new Announcement(templates, 100, 7);
  for (const bytes of [Buffer.alloc(100), Buffer.from('{"a": 1}\n'), Buffer.alloc(17), Buffer.alloc(1)]) {
    expect(messageEnd(bytes, 0)).toBe(bytes.length);
    expect(announcement.before(bytes)).toBeUndefined();
  }
});

test.each([255, 512])('a template cannot have the id %i', (id) => {
  expect(() => new Template(id, [])).toThrow(RangeError);
});
