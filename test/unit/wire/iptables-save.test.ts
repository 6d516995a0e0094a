import { expect, test } from 'vitest';
import { parseSavedTranslations } from '../../../src/wire/iptables-save.ts';

const brief = (line: string) =>
  parseSavedTranslations(line).map(({ external, internal, whole }) =>
    [Buffer.from(external).toString('hex'), Buffer.from(internal).toString('hex'), whole].join(' '),
  );

test.each([
  [
    '-A neutron-l3-agent-PREROUTING -d 10.5.150.82/32 -j DNAT --to-destination 192.168.21.73',
    ['0a059652 c0a81549 true'],
  ],
  [
    '-A neutron-l3-agent-PREROUTING -d 10.5.150.82/32 -i rfp-82ff3e71-e -j DNAT --to-destination 192.168.21.73',
    ['0a059652 c0a81549 true'],
  ],
  [
    '-A P -d 10.5.150.82/32 -m comment --comment "a -p tcp \\" -j x" -j DNAT --to-destination 192.168.21.73 --random',
    ['0a059652 c0a81549 true'],
  ],
  [
    '-A P -d 10.5.0.100/32 -p tcp -m tcp --dport 2222 -j DNAT --to-destination 192.168.21.74:22',
    ['0a050064 c0a8154a false'],
  ],
  [
    '-A P -d 10.5.0.100/32 -p tcp -m tcp --dport 22:24 -j DNAT --to-destination 192.168.21.74:22-24/22',
    ['0a050064 c0a8154a false'],
  ],
  [
    '-A P -d 2001:db8::5/128 -j DNAT --to-destination fd00::7',
    ['20010db8000000000000000000000005 fd000000000000000000000000000007 true'],
  ],
  [
    '-A P -d 2001:db8::5/128 -p tcp -m tcp --dport 80 -j DNAT --to-destination [fd00::7]:8080',
    ['20010db8000000000000000000000005 fd000000000000000000000000000007 false'],
  ],
  ['-A P -d 10.5.0.0/16 -j DNAT --to-destination 192.168.21.74', []],
  ['-A P ! -d 10.5.0.1/32 -j DNAT --to-destination 192.168.21.74', []],
  ['-A P -d 10.5.0.1/32 -j DNAT --to-destination 192.168.21.74-192.168.21.80', []],
  ['-A P -s 192.168.21.73/32 -j SNAT --to-source 10.5.150.82', []],
  ['-A P -d 10.5.0.1/32 -j DNAT', []],
  [':PREROUTING ACCEPT [0:0]', []],
])('%s', (line, found) => {
  expect(brief(line)).toEqual(found);
});
