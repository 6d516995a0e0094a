import { align, HOST_LITTLE_ENDIAN, NLA_F_NESTED, NLA_HEADER, NLM_F_REQUEST, NLMSG_HEADER } from './netlink.ts';

const encoder = new TextEncoder();

/** Writes netlink requests, one or several in a row; it grows as needed. For control messages, not for the hot path. */
export class MessageBuilder {
  #bytes = new Uint8Array(256);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;
  #message = -1;
  readonly #nests: number[] = [];

  /** Begins a message; NLM_F_REQUEST is added to `flags`. `sequence` comes back in the answer. */
  message(type: number, flags: number, sequence: number): this {
    this.#endMessage();
    this.#message = this.#grow(NLMSG_HEADER);
    this.#view.setUint16(this.#message + 4, type, HOST_LITTLE_ENDIAN);
    this.#view.setUint16(this.#message + 6, flags | NLM_F_REQUEST, HOST_LITTLE_ENDIAN);
    this.#view.setUint32(this.#message + 8, sequence, HOST_LITTLE_ENDIAN);
    return this;
  }

  /** Appends bytes as they are: the family's header. */
  raw(bytes: Uint8Array): this {
    const at = this.#grow(bytes.length);
    this.#bytes.set(bytes, at);
    return this;
  }

  /** Opens an attribute that holds the attributes up to the matching end(). */
  nest(type: number): this {
    this.#nests.push(this.#attribute(type | NLA_F_NESTED, 0) - NLA_HEADER);
    return this;
  }

  /** Closes the innermost nest; throws RangeError when none is open. */
  end(): this {
    const at = this.#nests.pop();
    if (at === undefined) throw new RangeError('no nest to end');
    this.#setAttributeLength(at, this.#length - at);
    return this;
  }

  u8(type: number, value: number): this {
    const at = this.#attribute(type, 1);
    this.#view.setUint8(at, value);
    return this;
  }

  /** A big-endian 16-bit attribute, as most of netfilter's are. */
  be16(type: number, value: number): this {
    const at = this.#attribute(type, 2);
    this.#view.setUint16(at, value);
    return this;
  }

  /** A big-endian 32-bit attribute. */
  be32(type: number, value: number): this {
    const at = this.#attribute(type, 4);
    this.#view.setUint32(at, value);
    return this;
  }

  /** A 32-bit attribute in the byte order of the machine, as rtnetlink's are. */
  host32(type: number, value: number): this {
    const at = this.#attribute(type, 4);
    this.#view.setUint32(at, value, HOST_LITTLE_ENDIAN);
    return this;
  }

  /** A string attribute, closed with NUL. */
  string(type: number, text: string): this {
    return this.bytes(type, encoder.encode(`${text}\0`));
  }

  /** An attribute of bytes as they are: an address, a nest copied from an event, a struct. */
  bytes(type: number, value: Uint8Array): this {
    const at = this.#attribute(type, value.length);
    this.#bytes.set(value, at);
    return this;
  }

  /** The requests written so far, with their lengths filled in: a copy. Throws RangeError when a nest is still open. */
  finish(): Uint8Array {
    this.#endMessage();
    return this.#bytes.slice(0, this.#length);
  }

  #endMessage(): void {
    if (this.#nests.length > 0) throw new RangeError(`${this.#nests.length} nests are still open`);
    if (this.#message >= 0) this.#view.setUint32(this.#message, this.#length - this.#message, HOST_LITTLE_ENDIAN);
  }

  #attribute(type: number, size: number): number {
    const at = this.#grow(NLA_HEADER + size);
    this.#setAttributeLength(at, NLA_HEADER + size);
    this.#view.setUint16(at + 2, type, HOST_LITTLE_ENDIAN);
    return at + NLA_HEADER;
  }

  #setAttributeLength(at: number, length: number): void {
    if (length > 0xffff) throw new RangeError(`an attribute of ${length} bytes does not fit`);
    this.#view.setUint16(at, length, HOST_LITTLE_ENDIAN);
  }

  /** Makes room for `size` more bytes, padded with zeros to a multiple of four, and returns where they begin. */
  #grow(size: number): number {
    const at = this.#length;
    this.#length = at + align(size);
    if (this.#length > this.#bytes.length) {
      const bytes = new Uint8Array(Math.max(this.#length, 2 * this.#bytes.length));
      bytes.set(this.#bytes);
      this.#bytes = bytes;
      this.#view = new DataView(bytes.buffer);
    }
    return at;
  }
}
