import fc from 'fast-check';
import { expect, test } from 'vitest';
import { JsonStream } from '../../../src/wire/json-stream.ts';

test('objects come out whole, however the stream is cut', () => {
  const object = fc.dictionary(fc.string(), fc.jsonValue());
  fc.assert(
    fc.property(
      fc.array(object, { maxLength: 8 }),
      fc.infiniteStream(fc.integer({ min: 1, max: 20 })),
      (list, sizes) => {
        const bytes = Buffer.from(list.map((one) => JSON.stringify(one)).join(''));
        const stream = new JsonStream(1 << 20);
        const found: string[] = [];
        for (let at = 0; at < bytes.length; ) {
          const size = sizes.next().value;
          found.push(...stream.push(Uint8Array.from(bytes.subarray(at, at + size))));
          at += size;
        }
        expect(found).toEqual(list.map((one) => JSON.stringify(one)));
      },
    ),
  );
});

test('blanks between objects are nothing; other text is refused, and so is an object without end', () => {
  expect(new JsonStream(100).push(Buffer.from(' {"a":"}\\"{"}\n\n{} '))).toEqual(['{"a":"}\\"{"}', '{}']);
  for (const text of ['HTTP/1.1 400', '[1]', '}', '{}x', '"{}"']) {
    expect(() => new JsonStream(100).push(Buffer.from(text)), text).toThrow('no JSON object');
  }
  const stream = new JsonStream(100);
  const feed = () => {
    for (let i = 0; i < 200; i++) stream.push(Buffer.from('{'));
  };
  expect(feed).toThrow('more than 100 bytes');
});
