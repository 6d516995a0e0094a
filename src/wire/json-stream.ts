const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN = 0x7b;
const CLOSE = 0x7d;
const BLANK = 0x20;

/** Cuts a stream into the JSON objects in it, which nothing need part: JSON-RPC of RFC 7047 (OVSDB) sends them so. */
export class JsonStream {
  readonly #largest: number;
  /** What came of the object that is not whole yet. */
  #parts: Uint8Array[] = [];
  #size = 0;
  #depth = 0;
  #inText = false;
  #escaped = false;

  /** `largest` is how many bytes an object may have. */
  constructor(largest: number) {
    this.#largest = largest;
  }

  /** Texts of the objects that end in these bytes, which are kept. Throws an Error for what is no object, or too large. */
  push(bytes: Uint8Array): string[] {
    const texts: string[] = [];
    let from = 0;
    for (let at = 0; at < bytes.length; at++) {
      const byte = bytes[at] as number;
      if (this.#inText) this.#step(byte);
      else if (byte === OPEN) this.#depth++;
      else if (this.#depth === 0) {
        if (byte > BLANK) throw new Error('no JSON object where one should begin');
        from = at + 1;
      } else if (byte === QUOTE) this.#inText = true;
      else if (byte === CLOSE && --this.#depth === 0) {
        this.#keep(bytes.subarray(from, at + 1));
        texts.push(Buffer.concat(this.#parts).toString());
        this.#parts = [];
        this.#size = 0;
        from = at + 1;
      }
    }
    this.#keep(bytes.subarray(from));
    return texts;
  }

  #keep(part: Uint8Array): void {
    if (part.length === 0) return;
    this.#parts.push(part);
    this.#size += part.length;
    if (this.#size > this.#largest) throw new Error(`a message of more than ${this.#largest} bytes`);
  }

  #step(byte: number): void {
    if (this.#escaped) this.#escaped = false;
    else if (byte === BACKSLASH) this.#escaped = true;
    else if (byte === QUOTE) this.#inText = false;
  }
}
