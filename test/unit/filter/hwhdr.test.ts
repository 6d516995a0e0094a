import { describe, expect, test } from 'vitest';
import hwhdr from '../../../src/filter/hwhdr.ts';
import { TestStage } from '../../support/stage.ts';

const ethernet = '0200000000bb02000000000a0800';
const text = {
  'mac.saddr.str': '02:00:00:00:00:0a',
  'mac.daddr.str': '02:00:00:00:00:bb',
  'mac.str': '02:00:00:00:00:bb:02:00:00:00:00:0a:08:00',
};

describe.each([false, true])('link layer addresses as text, as ulogd 2.0.8 wrote them (compat %s)', (compat) => {
  const stage = new TestStage(hwhdr, { compat });

  test('Ethernet, in the order of ulogd', () => {
    const written = stage.run({
      'raw.type': 1,
      'oob.protocol': 0x0800,
      'raw.mac': ethernet,
      'raw.mac.saddr': '02000000000a',
    });
    expect(Object.entries(written ?? {})).toEqual(Object.entries({ 'raw.type': 1, 'oob.protocol': 0x0800, ...text }));
  });

  test('the ethertype of the frame wins', () => {
    const written = stage.run({ 'raw.type': 1, 'oob.protocol': 4, 'raw.mac': '0200000000bb02000000000a0003' });
    expect(written).toMatchObject({ 'oob.protocol': 3 });
  });

  test("the kernel's source address wins over that of the frame", () => {
    const written = stage.run({
      'raw.type': 1,
      'oob.protocol': 0x0800,
      'raw.mac': ethernet,
      'raw.mac.saddr': 'fa163e000102',
    });
    expect(written).toMatchObject({ 'mac.saddr.str': 'fa:16:3e:00:01:02', 'mac.daddr.str': '02:00:00:00:00:bb' });
  });

  test('a header of 14 bytes without a type is Ethernet', () => {
    expect(stage.run({ 'oob.protocol': 0x0800, 'raw.mac': ethernet })).toEqual({
      'raw.type': 1,
      'oob.protocol': 0x0800,
      ...text,
    });
  });

  test('loopback has a source, and a header that is no Ethernet', () => {
    const written = stage.run({
      'raw.type': 772,
      'oob.protocol': 0x0800,
      'raw.mac': `${'00'.repeat(12)}0800`,
      'raw.mac.saddr': '000000000000',
    });
    expect(written).toEqual({
      'raw.type': 772,
      'oob.protocol': 0x0800,
      'mac.saddr.str': '00:00:00:00:00:00',
      'mac.str': '00:00:00:00:00:00:00:00:00:00:00:00:08:00',
    });
  });

  test('a source alone has no type', () => {
    const written = stage.run({ 'oob.protocol': 0x0800, 'raw.mac.saddr': '02000000000a' });
    expect(written).toEqual({ 'raw.type': 65535, 'oob.protocol': 0x0800, 'mac.saddr.str': '02:00:00:00:00:0a' });
  });

  test('a packet that leaves, or comes out of a tunnel, has none of it', () => {
    expect(stage.run({ 'oob.protocol': 0x0800 })).toEqual({ 'oob.protocol': 0x0800 });
    expect(stage.run({ 'raw.type': 65534, 'oob.protocol': 0x0800 })).toEqual({
      'raw.type': 65534,
      'oob.protocol': 0x0800,
    });
  });
});

describe('lengths that nobody expects', () => {
  const stage = new TestStage(hwhdr);
  const text = (count: number) => Array.from({ length: count }, () => 'ab').join(':');

  test('a long header is shown, where ulogd 2.0.8 crashed or lost the packet', () => {
    const written = stage.run({
      'raw.type': 32,
      'oob.protocol': 0x0800,
      'raw.mac': 'ab'.repeat(44),
      'raw.mac.saddr': 'ab'.repeat(20),
    });
    expect(written).toMatchObject({ 'mac.str': text(44), 'mac.saddr.str': text(20) });
  });

  test('what no device has is cut', () => {
    const written = stage.run({
      'raw.type': 1,
      'oob.protocol': 0x0800,
      'raw.mac': 'ab'.repeat(5000),
      'raw.mac.saddr': 'ab'.repeat(5000),
    });
    expect(written).toMatchObject({ 'mac.str': text(160), 'mac.saddr.str': text(32), 'mac.daddr.str': text(6) });
  });

  test('an Ethernet header that is cut at any byte is shown as far as it goes', () => {
    for (let length = 0; length < 14; length++) {
      const event = { 'raw.type': 1, 'oob.protocol': 0x0800, 'raw.mac': ethernet.slice(0, 2 * length) };
      expect(stage.run(event, 0xff)).toEqual(stage.run(event, 0x00));
      expect(stage.run(event)).not.toHaveProperty('mac.daddr.str');
    }
  });

  test('what nobody reads is not written', () => {
    const alone = new TestStage(hwhdr, { unread: ['mac.str', 'mac.daddr.str', 'raw.type'] });
    const written = alone.run({ 'raw.type': 1, 'oob.protocol': 0x0800, 'raw.mac': ethernet });
    expect(written).toEqual({ 'oob.protocol': 0x0800, 'mac.saddr.str': '02:00:00:00:00:0a' });
  });
});
