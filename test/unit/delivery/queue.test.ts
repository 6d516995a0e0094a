import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BATCH_OVERHEAD, Queue } from '../../../src/delivery/queue.ts';
import { batch, textOf } from './folder.ts';

test('batches leave in the order in which they came, and never hold more than the limit', () => {
  const action = fc.oneof(fc.record({ size: fc.nat(3000), events: fc.nat(9) }), fc.constant('shift' as const));
  fc.assert(
    fc.property(fc.array(action, { maxLength: 200 }), (actions) => {
      const queue = new Queue(8000);
      const oracle: string[] = [];
      let at = 0;
      for (const one of actions) {
        if (one === 'shift') {
          const taken = queue.shift();
          expect(taken && textOf(taken)).toBe(oracle.shift());
        } else {
          const text = `${at++} `.padEnd(one.size, 'x');
          const room = 8000 - oracle.reduce((sum, other) => sum + other.length + BATCH_OVERHEAD, 0);
          const fits = text.length + BATCH_OVERHEAD <= room;
          expect(queue.fits(text.length)).toBe(fits);
          expect(queue.push(batch(text))).toBe(fits);
          if (fits) oracle.push(text);
        }
        expect(queue.length).toBe(oracle.length);
        expect(queue.events).toBe(oracle.length);
        expect(queue.bytes).toBe(oracle.reduce((sum, text) => sum + text.length + BATCH_OVERHEAD, 0));
        expect(queue.head && textOf(queue.head)).toBe(oracle[0]);
      }
    }),
  );
});

test('what has left is not kept, however long the queue runs without becoming empty', () => {
  const queue = new Queue();
  queue.push(batch('first'));
  for (let i = 0; i < 5000; i++) {
    queue.push(batch(String(i)));
    queue.shift();
  }
  expect([queue.length, textOf(queue.head!), queue.eventsOf(() => true)]).toEqual([1, '4999', 1]);
});
