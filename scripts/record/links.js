// Devices and addresses as rtnetlink tells of them, and the kernel's answers to requests that it refuses.
import { until } from '../lab.js';
import { listen, request, save } from './listener.js';

/** @typedef {import('./listener.js').Vector} Vector */

/** @param {import('../lab.js').Lab} lab */
export async function recordLinks(lab) {
  const namespace = lab.namespace('rl');
  const listener = await listen(lab, namespace, 0, { groups: [1, 5, 9] });
  lab.sh('ip link add here index 70 type veth peer name there index 71', namespace);
  lab.sh('ip link set here name elsewhere; ip link set elsewhere up; ip link set there up', namespace);
  lab.sh('ip address add 192.0.2.1/24 dev elsewhere; ip address add 192.0.2.9 peer 192.0.2.10 dev there', namespace);
  lab.sh('ip address add 2001:db8::1/64 dev elsewhere nodad; ip address del 192.0.2.1/24 dev elsewhere', namespace);
  lab.sh('ip link del there', namespace);
  const type = (/** @type {string} */ hex) => Buffer.from(hex, 'hex').readUInt16LE(4);
  const header = (/** @type {string} */ hex) => Buffer.from(hex, 'hex').subarray(16);
  await until('the last event', () =>
    listener.lines.some((hex) => type(hex) === 17 && header(hex).readInt32LE(4) === 70),
  );

  const link = (/** @type {number} */ message, /** @type {number} */ index) =>
    listener.lines.filter(
      (hex) => type(hex) === message && header(hex).readInt32LE(4) === index && header(hex)[0] === 0,
    );
  const address = (/** @type {number} */ message, /** @type {string} */ bytes) =>
    listener.lines.find((hex) => type(hex) === message && hex.includes(bytes)) ?? '';
  /** @type {Vector[]} */ const result = [
    { name: 'a new device', hex: link(16, 70)[0], expected: { link: 'here', index: 70, deleted: false, up: false } },
    {
      name: 'the device renamed and up',
      hex: link(16, 70).at(-1) ?? '',
      expected: { link: 'elsewhere', index: 70, deleted: false },
    },
    { name: 'the device is gone', hex: link(17, 70)[0], expected: { link: 'elsewhere', index: 70, deleted: true } },
    {
      name: 'an address',
      hex: address(20, 'c0000201'),
      expected: { address: '192.0.2.1', prefix: 24, index: 70, deleted: false },
    },
    {
      name: 'the address is gone',
      hex: address(21, 'c0000201'),
      expected: { address: '192.0.2.1', prefix: 24, index: 70, deleted: true },
    },
    {
      name: 'an end of a point-to-point link',
      hex: address(20, 'c0000209'),
      expected: { address: '192.0.2.9', prefix: 32, index: 71, deleted: false },
    },
    {
      name: 'an IPv6 address',
      hex: address(20, '20010db8000000000000000000000001'),
      expected: { address: '2001:db8::1', prefix: 64, index: 70, deleted: false },
    },
  ];
  const dump = await listen(lab, namespace, 0, { requests: [request(18, 0x300, '00'.repeat(16))] });
  await until('the dump', () => dump.lines.some((hex) => type(hex) === 3));
  result.push({
    name: 'a dump of loopback alone',
    hex: dump.lines[0],
    expected: { link: 'lo', index: 1, deleted: false, up: true },
  });
  result.push({
    name: 'the end of the dump',
    hex: dump.lines.at(-1) ?? '',
    expected: { ack: { error: 0, message: '', bad: -1 } },
  });
  save('rtnetlink', result);

  /** @type {Vector[]} */ const refused = [];
  const tuple =
    '3400018014000180080001000102030408000200050607081c0002800500010011000000060002000035000006000300003500000000000000000000';
  const getUnknown = request(0x101, 4, `02000000${tuple.slice(0, 104)}`);
  const badKind = request(
    16,
    0x404,
    `${'00'.repeat(16)}1000128009000100${Buffer.from('nope\0').toString('hex')}000000`,
  );
  const badMtu = request(18, 4, `${'00'.repeat(16)}06000400dc050000`);
  /** @type {[string, number, string[], string, object][]} */ const cases = [
    ['no such entry', 12, [], getUnknown, { error: 2, message: '', bad: -1 }],
    ['no such entry, answered in brief', 12, ['10=1', '11=1'], getUnknown, { error: 2, message: '', bad: -1 }],
    ['no such kind of device', 0, ['11=1'], badKind, { error: 95, message: 'Unknown device type', bad: -1 }],
    [
      'no such kind of device, answered in brief',
      0,
      ['10=1', '11=1'],
      badKind,
      { error: 95, message: 'Unknown device type', bad: -1 },
    ],
    [
      'an attribute of the wrong size',
      0,
      ['11=1'],
      badMtu,
      { error: 34, message: 'Attribute failed policy validation', bad: 32 },
    ],
    [
      'done as asked',
      0,
      ['11=1'],
      request(16, 4, '0000000001000000010000000100000000'.slice(0, 32)),
      { error: 0, message: '', bad: -1 },
    ],
  ];
  for (const [name, protocol, options, bytes, ack] of cases) {
    const answer = await listen(lab, namespace, protocol, { options, requests: [bytes] });
    await until(`the answer: ${name}`, () => answer.lines.length > 0);
    refused.push({ name, hex: answer.lines[0], expected: { ack } });
    await answer.stop();
  }
  save('acks', refused);
}
