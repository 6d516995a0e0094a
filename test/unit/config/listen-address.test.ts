import { expect, test } from 'vitest';
import { parseListenAddress } from '../../../src/config/listen-address.ts';

test.each([
  ['127.0.0.1:9517', '127.0.0.1', 9517],
  ['localhost:0', 'localhost', 0],
  ['[::1]:65535', '::1', 65535],
  ['[fe80::1%eth0]:80', 'fe80::1%eth0', 80],
  [':9517', undefined, 9517],
])('%s', (text, host, port) => {
  expect(parseListenAddress(text)).toEqual({ host, port });
});

test.each([
  '9517',
  '127.0.0.1',
  '::1:9517',
  '[::1]',
  '127.0.0.1:http',
  '127.0.0.1:123456',
  'http://a:80',
  '[a b]:1',
  '',
])('%j is none', (text) => {
  expect(() => parseListenAddress(text)).toThrow('is not of the form 127.0.0.1:9517 or [::1]:9517');
});

test('a port beyond the last is named', () => {
  expect(() => parseListenAddress('127.0.0.1:65536')).toThrow('there is no port 65536 (0-65535)');
});
