import { LineHead } from '../pipeline/line-head.ts';
import type { Memory } from '../pipeline/memory.ts';
import type { UpstreamKey } from '../pipeline/plugin.ts';
import { ABSENT, type Record } from '../pipeline/record.ts';
import type { Clock } from '../system/clock.ts';
import { LocalTime } from '../system/local-time.ts';

/** Most bytes of a time with its zone. */
const TIME_ROOM = 'YYYY-MM-DDTHH:MM:SS.ffffff+HHMM'.length;

/** What `timestamp`, `eventv1` and `device` say. */
interface HeadOptions {
  readonly timestamp: boolean;
  readonly eventv1: boolean;
  readonly device: string;
}

/** What stands before the keys: version, time and device. All but the fraction of the second is made once a second. */
export class JsonHead {
  readonly text: LineHead;
  /** Slot of the fraction of the second; ABSENT where it is not written. */
  readonly microsecond: number;
  readonly #second: number;
  readonly #timed: boolean;
  readonly #compat: boolean;
  readonly #clock: Clock;
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
    const version = options.eventv1 ? '"@version": 1, ' : '';
    const device = `"dvc": ${JSON.stringify(options.device)}`;
    const name = options.eventv1 ? '@timestamp' : 'timestamp';
    this.#before = options.timestamp ? `{${version}"${name}": "` : `{${version}${device}`;
    this.#after = options.timestamp ? `", ${device}` : '';
    this.text = new LineHead(memory, Buffer.byteLength(this.#before + this.#after) + TIME_ROOM);
    this.#compose();
  }

  /** Brings it to the time of the event, or to that of its batch. */
  update({ value, valid }: Record): void {
    const second = valid[this.#second] === 1 ? value[this.#second]! : this.#clock.seconds;
    if (this.#timed && this.#time.update(second)) this.#compose();
  }

  #compose(): void {
    if (!this.#timed) this.text.set(this.#before);
    else {
      const zone = this.#compat ? this.#ulogdZone() : this.#time.zone;
      this.text.set(this.#before + this.#time.iso, zone + this.#after);
    }
  }

  /** ulogd2 leaves the zone out where it is UTC, and loses the minus of less than an hour. */
  #ulogdZone(): string {
    const { zone, offset } = this.#time;
    if (offset === 0) return '';
    return offset > -60 ? `+${zone.slice(1)}` : zone;
  }
}
