import { expect, test } from 'vitest';
import { ConntrackEntry } from '../../../src/wire/conntrack.ts';
import { EndReason } from '../../../src/wire/conntrack-end.ts';
import { type End, endMessage, STATES } from '../../support/conntrack-ends.ts';

const reason = new EndReason(new ConntrackEntry());
const why = (end: End): string | undefined => {
  const { buffer, byteOffset, length } = endMessage(end);
  const number = reason.of(new DataView(buffer, byteOffset, length), 0, length);
  return EndReason.WORDS[number as 0];
};

test.each<[End, string | undefined]>([
  [{ of: 'tcp', state: STATES.TIME_WAIT }, 'tcp-close'],
  [{ of: 'tcp', state: STATES.LAST_ACK }, 'tcp-close'],
  // A new connection from the same port ends the old one before its time.
  [{ of: 'tcp', state: STATES.TIME_WAIT, timeout: 100 }, 'tcp-close'],
  [{ of: 'tcp', state: STATES.CLOSE }, 'reset'],
  [{ of: 'tcp', state: STATES.ESTABLISHED }, 'timeout'],
  // One side alone was done.
  [{ of: 'tcp', state: STATES.FIN_WAIT }, 'timeout'],
  // The table was full, or the device went.
  [{ of: 'tcp', state: STATES.ESTABLISHED, timeout: 100 }, undefined],
  [{ of: 'tcp', state: STATES.ESTABLISHED, timeout: 100, port: 4711 }, 'deleted by userspace'],
  [{ of: 'tcp', state: STATES.TIME_WAIT, port: 4711 }, 'deleted by userspace'],
  [{ of: 'udp' }, 'timeout'],
  [{ of: 'udp', timeout: 20 }, undefined],
  [{ of: 'udp', port: 4711 }, 'deleted by userspace'],
])('%j: %s', (end, word) => {
  expect(why(end)).toBe(word);
});

test('a kernel before 5.8 tells of TCP neither state nor time: the reason is not guessed', () => {
  expect(why({ of: 'tcp' })).toBeUndefined();
});

test('what goes on has no reason', () => {
  const message = endMessage({ of: 'tcp', state: STATES.CLOSE });
  message.writeUInt8(0, 4); // IPCTNL_MSG_CT_NEW
  const view = new DataView(message.buffer, message.byteOffset, message.length);
  expect(reason.of(view, 0, message.length)).toBe(-1);
});
