import { describe, expect, test } from 'vitest';
import ip2bin from '../../../src/filter/ip2bin.ts';
import ip2hbin from '../../../src/filter/ip2hbin.ts';
import { TestStage } from '../../support/stage.ts';

const given = {
  'ip.saddr': '192.0.2.1',
  'ip.daddr': '2001:db8::1',
  'orig.ip.saddr': '0.0.0.0',
  'orig.ip.daddr': '255.255.255.255',
  'reply.ip.saddr': '10.1.2.3',
  'reply.ip.daddr': '10.1.2.4',
  'arp.saddr': '10.3.0.1',
  'arp.daddr': '10.3.0.2',
};
const BINARY = {
  'ip.saddr.bin': '0x00000000000000000000ffffc0000201',
  'ip.daddr.bin': '0x20010db8000000000000000000000001',
  'orig.ip.saddr.bin': '0x00000000000000000000ffff00000000',
  'orig.ip.daddr.bin': '0x00000000000000000000ffffffffffff',
  'reply.ip.saddr.bin': '0x00000000000000000000ffff0a010203',
};
const HOST_ORDER = {
  'ip.hsaddr': '1.2.0.192',
  'ip.hdaddr': '2001:db8::1',
  'orig.ip.hsaddr': '0.0.0.0',
  'orig.ip.hdaddr': '255.255.255.255',
  'reply.ip.hsaddr': '3.2.1.10',
};

describe('IP2BIN', () => {
  test('every address is 16 bytes in hexadecimal, IPv4 mapped into IPv6', () => {
    const stage = new TestStage(ip2bin);
    const all = {
      ...BINARY,
      'reply.ip.daddr.bin': '0x00000000000000000000ffff0a010204',
      'arp.saddr.bin': '0x00000000000000000000ffff0a030001',
      'arp.daddr.bin': '0x00000000000000000000ffff0a030002',
    };
    expect(stage.run(given)).toEqual(all);
    expect(stage.run(given, 0xff)).toEqual(all);
  });

  test('one kind of address leaves nothing behind for the other', () => {
    const stage = new TestStage(ip2bin);
    expect(stage.run({ 'ip.saddr': 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff' })).toEqual({
      'ip.saddr.bin': `0x${'f'.repeat(32)}`,
    });
    expect(stage.run({ 'ip.saddr': '1.2.3.4' })).toEqual({ 'ip.saddr.bin': '0x00000000000000000000ffff01020304' });
  });

  test('ulogd 2.0.8 knows neither the last address of a connection nor those of ARP', () => {
    expect(new TestStage(ip2bin, { compat: true }).run(given)).toEqual(BINARY);
  });

  test('what is not there is not written', () => {
    expect(new TestStage(ip2bin).run({})).toEqual({});
    expect(new TestStage(ip2bin, { unread: ['ip.saddr.bin'] }).run({ 'ip.saddr': '1.2.3.4' })).toEqual({});
  });
});

describe('IP2HBIN', () => {
  test('IPv4 is turned into the order of the machine, IPv6 is left as it is', () => {
    expect(new TestStage(ip2hbin).run(given)).toEqual({
      ...HOST_ORDER,
      'reply.ip.hdaddr': '4.2.1.10',
      'arp.hsaddr': '1.0.3.10',
      'arp.hdaddr': '2.0.3.10',
    });
  });

  test('ulogd 2.0.8 knows neither the last address of a connection nor those of ARP', () => {
    expect(new TestStage(ip2hbin, { compat: true }).run(given)).toEqual(HOST_ORDER);
  });
});
