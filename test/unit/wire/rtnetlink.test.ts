import { describe, expect, test } from 'vitest';
import { MessageBuilder } from '../../../src/wire/message-builder.ts';
import * as rt from '../../../src/wire/rtnetlink.ts';
import { address, messages, recordings, text } from './vectors.ts';

interface Expected {
  readonly link?: string;
  readonly address?: string;
  readonly index?: number;
  readonly prefix?: number;
  readonly deleted?: boolean;
  readonly up?: boolean;
}

const events = recordings<Expected>('rtnetlink');

describe('what the kernel tells is what ip(8) was told to do', () => {
  test.each(events.filter(({ expected }) => expected.link))('$name', ({ view, expected }) => {
    const link = new rt.Link();
    expect(rt.decodeLink(view, 0, messages(view)[0]![1], link)).toBe(true);
    const { index, deleted, nameOffset, nameLength } = link;
    expect({ ...expected, link: text(view, nameOffset, nameLength), index, deleted }).toEqual(expected);
    if (expected.up !== undefined) expect((link.flags & rt.IFF_UP) !== 0).toBe(expected.up);
  });

  test.each(events.filter(({ expected }) => expected.address))('$name', ({ view, expected }) => {
    const found = new rt.LinkAddress();
    expect(rt.decodeLinkAddress(view, 0, messages(view)[0]![1], found)).toBe(true);
    const { index, deleted, prefixLength: prefix } = found;
    expect({ address: address(view, found.addressOffset, found.addressLength), prefix, index, deleted }).toEqual(
      expected,
    );
    expect(found.family).toBe(found.addressLength === 4 ? 2 : 10);
  });
});

describe('what is malformed or something else', () => {
  const decodes = (bytes: Uint8Array, decode: (view: DataView, end: number) => boolean) =>
    decode(new DataView(bytes.buffer), bytes.length);
  const asLink = (view: DataView, end: number) => rt.decodeLink(view, 0, end, new rt.Link());
  const asAddress = (view: DataView, end: number) => rt.decodeLinkAddress(view, 0, end, new rt.LinkAddress());

  test('an address of five bytes', () => {
    const build = new MessageBuilder().message(rt.RTM_NEWADDR, 0, 0).raw(new Uint8Array(8));
    expect(decodes(build.bytes(rt.IFA_ADDRESS, new Uint8Array(5)).finish(), asAddress)).toBe(false);
  });

  test('a message without its header, and a message of another type', () => {
    expect(decodes(new MessageBuilder().message(rt.RTM_NEWLINK, 0, 0).finish(), asLink)).toBe(false);
    expect(decodes(rt.dumpLinks(1), asLink)).toBe(false);
    expect(decodes(rt.dumpAddresses(1), asAddress)).toBe(false);
  });
});

test('requests are as they were accepted by Linux 6.18', () => {
  expect(Buffer.from(rt.dumpLinks(77)).toString('hex')).toBe(`20000000120001034d00000000000000${'00'.repeat(16)}`);
  expect(Buffer.from(rt.dumpAddresses(77)).toString('hex')).toBe(`18000000160001034d00000000000000${'00'.repeat(8)}`);
});
