import { writePadded } from '../wire/ascii.ts';
import { localOffset } from './native.ts';

const MONTHS = 'JanFebMarAprMayJunJulAugSepOctNovDec';

// Where each text stands in `view`, and its length. Behind each there is room for what writeBytes reads too many.
/** `YYYY-MM-DDTHH:MM:SS`. */
const ISO = 0;
const ISO_LENGTH = 19;
/** `+HHMM`, the offset from UTC. */
const ZONE = 32;
const ZONE_LENGTH = 5;
/** `Mmm dd hh:mm:ss`, the day padded with a blank, as ctime(3) has it. */
export const SYSLOG = 48;
export const SYSLOG_LENGTH = 15;

/** Local time as text, made anew only when the second changes: at any real rate most events find it ready. */
export class LocalTime {
  readonly bytes = new Uint8Array(72);
  readonly view = new DataView(this.bytes.buffer);
  /** Minutes east of UTC. */
  offset = 0;
  #second = Number.NaN;

  /** Brings the text to `second`, in seconds since 1970; true when it had been another. */
  update(second: number): boolean {
    if (second === this.#second) return false;
    this.#second = second;
    const ahead = localOffset(second);
    this.offset = Math.trunc(ahead / 60);
    const date = new Date((second + ahead) * 1000);
    const month = date.getUTCMonth();
    this.#number(ISO, date.getUTCFullYear(), 4, '-');
    this.#number(ISO + 5, month + 1, 2, '-');
    this.#number(ISO + 8, date.getUTCDate(), 2, 'T');
    this.#number(ISO + 11, date.getUTCHours(), 2, ':');
    this.#number(ISO + 14, date.getUTCMinutes(), 2, ':');
    this.#number(ISO + 17, date.getUTCSeconds(), 2, ' ');
    const { bytes } = this;
    const east = Math.abs(this.offset);
    bytes[ZONE] = (this.offset < 0 ? '-' : '+').charCodeAt(0);
    this.#number(ZONE + 1, Math.floor(east / 60) * 100 + (east % 60), 4, ' ');
    for (let i = 0; i < 3; i++) bytes[SYSLOG + i] = MONTHS.charCodeAt(month * 3 + i);
    bytes.copyWithin(SYSLOG + 4, ISO + 8, ISO + 10);
    bytes.copyWithin(SYSLOG + 7, ISO + 11, ISO + 19);
    bytes[SYSLOG + 3] = bytes[SYSLOG + 6] = 0x20;
    if (date.getUTCDate() < 10) bytes[SYSLOG + 4] = 0x20;
    return true;
  }

  get iso(): string {
    return this.#text(ISO, ISO_LENGTH);
  }

  get zone(): string {
    return this.#text(ZONE, ZONE_LENGTH);
  }

  get syslog(): string {
    return this.#text(SYSLOG, SYSLOG_LENGTH);
  }

  #text(at: number, length: number): string {
    return String.fromCharCode(...this.bytes.subarray(at, at + length));
  }

  #number(at: number, value: number, digits: number, behind: string): void {
    this.bytes[writePadded(this.bytes, at, value, digits)] = behind.charCodeAt(0);
  }
}
