// Damaged datagrams by the million: what fast-check does with care and slowly (test/unit/input/fuzz.test.ts), fast.

/** Numbers that look random, and are the same for the same seed (Marsaglia's xorshift). */
export class Chance {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 0 || 1;
  }

  /** A whole number from 0 up to, and without, `bound`. */
  below(bound: number): number {
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return (this.#state >>> 0) % bound;
  }
}

/** Lengths and types that were never true. */
const ODD = [0, 1, 3, 4, 5, 8, 0x7fff, 0x8001, 0xffff];
/** struct nlmsghdr and struct nfgenmsg. */
const HEADERS = 20;

/** A datagram made from recordings: damaged, cut off, with more behind it, or attributes that mean nothing. */
export function rubbish(chance: Chance, samples: readonly Uint8Array[]): Uint8Array {
  const kind = chance.below(16);
  const sample = samples[chance.below(samples.length)] as Uint8Array;
  if (kind === 0) return noise(chance, chance.below(300));
  if (kind < 4) return join(sample.subarray(0, HEADERS), attributes(chance, 3), true);
  if (kind === 4) return join(damaged(chance, sample), rubbish(chance, samples), false);
  return damaged(chance, sample);
}

function noise(chance: Chance, size: number): Uint8Array {
  return Uint8Array.from({ length: size }, () => chance.below(256));
}

function damaged(chance: Chance, sample: Uint8Array): Uint8Array {
  const bytes = sample.slice(0, chance.below(4) === 0 ? chance.below(sample.length) : sample.length);
  const view = new DataView(bytes.buffer);
  for (let changes = bytes.length < 2 ? 0 : chance.below(6); changes > 0; changes--) {
    const at = chance.below(bytes.length);
    if (chance.below(2) === 0) bytes[at] = (bytes[at] as number) ^ (1 + chance.below(255));
    else {
      const value = chance.below(2) === 0 ? (ODD[chance.below(ODD.length)] as number) : chance.below(300);
      view.setUint16(at & ~1 & (bytes.length - 2), value, true);
    }
  }
  return bytes;
}

/** Attributes within attributes, one in eight of them of another length than it says. */
function attributes(chance: Chance, depth: number): Uint8Array {
  let all = new Uint8Array(0);
  for (let count = chance.below(5); count > 0; count--) {
    const isNested = depth > 0 && chance.below(2) === 0;
    const body = isNested ? attributes(chance, depth - 1) : noise(chance, chance.below(20));
    const one = new Uint8Array((4 + body.length + 3) & ~3);
    const view = new DataView(one.buffer);
    view.setUint16(0, 4 + body.length + (chance.below(8) === 0 ? chance.below(17) - 8 : 0), true);
    view.setUint16(2, chance.below(30) | (isNested ? 0x8000 : 0), true);
    one.set(body, 4);
    all = join(all, one, false);
  }
  return all;
}

/** Both, one behind the other; as one message, its header tells their length. */
function join(a: Uint8Array, b: Uint8Array, asMessage: boolean): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(a.length + b.length);
  bytes.set(a);
  bytes.set(b, a.length);
  if (asMessage) new DataView(bytes.buffer).setUint32(0, bytes.length, true);
  return bytes;
}
