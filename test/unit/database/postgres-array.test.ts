import { expect, test } from 'vitest';
import { textArray } from '../../../src/database/postgres-array.ts';

test('texts become an array as PostgreSQL sends one itself', () => {
  // SELECT encode(array_send(ARRAY['a', NULL, 'é"{', '']), 'hex') of PostgreSQL 15.
  const texts = ['a', null, 'é"{', ''];
  expect(textArray(texts.length, (i) => texts[i]!).toString('hex')).toBe(
    '00000001000000010000001900000004000000010000000161ffffffff00000004c3a9227b00000000',
  );
});
