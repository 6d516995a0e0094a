import { expect, test } from 'vitest';
import { KernelError, numberMessages } from '../../../src/system/kernel-request.ts';
import { MessageBuilder } from '../../../src/wire/message-builder.ts';
import { HOST_LITTLE_ENDIAN, NLM_F_ACK, NLM_F_REQUEST } from '../../../src/wire/netlink.ts';

test('messages in a row are numbered and marked, whatever their length', () => {
  const bytes = new MessageBuilder().message(16, 0, 0).raw(new Uint8Array(3)).message(17, 0, 0).finish();
  const view = new DataView(bytes.buffer);
  expect(numberMessages(bytes, 70)).toBe(2);
  for (const [at, sequence] of [
    [0, 70],
    [20, 71],
  ] as const) {
    expect(view.getUint16(at + 6, HOST_LITTLE_ENDIAN)).toBe(NLM_F_REQUEST | NLM_F_ACK);
    expect(view.getUint32(at + 8, HOST_LITTLE_ENDIAN)).toBe(sequence);
  }
});

test('bytes that are not whole messages are refused before anything is sent', () => {
  const whole = new MessageBuilder().message(16, 0, 0).finish();
  expect(() => numberMessages(whole.subarray(0, 15), 1)).toThrow('no netlink message at byte 0');
  expect(() => numberMessages(new Uint8Array([...whole, 1, 0, 0, 0]), 1)).toThrow('no netlink message at byte 16');
  expect(() => numberMessages(new Uint8Array(16), 1)).toThrow(RangeError);
});

test('a refusal names the operation, the errno and the reason', () => {
  expect(new KernelError('bind NFLOG group 5', 1).message).toBe('bind NFLOG group 5: EPERM, operation not permitted');
  const refused = new KernelError('add link', 95, 'Unknown device type', 24);
  expect(refused.message).toBe('add link: ENOTSUP, Unknown device type');
  expect(refused).toMatchObject({ operation: 'add link', code: 'ENOTSUP', reason: 'Unknown device type', offset: 24 });
  expect(new KernelError('x', 524).code).toBe('errno 524');
});
