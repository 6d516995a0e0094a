import { expect, test } from 'vitest';
import { nearest, suggestion } from '../../../src/config/nearest.ts';

const plugins = [
  'NFLOG',
  'NFCT',
  'NFACCT',
  'BASE',
  'IP2STR',
  'IP2BIN',
  'IP2HBIN',
  'PRINTPKT',
  'PRINTFLOW',
  'LOGEMU',
  'JSON',
];
const options = ['netlink_socket_buffer_size', 'netlink_socket_buffer_maxsize', 'group', 'bind', 'unbind', 'db'];

test.each([
  ['nflog', plugins, 'NFLOG'],
  ['NFLGO', plugins, 'NFLOG'],
  ['NFLOGG', plugins, 'NFLOG'],
  ['IP2STRR', plugins, 'IP2STR'],
  ['PRINTPACKET', plugins, undefined],
  ['PRINTPCKT', plugins, 'PRINTPKT'],
  ['', plugins, undefined],
  ['netlink_socket_bufsize', options, 'netlink_socket_buffer_size'],
  ['netlink_socket_buffer_max_size', options, 'netlink_socket_buffer_maxsize'],
  ['gorup', options, 'group'],
  ['x', options, undefined],
  ['toString', options, undefined],
  ['anything', [], undefined],
])('what is near %o', (word, candidates, expected) => {
  expect(nearest(word, candidates)).toBe(expected);
});

test('the nearest of several wins, and the first of equals', () => {
  expect(nearest('IP2BIN', ['IP2HBIN', 'IP2BIN'])).toBe('IP2BIN');
  expect(nearest('ct3', ['ct1', 'ct2'])).toBe('ct1');
});

test('a word that is much too long is near nothing', () => {
  expect(nearest('x'.repeat(1e6), options)).toBeUndefined();
});

test('a suggestion ends a message, or is nothing', () => {
  expect(suggestion('gruop', options)).toBe('; did you mean "group"?');
  expect(suggestion('colour', options)).toBe('');
});
