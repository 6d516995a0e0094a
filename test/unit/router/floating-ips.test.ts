import { expect, test } from 'vitest';
import { AddressMap } from '../../../src/router/address-map.ts';
import { FloatingIps } from '../../../src/router/floating-ips.ts';
import { address } from '../../support/packets.ts';

/** Addresses one behind the other in one view. */
function view(...addresses: string[]): DataView {
  return new DataView(Uint8Array.from(Buffer.concat(addresses.map(address))).buffer);
}

test('a map of addresses finds what was put in, and nothing else, through growth and removal', () => {
  const map = new AddressMap();
  const all = Array.from({ length: 10_000 }, (_, i) => `10.${i >> 14}.${(i >> 7) & 127}.${i & 127}`);
  all.forEach((text, i) => {
    map.set(view(text), 0, 4, i + 1);
  });
  expect(map.size).toBe(10_000);
  expect(all.every((text, i) => map.get(view(text), 0, 4) === i + 1)).toBe(true);
  expect(map.get(view('10.200.0.1'), 0, 4)).toBe(0);
  expect(map.get(view('::a00:1'), 0, 16)).toBe(0);
  for (const text of all.slice(0, 5000)) map.delete(view(text), 0, 4);
  expect(map.size).toBe(5000);
  expect(all.every((text, i) => map.get(view(text), 0, 4) === (i < 5000 ? 0 : i + 1))).toBe(true);
  map.set(view(all[0] as string), 0, 4, 7);
  expect(map.get(view(all[0] as string), 0, 4)).toBe(7);
  map.set(view('2001:db8::1'), 0, 16, 9);
  expect(map.get(view('2001:db8::1'), 0, 16)).toBe(9);
});

test('a floating address that moves belongs to each fixed address at its time', () => {
  const ips = new FloatingIps();
  const both = (fixed: string) => view('10.5.150.82', fixed);
  const a = ips.note(both('192.168.21.73'), 0, 4, 4, 1000, 1);
  expect(a).toBe(1);
  ips.retire(1, 1000, () => expect.fail('nothing has ended'));
  const b = ips.note(both('192.168.21.74'), 0, 4, 4, 2000, 2);
  const ended: number[] = [];
  ips.retire(2, 2000, (entry) => ended.push(entry));
  expect(ended).toEqual([a]);
  expect(ips.size).toBe(1);
  // Both pairs are known, whoever asks later: a connection that began before ends after.
  expect(ips.ofPair(both('192.168.21.73'), 0, 4, 4)).toBe(a);
  expect(ips.ofPair(both('192.168.21.74'), 0, 4, 4)).toBe(b);
  expect(ips.ofPair(both('192.168.21.75'), 0, 4, 4)).toBe(0);
  expect([1000, 1999, 2000].map((time) => ips.ofFixed(view('192.168.21.73'), 0, 4, time))).toEqual([a, a, 0]);
  // News of a rule come a little later than what it translated, but never stand against what is known of that time.
  expect([899, 900, 999].map((time) => ips.ofFixed(view('192.168.21.73'), 0, 4, time))).toEqual([0, a, a]);
  expect([1999, 2000].map((time) => ips.ofFloatingAt(view('10.5.150.82'), 0, 4, time))).toEqual([a, b]);
  expect([1899, 2000, 9999].map((time) => ips.ofFixed(view('192.168.21.74'), 0, 4, time))).toEqual([0, b, b]);
  // And back again.
  const again = ips.note(both('192.168.21.73'), 0, 4, 4, 3000, 3);
  ips.retire(3, 3000, () => {});
  expect([1500, 2500, 3500].map((time) => ips.ofFixed(view('192.168.21.73'), 0, 4, time))).toEqual([a, 0, again]);
});

test('a mapping of which a rule is deleted was over then, unless another rule still tells it', () => {
  const ips = new FloatingIps();
  const both = view('10.5.150.82', '192.168.21.73');
  const entry = ips.note(both, 0, 4, 4, 1000, 1);
  ips.doubt(both, 0, 4, 4, 2000);
  expect(ips.note(both, 0, 4, 4, 2100, 2)).toBe(0);
  ips.retire(2, 2100, () => expect.fail('it still holds'));
  ips.doubt(both, 0, 4, 4, 3000);
  ips.doubt(both, 0, 4, 4, 3100);
  ips.retire(3, 3200, () => {});
  expect(ips.until(entry)).toBe(3000);
});

test('what is over is forgotten in the end, and what holds never', () => {
  const ips = new FloatingIps(1000);
  const one = view('10.5.150.82', '192.168.21.73');
  const other = view('10.5.150.83', '192.168.21.73');
  for (let round = 1; round <= 5000; round++) {
    ips.note(one, 0, 4, 4, 0, round);
    const moving = view('10.5.150.83', `172.16.${(round >> 8) & 255}.${round & 255}`);
    ips.note(moving, 0, 4, 4, round, round);
    ips.retire(round, round, () => {});
    ips.forgetOld();
  }
  expect(ips.size).toBe(2);
  expect(ips.bytes.length).toBeLessThan(4096 * 32);
  expect(ips.ofPair(one, 0, 4, 4)).toBeGreaterThan(0);
  expect(ips.until(ips.ofPair(one, 0, 4, 4))).toBe(Number.POSITIVE_INFINITY);
  expect(ips.ofPair(other, 0, 4, 4)).toBe(0);
});
