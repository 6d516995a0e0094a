import { describe, expect, test } from 'vitest';
import pwsniff from '../../../src/filter/pwsniff.ts';
import { extension, fragment, ipv4, ipv6, PROTOCOL, tcp, udp } from '../../support/packets.ts';
import { TestStage } from '../../support/stage.ts';

const stage = new TestStage(pwsniff);
const segment = (text: string, dport = 21) =>
  tcp({ dport, options: Buffer.from('020405b4', 'hex') }, Buffer.from(text));
const run = (packet: Buffer, on = stage) => on.run({ 'raw.pkt': packet.toString('hex') });
const sniff = (text: string, dport = 21) => run(ipv4({}, segment(text, dport)));
const user = (name: string) => ({ 'pwsniff.user': name });
const pass = (word: string) => ({ 'pwsniff.pass': word });

describe('what is sent in the clear', () => {
  test.each([21, 110])('USER and PASS to port %d', (port) => {
    expect(sniff('USER alice\r\n', port)).toEqual(user('alice'));
    expect(sniff('pass s3cret word\r\n', port)).toEqual(pass('s3cret word'));
    expect(sniff('CAPA\r\nUSER bob\r\nPASS x\r\n', port)).toEqual({ ...user('bob'), ...pass('x') });
  });

  test.each([
    ['a1 LOGIN alice s3cret\r\n', 'alice', 's3cret'],
    ['. login "alice b" "pa\\"ss"\r\n', 'alice b', 'pa\\"ss'],
    ['a1 CAPABILITY\r\na2 LOGIN "" ""\r\na3 LOGIN x y\r\n', 'x', 'y'],
  ])('LOGIN of IMAP: %j', (text, name, word) => {
    expect(sniff(text, 143)).toEqual({ ...user(name), ...pass(word) });
  });

  test('over IPv6, behind extension headers', () => {
    expect(run(ipv6({ extensions: [extension(PROTOCOL.destination)] }, segment('USER eve\r\n')))).toEqual(user('eve'));
  });

  test('a line that the packet cuts off counts as far as it goes', () => {
    expect(sniff('USER al')).toEqual(user('al'));
  });
});

describe('what ends here', () => {
  test.each([
    '',
    'QUIT\r\n',
    'USER\r\n',
    'USER \r\n',
    'USERS x\r\n',
    'a1 LOGIN\r\n',
    'a1 LOGIN alice\r\n',
    ' LOGIN a b\r\n',
  ])('text without a login: %j', (text) => {
    expect(sniff(text)).toBeUndefined();
  });

  test('other ports, other protocols, later fragments, no packet', () => {
    expect(sniff('USER alice\r\n', 80)).toBeUndefined();
    expect(run(ipv4({}, udp({ dport: 21 }, Buffer.from('USER alice\r\n'))))).toBeUndefined();
    expect(run(ipv4({ fragoff: 8 }, segment('USER alice\r\n')))).toBeUndefined();
    expect(run(ipv6({ extensions: [fragment(8, false)] }, segment('USER alice\r\n')))).toBeUndefined();
    expect(stage.run({})).toBeUndefined();
  });

  test('a packet cut at any byte is never read beyond its end', () => {
    const packet = ipv4({}, segment('USER alice\r\nPASS x\r\n'));
    for (let length = 0; length < packet.length; length++) {
      const event = { 'raw.pkt': packet.subarray(0, length).toString('hex') };
      expect(stage.run(event, 0x41)).toEqual(stage.run(event, 0x0a));
    }
  });

  test('everything, as in ulogd 2.0.8, which looks at the wrong key', () => {
    expect(run(ipv4({}, segment('USER alice\r\n')), new TestStage(pwsniff, { compat: true }))).toBeUndefined();
  });
});
