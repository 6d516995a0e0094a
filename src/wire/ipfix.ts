/** IPFIX (RFC 7011): templates, and messages of records. Everything is big-endian. */

import type { LineBuffer } from './line-buffer.ts';

const VERSION = 10;
const TEMPLATE_SET = 2;
const OPTIONS_TEMPLATE_SET = 3;
const FIRST_ID = 256;
const LAST_ID = 511;
const MESSAGE_HEADER = 16;
const SET_HEADER = 4;
const ENTERPRISE_BIT = 0x8000;

/** An information element as a template names it: IANA's own unless `vendor` is a private enterprise number. */
export interface Element {
  readonly vendor?: number;
  readonly field: number;
  /** Bytes that it takes in a record. */
  readonly length: number;
}

/** What records of one kind hold. Ids from 256 to 511. */
export class Template {
  readonly id: number;
  /** Bytes of a record. */
  readonly size: number;
  /** The set that announces it. */
  readonly set: Uint8Array;

  /** The first `scopes` elements say what an options record speaks of; without any it is a template of data records. */
  constructor(id: number, elements: readonly Element[], scopes = 0) {
    if (id < FIRST_ID || id > LAST_ID) throw new RangeError(`template ${id} is not between ${FIRST_ID} and ${LAST_ID}`);
    const words = [id, elements.length, ...(scopes > 0 ? [scopes] : [])];
    for (const { vendor = 0, field, length } of elements) {
      words.push(vendor === 0 ? field : field | ENTERPRISE_BIT, length);
      if (vendor !== 0) words.push(vendor >>> 16, vendor & 0xffff);
    }
    words.unshift(scopes > 0 ? OPTIONS_TEMPLATE_SET : TEMPLATE_SET, SET_HEADER + 2 * words.length);
    this.id = id;
    this.size = elements.reduce((sum, { length }) => sum + length, 0);
    this.set = Uint8Array.from(words.flatMap((word) => [word >> 8, word & 0xff]));
  }
}

/** Which messages announce the templates of their own records: none, the first that has one, or each. */
export const ANNOUNCE_NEVER = 0;
export const ANNOUNCE_ONCE = 1;
export const ANNOUNCE_ALWAYS = 2;

export interface MessageSettings {
  /** Most bytes of a message. */
  readonly limit: number;
  /** Observation domain. */
  readonly domain: number;
  readonly announce: typeof ANNOUNCE_NEVER | typeof ANNOUNCE_ONCE | typeof ANNOUNCE_ALWAYS;
  /** Count the message's own records in its sequence number, as ulogd2 does; RFC 7011 counts those before it. */
  readonly countOwn: boolean;
}

/** Puts records into messages, in a buffer that may hold several. A record is there once the buffer's length is behind it. */
export class MessageWriter {
  readonly #buffer: LineBuffer;
  readonly #settings: MessageSettings;
  /** Records begun, whether they were sent or not: modulo 2^32 the sequence number of the next one. */
  #records = 0;
  /** Where the open message and its open set begin. */
  #message = -1;
  #set = 0;
  #setId = 0;
  #messages = 0;
  /** By template, the last message that announced it. */
  readonly #announced = new Uint32Array(LAST_ID + 1);

  constructor(buffer: LineBuffer, settings: MessageSettings) {
    this.#buffer = buffer;
    this.#settings = settings;
  }

  /** Whether a record still has room in the message that is open. */
  fits(template: Template): boolean {
    return this.#message >= 0 && this.#buffer.length - this.#message + this.#needed(template) <= this.#settings.limit;
  }

  /** Makes room for a record and returns its offset. `seconds` since 1970 (`| 0`): the time of a message that it begins. */
  begin(template: Template, seconds: number): number {
    const buffer = this.#buffer;
    if (!this.fits(template)) {
      this.close();
      this.#open(seconds);
    }
    if (this.#setId !== template.id) {
      this.#endSet();
      if (this.#mustAnnounce(template)) this.#writeTemplate(template);
      this.#set = buffer.length;
      this.#setId = template.id;
      buffer.view.setUint16(this.#set, template.id);
      buffer.length += SET_HEADER;
    }
    this.#records = (this.#records + 1) >>> 0;
    return buffer.length;
  }

  /** Ends the open message, if there is one. */
  close(): void {
    if (this.#message < 0) return;
    this.#endSet();
    const { view, length } = this.#buffer;
    view.setUint16(this.#message + 2, length - this.#message);
    if (this.#settings.countOwn) view.setUint32(this.#message + 8, this.#records);
    this.#message = -1;
  }

  #open(seconds: number): void {
    const buffer = this.#buffer;
    buffer.ensure(this.#settings.limit);
    this.#message = buffer.length;
    this.#messages++;
    writeHeader(buffer.view, this.#message, 0, seconds, this.#records, this.#settings.domain);
    buffer.length += MESSAGE_HEADER;
  }

  #endSet(): void {
    if (this.#setId !== 0) this.#buffer.view.setUint16(this.#set + 2, this.#buffer.length - this.#set);
    this.#setId = 0;
  }

  #needed(template: Template): number {
    if (this.#setId === template.id) return template.size;
    return SET_HEADER + template.size + (this.#mustAnnounce(template) ? template.set.length : 0);
  }

  #mustAnnounce({ id }: Template): boolean {
    const { announce } = this.#settings;
    if (announce === ANNOUNCE_NEVER) return false;
    return this.#announced[id] === 0 || (announce === ANNOUNCE_ALWAYS && this.#announced[id] !== this.#messages);
  }

  #writeTemplate({ id, set }: Template): void {
    const buffer = this.#buffer;
    buffer.bytes.set(set, buffer.length);
    buffer.length += set.length;
    this.#announced[id] = this.#messages;
  }
}

/** Messages that announce templates, for the beginning of a connection and from time to time. */
export class Announcement {
  readonly #bytes: Uint8Array;
  readonly #starts: readonly number[];

  /** No message takes more than `limit` bytes. */
  constructor(templates: readonly Template[], limit: number, domain: number) {
    const messages: Uint8Array[][] = [];
    let room = 0;
    for (const { set } of templates) {
      if (set.length > room) {
        messages.push([]);
        room = limit - MESSAGE_HEADER;
      }
      messages.at(-1)?.push(set);
      room -= set.length;
    }
    let at = 0;
    this.#starts = messages.map((sets) => {
      const start = at;
      at += MESSAGE_HEADER + sets.reduce((sum, set) => sum + set.length, 0);
      return start;
    });
    this.#bytes = new Uint8Array(at);
    for (const [i, sets] of messages.entries()) {
      let to = this.#starts[i] as number;
      const length = (this.#starts[i + 1] ?? at) - to;
      writeHeader(new DataView(this.#bytes.buffer), to, length, 0, 0, domain);
      to += MESSAGE_HEADER;
      for (const set of sets) {
        this.#bytes.set(set, to);
        to += set.length;
      }
    }
  }

  /**
   * The messages that announce what the records in `next` are, with the time and sequence number of its first message:
   * announcements count no records. Undefined when it begins with templates itself,
   * or is no message.
   */
  before(next: Uint8Array): Uint8Array | undefined {
    if (!isMessage(next, 0)) return undefined;
    const following = new DataView(next.buffer, next.byteOffset, next.length);
    if (following.getUint16(MESSAGE_HEADER) === TEMPLATE_SET) return undefined;
    const bytes = this.#bytes.slice();
    const view = new DataView(bytes.buffer);
    for (const start of this.#starts) {
      view.setUint32(start + 4, following.getUint32(4));
      view.setUint32(start + 8, following.getUint32(8));
    }
    return bytes;
  }
}

/** Offset behind the message that begins at `at`; the end of the bytes if none does. */
export function messageEnd(bytes: Uint8Array, at: number): number {
  return isMessage(bytes, at) ? at + ((bytes[at + 2]! << 8) | bytes[at + 3]!) : bytes.length;
}

/** Whether a message begins here: a spool may hold what another output had left in it. */
function isMessage(bytes: Uint8Array, at: number): boolean {
  const length = (bytes[at + 2]! << 8) | bytes[at + 3]!;
  const known = bytes[at] === 0 && bytes[at + 1] === VERSION;
  return known && length >= MESSAGE_HEADER + SET_HEADER && at + length <= bytes.length;
}

function writeHeader(view: DataView, at: number, length: number, time: number, sequence: number, domain: number): void {
  view.setUint16(at, VERSION);
  view.setUint16(at + 2, length);
  view.setInt32(at + 4, time);
  view.setUint32(at + 8, sequence);
  view.setUint32(at + 12, domain);
}
