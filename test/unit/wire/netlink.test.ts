import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MessageBuilder } from '../../../src/wire/message-builder.ts';
import { subsecondNanoseconds, wholeSeconds } from '../../../src/wire/nanoseconds.ts';
import { messageEnd, NLM_F_ACK_TLVS, NLMSG_DONE } from '../../../src/wire/netlink.ts';
import { decodeAck, NetlinkAck } from '../../../src/wire/netlink-ack.ts';
import { datagram, messages, recordings, text } from './vectors.ts';

const hexOf = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');

describe('answers of the kernel', () => {
  interface Expected {
    readonly ack?: { readonly error: number; readonly message: string; readonly bad: number };
  }
  const answers = [...recordings<Expected>('acks'), ...recordings<Expected>('rtnetlink')].filter(
    ({ expected }) => expected.ack,
  );

  test.each(answers)('$name', ({ view, expected }) => {
    const ack = new NetlinkAck();
    expect(decodeAck(view, 0, messages(view)[0]![1], ack)).toBe(true);
    const message = text(view, ack.messageOffset, ack.messageLength);
    expect({ error: ack.error, message, bad: ack.badAttribute }).toEqual(expected.ack);
    expect(ack.sequence).toBe(77);
  });

  test('the end of a dump may explain itself', () => {
    const bytes = new MessageBuilder()
      .message(NLMSG_DONE, NLM_F_ACK_TLVS, 5)
      .raw(Uint8Array.of(0xf4, 0xff, 0xff, 0xff))
      .string(1, 'no')
      .finish();
    const ack = new NetlinkAck();
    expect(decodeAck(new DataView(bytes.buffer), 0, bytes.length, ack)).toBe(true);
    expect(ack).toMatchObject({ sequence: 5, error: 12, messageLength: 2 });
  });

  test('an event is no answer, and half an answer is malformed', () => {
    const ack = new NetlinkAck();
    const event = recordings('conntrack')[0]!.view;
    expect(decodeAck(event, 0, event.byteLength, ack)).toBe(false);
    const { view } = datagram('24000000 0200 0000 4d000000 00000000 feffffff 14000000 0101 0500 4d000000');
    expect(decodeAck(view, 0, view.byteLength, ack)).toBe(false);
  });
});

describe('the messages of a datagram', () => {
  test.each([
    ['shorter than a header', '0f000000 0000000000000000 000000'],
    ['of length 0', '00000000 000000000000000000000000'],
    ['longer than the datagram', '15000000 000000000000000000000000'],
    ['of the greatest length', 'ffffffff 000000000000000000000000'],
  ])('%s', (_, bytes) => {
    const { view } = datagram(bytes);
    expect(messageEnd(view, 0, view.byteLength)).toBe(-1);
  });

  test('need not be padded at the end', () => {
    const { view } = datagram('10000000 000000000000000000000000 11000000 000000000000000000000000 01');
    expect(messages(view)).toEqual([
      [0, 16],
      [16, 33],
    ]);
  });
});

describe('requests', () => {
  test('have their lengths filled in, nested and several in a row', () => {
    const bytes = new MessageBuilder()
      .message(0x101, 4, 1)
      .nest(1)
      .u8(2, 3)
      .nest(4)
      .be16(5, 6)
      .end()
      .end()
      .message(3, 0, 2)
      .string(7, 'ab')
      .finish();
    expect(hexOf(bytes)).toBe(
      `28000000010105000100000000000000${'18000180'}${'0500020003000000'}${'0c000480'}${'0600050000060000'}` +
        `18000000030001000200000000000000${'0700070061620000'}`,
    );
  });

  test('grow as needed and refuse what no attribute holds', () => {
    const builder = new MessageBuilder().message(16, 0, 1);
    for (let i = 0; i < 200; i++) builder.be32(1, i);
    const bytes = builder.finish();
    expect(bytes.length).toBe(16 + 200 * 8);
    expect(new DataView(bytes.buffer).getUint32(bytes.length - 4)).toBe(199);
    expect(() => new MessageBuilder().message(16, 0, 1).bytes(1, new Uint8Array(0xfffc))).toThrow(RangeError);
  });

  test('are not finished before their nests', () => {
    expect(() => new MessageBuilder().message(16, 0, 1).nest(1).finish()).toThrow('1 nests are still open');
    expect(() => new MessageBuilder().message(16, 0, 1).end()).toThrow('no nest to end');
  });
});

describe('64-bit nanoseconds', () => {
  const half = fc.oneof(
    fc.integer({ min: 0, max: 2 ** 32 - 1 }),
    fc.constantFrom(0, 1, 2 ** 32 - 1, 999_999_999, 1_000_000_000),
  );
  // Times just before, at and after a whole second are where rounding would show.
  const edge = fc.tuple(fc.bigInt(0n, 18_446_744_072n), fc.constantFrom(-1n, 0n, 1n)).map(([seconds, off]) => {
    const value = BigInt.asUintN(64, seconds * 1_000_000_000n + off);
    return [Number(value >> 32n), Number(value & 0xffffffffn)] as const;
  });

  test('are split into seconds and the rest exactly', () => {
    fc.assert(
      fc.property(fc.oneof(fc.tuple(half, half), edge), ([high, low]) => {
        const value = (BigInt(high) << 32n) | BigInt(low);
        expect(BigInt(wholeSeconds(high, low))).toBe(value / 1_000_000_000n);
        expect(BigInt(subsecondNanoseconds(high, low))).toBe(value % 1_000_000_000n);
      }),
      { numRuns: 20_000 },
    );
  });
});
