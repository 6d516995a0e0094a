import type { Gap } from '../pipeline/ledger.ts';
import { LocalTime } from '../system/local-time.ts';

/** The options of a JSON output that shape its records. */
interface JsonHead {
  readonly timestamp: boolean;
  readonly eventv1: boolean;
  readonly device: string;
}

/** What is known of a gap, by the names that its records have in every output. */
function factsOf(gap: Gap): readonly (readonly [name: string, value: string | number | boolean])[] {
  return [
    ['flowlogd.event', eventOf(gap)],
    ['flowlogd.input', gap.input],
    ...(gap.netns === undefined ? [] : [['netns.name', gap.netns] as const]),
    ['flowlogd.gap.from', timeText(gap.from)],
    ['flowlogd.gap.to', timeText(gap.to)],
    ['flowlogd.gap.lost', gap.lost],
    ['flowlogd.gap.exact', gap.exact],
    ['flowlogd.gap.cause', gap.cause],
  ];
}

const eventOf = (gap: Gap): string => (gap.end ? 'end' : 'gap');

/** The gap as an object of the JSON output's own stream, its head as that of the events. */
export function gapAsJson(gap: Gap, { timestamp, eventv1, device }: JsonHead): string {
  const members: (readonly [string, unknown])[] = [];
  if (eventv1) members.push(['@version', 1]);
  if (timestamp) members.push([eventv1 ? '@timestamp' : 'timestamp', timeText(gap.to)]);
  return object([...members, ['dvc', device], ...factsOf(gap)]);
}

/** What stands for a line of JSON of which a crash has left a part: a whole one, with the part as text. */
export function tornAsJson(torn: Uint8Array, device: string): Uint8Array {
  const text = Buffer.from(torn).toString();
  const line = object([
    ['dvc', device],
    ['flowlogd.event', 'torn'],
    ['flowlogd.torn', text],
  ]);
  return Buffer.from(`${line}\n`);
}

const object = (members: readonly (readonly [string, unknown])[]): string =>
  `{${members.map(([name, value]) => `${JSON.stringify(name)}: ${JSON.stringify(value)}`).join(', ')}}`;

/** The gap as `key=value`, as GPRINT and OPRINT write the keys of an event. */
export const gapAsPairs = (gap: Gap): string[] =>
  factsOf(gap).map(([name, value]) => `${name}=${typeof value === 'boolean' ? Number(value) : value}`);

/** The gap as text without a time of its own. */
export function gapAsText(gap: Gap): string {
  const where = gap.netns === undefined ? '' : ` netns=${gap.netns}`;
  const facts = `input=${gap.input}${where} from=${timeText(gap.from)} to=${timeText(gap.to)} lost=${gap.lost} exact=${gap.exact ? 1 : 0}`;
  return `${eventOf(gap)} ${facts} cause="${gap.cause}"`;
}

/** The gap as a line like those of syslog, written on `host`. */
export function gapAsLine(gap: Gap, host: string): string {
  const time = new LocalTime();
  time.update(Math.floor(gap.to / 1000));
  return `${time.syslog} ${host} flowlogd: ${gapAsText(gap)}`;
}

/** Local time with microseconds and zone; `time` is in ms since 1970. */
function timeText(time: number): string {
  const text = new LocalTime();
  const microseconds = Math.round(time * 1000);
  const second = Math.floor(microseconds / 1e6);
  text.update(second);
  return `${text.iso}.${String(microseconds - second * 1e6).padStart(6, '0')}${text.zone}`;
}
