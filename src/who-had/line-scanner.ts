const NEWLINE = 0x0a;
const RETURN = 0x0d;
const OPEN = 0x7b;
const CLOSE = 0x7d;
/** No record is longer: what is, is no log. */
const LONGEST_LINE = 1 << 20;

/** Finds, among many lines of JSON, the few that contain one of some texts: only these are made strings. */
export class LineScanner {
  lines = 0;
  /** Lines that are no object from brace to brace. */
  broken = 0;
  bytes = 0;
  readonly #needles: readonly Needle[];
  readonly #onLine: (text: string, wanted: boolean) => void;
  /** The begin of a line whose end has not come. */
  #rest: Buffer = Buffer.alloc(0);
  /** Within a line that is too long to be one. */
  #skipping = false;

  /**
   * Every line that contains a text of `needles`, and beside it those that go with it (but where the line is broken), goes to
   * `onLine`; with `wanted` false also the first and the last whole line of each chunk, which show how time goes by.
   */
  constructor(needles: readonly (readonly string[])[], onLine: (text: string, wanted: boolean) => void) {
    this.#needles = needles.map(([text = '', ...others]) => new Needle(text, others));
    this.#onLine = onLine;
  }

  /** Takes the next bytes of the file. */
  push(chunk: Buffer): void {
    this.bytes += chunk.length;
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const end = bytes.lastIndexOf(NEWLINE) + 1;
    if (end > 0) this.#scan(bytes, end);
    this.#rest = bytes.subarray(end);
    if (this.#rest.length <= LONGEST_LINE) return;
    if (!this.#skipping) this.#count(true);
    this.#skipping = true;
    this.#rest = Buffer.alloc(0);
  }

  /** The file is over: what is left is a line without its end. */
  end(): void {
    if (this.#rest.length > 0) this.push(Buffer.of(NEWLINE));
  }

  #count(broken: boolean): void {
    this.lines++;
    if (broken) this.broken++;
  }

  #scan(bytes: Buffer, end: number): void {
    let at = 0;
    if (this.#skipping) at = bytes.indexOf(NEWLINE) + 1; // the rest of what was counted already
    this.#skipping = false;
    for (const needle of this.#needles) needle.begin();
    const first = at;
    while (at < end) {
      const newline = bytes.indexOf(NEWLINE, at);
      const stop = newline > at && bytes[newline - 1] === RETURN ? newline - 1 : newline;
      if (stop > at) {
        const broken = bytes[at] !== OPEN || bytes[stop - 1] !== CLOSE;
        this.#count(broken);
        const wanted = this.#needles.some((needle) => needle.isIn(bytes, at, stop, broken));
        if (wanted || (!broken && (at === first || newline + 1 === end))) {
          this.#onLine(bytes.toString('utf8', at, stop), wanted);
        }
      }
      at = newline + 1;
    }
  }
}

/** A text, and those that must be in the same line. */
class Needle {
  readonly #bytes: Buffer;
  readonly #others: readonly Needle[];
  /** Where it is next: most chunks are searched once, not once a line. */
  #next = -1;

  constructor(text: string, others: readonly string[]) {
    this.#bytes = Buffer.from(text);
    this.#others = others.map((other) => new Needle(other, []));
  }

  /** Other bytes are to be searched. */
  begin(): void {
    this.#next = -1;
    for (const other of this.#others) other.begin();
  }

  isIn(bytes: Buffer, at: number, stop: number, alone: boolean): boolean {
    if (this.#next < at) {
      const next = bytes.indexOf(this.#bytes, at);
      this.#next = next < 0 ? Number.POSITIVE_INFINITY : next;
    }
    return this.#next < stop && (alone || this.#others.every((other) => other.isIn(bytes, at, stop, false)));
  }
}
