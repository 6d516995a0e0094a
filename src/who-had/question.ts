import { parseProtocol } from '../system/ip-protocol.ts';
import { ipText, parseIp } from '../wire/ip-text.ts';

/** Who had this address, and perhaps this port, at this time? Times are in ms since 1970. */
export interface Question {
  /** As logs have it: IPv6 by RFC 5952. */
  readonly address: string;
  readonly port?: number;
  readonly protocol?: number;
  /** First and last moment that the words of `--at` can mean: "10:03:45" is a second long. */
  readonly from: number;
  readonly to: number;
  /** How far the asker's clock may be off. */
  readonly within: number;
}

/** Reads the question as it was typed. Throws with what is wrong with it. */
export function readQuestion(words: {
  readonly address: string;
  readonly at: string;
  readonly protocol?: string | undefined;
  readonly within?: string | undefined;
}): Question {
  return {
    ...readEnd(words.address),
    ...(words.protocol === undefined ? {} : { protocol: parseProtocol(words.protocol) }),
    ...readTime(words.at),
    within: words.within === undefined ? 0 : readDuration(words.within),
  };
}

/** An address as logs write it; undefined when the text is none. */
export function canonicalAddress(text: string): string | undefined {
  const bytes = parseIp(text);
  return bytes === undefined ? undefined : ipText(bytes);
}

function readEnd(text: string): { address: string; port?: number } {
  const bracketed = /^\[([^\]]*)\](?::(.*))?$/.exec(text);
  const [, host = '', port] = bracketed ?? /^([^:]*)(?::([^:]*))?$/.exec(text) ?? [undefined, text];
  const address = canonicalAddress(host);
  if (address === undefined) {
    throw new Error(`"${text}" is no address; write 192.0.2.7, 192.0.2.7:40000, 2001:db8::7 or [2001:db8::7]:40000`);
  }
  if (port === undefined) return { address };
  if (!/^\d{1,5}$/.test(port) || Number(port) > 65535) throw new Error(`"${port}" is no port (0-65535)`);
  return { address, port: Number(port) };
}

const TIME = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)? ?(Z|UTC|GMT|[+-]\d\d(?::?\d\d)?)?$/i;
const EPOCH = /^@?(\d{1,10})(?:\.(\d{1,9}))?$/;
const EPOCH_MS = /^@?(\d{13})$/;

/** An instant as long as it was told exactly. Throws. */
function readTime(text: string): { from: number; to: number } {
  const milliseconds = EPOCH_MS.exec(text);
  if (milliseconds !== null) return { from: Number(text.replace('@', '')), to: Number(text.replace('@', '')) };
  const epoch = EPOCH.exec(text);
  if (epoch !== null) return span(Number(epoch[1]) * 1000, 1000, epoch[2]);
  const [, date, minutes, seconds, fraction, zone] = TIME.exec(text) ?? [];
  if (date === undefined) {
    throw new Error(
      `--at "${text}" is no time; write 2026-11-21T10:03:45Z, 2026-11-21T11:03:45+01:00, or seconds since 1970`,
    );
  }
  if (zone === undefined) {
    throw new Error(`--at "${text}" has no time zone; write "${text}Z" for UTC, or "${text}+01:00"`);
  }
  const whole = Date.parse(`${date}T${minutes}:${seconds ?? '00'}${offsetOf(zone)}`);
  if (Number.isNaN(whole) || !exists(date)) throw new Error(`--at "${text}": there is no such date or time of day`);
  return span(whole, seconds === undefined ? 60_000 : 1000, fraction);
}

/** Date.parse takes the 31st of every month. */
function exists(date: string): boolean {
  const parsed = new Date(`${date}T00:00:00Z`);
  return !Number.isNaN(parsed.getTime()) && parsed.toISOString().startsWith(date);
}

/** `Z`, or `+01:00` of all that may stand for it. */
function offsetOf(zone: string): string {
  if (/^[a-z]/i.test(zone)) return 'Z';
  const digits = zone.replace(/[^\d]/g, '').padEnd(4, '0');
  return `${zone[0]}${digits.slice(0, 2)}:${digits.slice(2)}`;
}

function span(whole: number, length: number, fraction: string | undefined): { from: number; to: number } {
  if (fraction === undefined) return { from: whole, to: whole + length - 0.001 };
  const from = whole + Number(`0.${fraction}`) * 1000;
  return { from, to: fraction.length >= 6 ? from : from + 1000 / 10 ** fraction.length - 0.001 };
}

/** The time that an ISO 8601 text of a log names, in ms since 1970; without a zone it is UTC, as ulogd2 means it. */
export function timeOf(text: unknown): number | undefined {
  if (typeof text !== 'string') return undefined;
  if (text !== latest.text) latest = { text, time: parseTime(text) };
  return latest.time;
}

/** Lines of one second often have the same text. */
let latest: { readonly text: string; readonly time: number | undefined } = { text: '', time: undefined };

function parseTime(text: string): number | undefined {
  const [, date, minutes, seconds, fraction, zone] = TIME.exec(text) ?? [];
  if (date === undefined || seconds === undefined) return undefined;
  const whole = Date.parse(`${date}T${minutes}:${seconds}${offsetOf(zone ?? 'Z')}`);
  return Number.isNaN(whole) ? undefined : whole + (fraction === undefined ? 0 : Number(`0.${fraction}`) * 1000);
}

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

function readDuration(text: string): number {
  const [, number, unit = 's'] = /^(\d+(?:\.\d+)?) ?(ms|s|m|h|d)?$/.exec(text) ?? [];
  if (number === undefined) throw new Error(`--within "${text}" is no duration; write 5s, 500ms or 2m`);
  return Number(number) * (UNITS[unit] as number);
}
