/** Value of a place from which an address was taken: the search goes on behind it. */
const GONE = -1;
const FIRST_SIZE = 16;

/**
 * Numbers (1 or more) by IPv4 or IPv6 address, in flat memory: a lookup makes no object. Addresses are given as 4 or 16 bytes at
 * an offset of a view.
 */
export class AddressMap {
  /** Four words an address; IPv4 as ::ffff:a.b.c.d. */
  #words = new Int32Array(4 * FIRST_SIZE);
  #values = new Int32Array(FIRST_SIZE);
  /** Places that are not empty, those of addresses that are gone included. */
  #taken = 0;
  #size = 0;

  /** How many addresses there are. */
  get size(): number {
    return this.#size;
  }

  /** The number of an address; 0 when it is not there. */
  get(view: DataView, at: number, length: number): number {
    const place = this.#find(view, at, length);
    return place < 0 ? 0 : (this.#values[place] as number);
  }

  set(view: DataView, at: number, length: number, value: number): void {
    const place = this.#find(view, at, length);
    if (place >= 0) {
      this.#values[place] = value;
      return;
    }
    if ((this.#taken + 1) * 2 > this.#values.length) this.#grow();
    const four = length === 4;
    this.#insert(
      four ? 0 : view.getInt32(at),
      four ? 0 : view.getInt32(at + 4),
      four ? 0xffff : view.getInt32(at + 8),
      view.getInt32(at + (four ? 0 : 12)),
      value,
    );
  }

  delete(view: DataView, at: number, length: number): void {
    const place = this.#find(view, at, length);
    if (place < 0) return;
    this.#values[place] = GONE;
    this.#size--;
  }

  /** Forgets all. */
  clear(): void {
    this.#values.fill(0);
    this.#taken = this.#size = 0;
  }

  #find(view: DataView, at: number, length: number): number {
    const four = length === 4;
    const a = four ? 0 : view.getInt32(at);
    const b = four ? 0 : view.getInt32(at + 4);
    const c = four ? 0xffff : view.getInt32(at + 8);
    const d = view.getInt32(at + (four ? 0 : 12));
    const values = this.#values;
    const words = this.#words;
    const mask = values.length - 1;
    for (let place = hash(a, b, c, d) & mask; values[place] !== 0; place = (place + 1) & mask) {
      const word = 4 * place;
      if (words[word + 3] !== d || words[word + 2] !== c || words[word + 1] !== b || words[word] !== a) continue;
      if (values[place] !== GONE) return place;
    }
    return -1;
  }

  #insert(a: number, b: number, c: number, d: number, value: number): void {
    const mask = this.#values.length - 1;
    let place = hash(a, b, c, d) & mask;
    while (this.#values[place] !== 0) place = (place + 1) & mask;
    this.#words.set([a, b, c, d], 4 * place);
    this.#values[place] = value;
    this.#taken++;
    this.#size++;
  }

  #grow(): void {
    const words = this.#words;
    const values = this.#values;
    let size = FIRST_SIZE;
    while (size < (this.#size + 1) * 4) size *= 2;
    this.#words = new Int32Array(4 * size);
    this.#values = new Int32Array(size);
    this.#taken = this.#size = 0;
    for (let place = 0; place < values.length; place++) {
      const value = values[place] as number;
      if (value <= 0) continue;
      const [a, b, c, d] = words.subarray(4 * place, 4 * place + 4) as unknown as [number, number, number, number];
      this.#insert(a, b, c, d, value);
    }
  }
}

function hash(a: number, b: number, c: number, d: number): number {
  let mixed = Math.imul(a ^ Math.imul(b, 0x9e3779b1), 0x85ebca6b) ^ Math.imul(c, 0xc2b2ae35) ^ d;
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x2c1b3c6d);
  mixed = Math.imul(mixed ^ (mixed >>> 12), 0x297a2d39);
  return mixed ^ (mixed >>> 15);
}
