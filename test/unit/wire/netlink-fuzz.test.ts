import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ConntrackEntry, decodeConntrack } from '../../../src/wire/conntrack.ts';
import { ConntrackStats, decodeConntrackStats } from '../../../src/wire/conntrack-stats.ts';
import { align, messageEnd } from '../../../src/wire/netlink.ts';
import { decodeAck, NetlinkAck } from '../../../src/wire/netlink-ack.ts';
import { decodePacket, NflogPacket } from '../../../src/wire/nflog.ts';
import { decodeLink, decodeLinkAddress, Link, LinkAddress } from '../../../src/wire/rtnetlink.ts';
import { describeDatagram } from '../../../src/wire/text.ts';
import { recordings } from './vectors.ts';

type Decode = (view: DataView, start: number, end: number) => readonly [ok: boolean, into: object];

const ALL = 0xffffffff;
/** Every decoder, with the recordings that it is meant for and the protocol that describes them. */
const decoders: readonly [name: string, recording: string, protocol: number, decode: Decode][] = [
  ['entries', 'conntrack', 12, (...at) => ((into) => [decodeConntrack(...at, into, ALL), into])(new ConntrackEntry())],
  ['packets', 'nflog', 12, (...at) => ((into) => [decodePacket(...at, into, ALL), into])(new NflogPacket())],
  [
    'statistics',
    'conntrack-stats',
    12,
    (...at) => ((into) => [decodeConntrackStats(...at, into), into])(new ConntrackStats()),
  ],
  ['links', 'rtnetlink', 0, (...at) => ((into) => [decodeLink(...at, into), into])(new Link())],
  ['addresses', 'rtnetlink', 0, (...at) => ((into) => [decodeLinkAddress(...at, into), into])(new LinkAddress())],
  ['answers', 'acks', 0, (...at) => ((into) => [decodeAck(...at, into), into])(new NetlinkAck())],
];

/** Every value of a decoded object, offsets counted from where the datagram begins; fails if any points outside. */
function values(decoded: object, start: number, size: number): Record<string, unknown> {
  const all: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(decoded) as [string, unknown][]) {
    if (value instanceof Uint32Array) all[key] = value.join();
    else if (typeof value === 'object') all[key] = values(value as object, start, size);
    else all[key] = value;
    const part = /^(.*)(Offset|offset)$/.exec(key);
    const length = part && (decoded as Record<string, unknown>)[part[2] === 'offset' ? 'length' : `${part[1]}Length`];
    if (part && typeof length === 'number' && (value as number) > 0) {
      const offset = (value as number) - start;
      expect(offset).toBeGreaterThanOrEqual(0);
      expect(offset + length).toBeLessThanOrEqual(size);
      all[key] = offset;
    }
  }
  return all;
}

/**
 * Decodes bytes alone in a view, where a read beyond them throws, and in the midst of others at an odd place, twice: what
 * lies outside must not matter.
 */
function decodeAnywhere(decode: Decode, bytes: Uint8Array): readonly [boolean, object] {
  const [ok, into] = decode(new DataView(bytes.slice().buffer), 0, bytes.length);
  const alone = values(into, 0, bytes.length);
  for (const outside of [0x00, 0xff]) {
    const buffer = new Uint8Array(bytes.length + 64).fill(outside);
    buffer.set(bytes, 13);
    const [okThere, intoThere] = decode(new DataView(buffer.buffer), 13, 13 + bytes.length);
    expect(okThere).toBe(ok);
    expect(values(intoThere, 13, bytes.length)).toEqual(alone);
  }
  return [ok, into];
}

/** A change to a datagram: bits flipped, and lengths that were never true written where a length may stand. */
const damage = fc.array(
  fc.oneof(
    fc.record({ at: fc.nat(), flip: fc.integer({ min: 1, max: 255 }) }),
    fc.record({
      at: fc.nat(),
      length: fc.oneof(fc.constantFrom(0, 1, 3, 4, 5, 7, 8, 0x7fff, 0xffff), fc.integer({ min: 0, max: 300 })),
    }),
  ),
  { minLength: 1, maxLength: 6 },
);

describe.each(decoders)(
  '%s: whatever the bytes, nothing is thrown and nothing read outside',
  (_, recording, protocol, decode) => {
    const samples = recordings(recording).map(({ bytes }) => bytes);

    test('recordings cut short at every byte', () => {
      for (const bytes of samples) {
        const whole = messageEnd(new DataView(bytes.buffer), 0, bytes.length);
        for (let size = 0; size <= whole; size++) decodeAnywhere(decode, bytes.slice(0, size));
      }
    });

    test('damaged recordings', () => {
      fc.assert(
        fc.property(fc.constantFrom(...samples), damage, (sample, changes) => {
          const bytes = sample.slice();
          const view = new DataView(bytes.buffer);
          for (const change of changes) {
            if ('flip' in change) bytes[change.at % bytes.length]! ^= change.flip;
            else view.setUint16((change.at % (bytes.length >> 2)) << 2, change.length, true);
          }
          decodeAnywhere(decode, bytes);
          describeDatagram(view, 0, bytes.length, protocol);
        }),
        { numRuns: 1000 },
      );
    });

    test('random bytes behind the right header', () => {
      fc.assert(
        fc.property(fc.constantFrom(...samples), fc.uint8Array({ maxLength: 200 }), (sample, tail) => {
          const bytes = new Uint8Array(20 + tail.length);
          bytes.set(sample.subarray(0, 20));
          bytes.set(tail, 20);
          new DataView(bytes.buffer).setUint32(0, bytes.length, true);
          decodeAnywhere(decode, bytes);
          describeDatagram(new DataView(bytes.buffer), 0, bytes.length, protocol);
        }),
        { numRuns: 1000 },
      );
    });
  },
);

test('random bytes end as messages', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.constantFrom(0, 12), (bytes, protocol) => {
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
      for (let at = 0; at < bytes.length; ) {
        const end = messageEnd(view, at, bytes.length);
        if (end < 0) break;
        expect(end).toBeGreaterThan(at);
        at += align(end - at);
      }
      describeDatagram(view, 0, bytes.length, protocol);
    }),
    { numRuns: 3000 },
  );
});

test('an attribute of length 0 is malformed, not for ever', () => {
  for (const bytes of recordings('conntrack').map((recording) => recording.bytes)) {
    const damaged = bytes.slice();
    damaged.fill(0, 20, 22);
    expect(decodeAnywhere(decoders[0]![3], damaged)[0]).toBe(false);
  }
});
