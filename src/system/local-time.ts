import { writePadded } from '../wire/ascii.ts';
import { localOffset } from './native.ts';

const MONTHS = 'JanFebMarAprMayJunJulAugSepOctNovDec';

/**
 * Local time as text, made anew only when the second changes: at any real rate most events find it ready.
 */
export class LocalTime {
  /** `YYYY-MM-DDTHH:MM:SS`. */
  readonly iso = new Uint8Array(19);
  /** `+HHMM`, the offset from UTC. */
  readonly zone = new Uint8Array(5);
  /** `Mmm dd hh:mm:ss`, the day padded with a blank, as ctime(3) has it. */
  readonly syslog = new Uint8Array(15);
  /** Minutes east of UTC. */
  offset = 0;
  #second = Number.NaN;

  /** Brings the text to `second`, in seconds since 1970. */
  update(second: number): void {
    if (second === this.#second) return;
    this.#second = second;
    const ahead = localOffset(second);
    this.offset = Math.trunc(ahead / 60);
    const date = new Date((second + ahead) * 1000);
    const { iso, zone, syslog } = this;
    const month = date.getUTCMonth();
    writePadded(iso, 0, date.getUTCFullYear(), 4);
    writePadded(iso, 5, month + 1, 2);
    writePadded(iso, 8, date.getUTCDate(), 2);
    writePadded(iso, 11, date.getUTCHours(), 2);
    writePadded(iso, 14, date.getUTCMinutes(), 2);
    writePadded(iso, 17, date.getUTCSeconds(), 2);
    iso[4] = iso[7] = 0x2d;
    iso[10] = 0x54;
    iso[13] = iso[16] = 0x3a;
    const east = Math.abs(this.offset);
    zone[0] = this.offset < 0 ? 0x2d : 0x2b;
    writePadded(zone, 1, Math.floor(east / 60), 2);
    writePadded(zone, 3, east % 60, 2);
    for (let i = 0; i < 3; i++) syslog[i] = MONTHS.charCodeAt(month * 3 + i);
    syslog.set(iso.subarray(8, 10), 4);
    syslog.set(iso.subarray(11, 19), 7);
    syslog[3] = syslog[6] = 0x20;
    if (syslog[4] === 0x30) syslog[4] = 0x20;
  }
}
