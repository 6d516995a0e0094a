import type { Memory } from '../pipeline/memory.ts';
import type { UpstreamKey } from '../pipeline/plugin.ts';
import { ABSENT, type Record } from '../pipeline/record.ts';
import type { Clock } from '../system/clock.ts';
import { LocalTime } from '../system/local-time.ts';
import { SLACK } from '../wire/ascii.ts';

/** Behind two lengths of 32 bits, the text before the fraction of the second and the text behind it. */
export const HEAD_BEFORE = 8;
/** Most bytes of a time with its zone. */
const TIME_ROOM = 'YYYY-MM-DDTHH:MM:SS.ffffff+HHMM'.length;

/** What `timestamp`, `eventv1` and `device` say. */
interface HeadOptions {
  readonly timestamp: boolean;
  readonly eventv1: boolean;
  readonly device: string;
}

/** What stands before the keys: version, time and device. All but the fraction of the second is text, made once a second. */
export class JsonHead {
  /** Where it lies in the memory, for JsonLine. */
  readonly address: number;
  /** Most bytes that it takes in a line. */
  readonly room: number;
  /** Slot of the fraction of the second; ABSENT where it is not written. */
  readonly microsecond: number;
  readonly #second: number;
  readonly #timed: boolean;
  readonly #compat: boolean;
  readonly #clock: Clock;
  readonly #memory: Memory;
  readonly #time = new LocalTime();
  /** Up to the seconds, and from behind them. */
  readonly #before: string;
  readonly #after: string;

  constructor(options: HeadOptions, upstream: readonly UpstreamKey[], clock: Clock, compat: boolean, memory: Memory) {
    const slotOf = (name: string) => upstream.find((key) => key.name === name)?.slot ?? ABSENT;
    this.#second = slotOf('oob.time.sec');
    this.microsecond = options.timestamp ? slotOf('oob.time.usec') : ABSENT;
    this.#timed = options.timestamp;
    this.#compat = compat;
    this.#clock = clock;
    this.#memory = memory;
    const version = options.eventv1 ? '"@version": 1, ' : '';
    const device = `"dvc": ${JSON.stringify(options.device)}`;
    const name = options.eventv1 ? '@timestamp' : 'timestamp';
    this.#before = options.timestamp ? `{${version}"${name}": "` : `{${version}${device}`;
    this.#after = options.timestamp ? `", ${device}` : '';
    this.room = Buffer.byteLength(this.#before + this.#after) + TIME_ROOM;
    this.address = memory.reserve(HEAD_BEFORE + this.room + SLACK);
    this.#compose();
  }

  /** Brings it to the time of the event, or to that of its batch. */
  update({ value, valid }: Record): void {
    const second = valid[this.#second] === 1 ? value[this.#second]! : this.#clock.seconds;
    if (this.#timed && this.#time.update(second)) this.#compose();
  }

  #compose(): void {
    const { bytes, view } = this.#memory;
    const before = Buffer.from(this.#timed ? this.#before + this.#time.iso : this.#before);
    const zone = this.#compat ? this.#ulogdZone() : this.#time.zone;
    const after = Buffer.from(this.#timed ? zone + this.#after : '');
    view.setUint32(this.address, before.length, true);
    view.setUint32(this.address + 4, after.length, true);
    bytes.set(before, this.address + HEAD_BEFORE);
    bytes.set(after, this.address + HEAD_BEFORE + before.length);
  }

  /** ulogd2 leaves the zone out where it is UTC, and loses the minus of less than an hour. */
  #ulogdZone(): string {
    const { zone, offset } = this.#time;
    if (offset === 0) return '';
    return offset > -60 ? `+${zone.slice(1)}` : zone;
  }
}
