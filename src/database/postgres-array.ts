/** OID of PostgreSQL's type text, fixed for ever in pg_type.dat. */
const TEXT = 25;
const HEADER = 20;
const NULL_LENGTH = -1;

/**
 * An array of texts as PostgreSQL receives it in binary (array_recv): dimensions, flag for NULLs, type, count, lower bound,
 * then each with its length. Nothing has to be quoted, so that no text can end its own place.
 */
export function textArray(count: number, textAt: (index: number) => string | null): Buffer {
  const texts: (string | null)[] = new Array(count);
  let size = HEADER;
  for (let i = 0; i < count; i++) {
    const text = textAt(i);
    texts[i] = text;
    size += 4 + (text === null ? 0 : 3 * text.length); // at most: UTF-8 of a UTF-16 unit
  }
  const bytes = Buffer.allocUnsafe(size);
  bytes.writeInt32BE(1, 0);
  bytes.writeInt32BE(1, 4);
  bytes.writeInt32BE(TEXT, 8);
  bytes.writeInt32BE(count, 12);
  bytes.writeInt32BE(1, 16);
  let at = HEADER;
  for (const text of texts) {
    const length = text === null ? 0 : bytes.write(text, at + 4, 'utf8');
    bytes.writeInt32BE(text === null ? NULL_LENGTH : length, at);
    at += 4 + length;
  }
  return bytes.subarray(0, at);
}
