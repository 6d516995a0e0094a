import { compileLine, type LineProgram } from '../pipeline/line-program.ts';
import type { Memory } from '../pipeline/memory.ts';
import type { UpstreamKey } from '../pipeline/plugin.ts';
import type { Record } from '../pipeline/record.ts';
import { jsonStringRoom, writeJsonString } from '../wire/json-text.ts';

/** Most bytes that a number, an action or the end of a line takes. */
const VALUE_ROOM = 24;

/** How a field's value is rendered. */
type Form = 'number' | 'wide' | 'signed wide' | 'text' | 'plain text' | 'action';

interface Field {
  readonly slot: number;
  readonly form: Form;
  /** What stands before the value: a comma and the name. */
  readonly name: string;
}

/** What is known of a stack's lines before its first event. */
interface LineForm {
  /** The packet label is an action. */
  readonly actionLabel: boolean;
  /** As ulogd 2.0.8: a text that is no UTF-8 is left out with its key, and counters are signed. */
  readonly compat: boolean;
  /** Slot of the fraction of the event's second, which stands in the middle of the head. */
  readonly microsecond: number;
}

/** The lines of a stack: their head, then each key that is valid, in the order of the stack. */
export class JsonLine {
  /** Writes the line of the record at one address to another one, with the `LineHead` at a third; returns the address behind it. */
  readonly render: (record: number, to: number, head: number) => number;
  readonly #fixedRoom: number;
  readonly #texts: readonly number[];

  constructor(upstream: readonly UpstreamKey[], form: LineForm, record: Record, memory: Memory) {
    const { bytes } = memory;
    const { compat, microsecond } = form;
    const fields = upstream.flatMap((key) => fieldOf(key, form) ?? []);
    this.#fixedRoom = fields.reduce((sum, { name }) => sum + Buffer.byteLength(name) + VALUE_ROOM, 2 * VALUE_ROOM);
    this.#texts = fields.filter(({ form }) => form.endsWith('text')).map(({ slot }) => slot);
    this.render = compileLine(
      `JSON ${JSON.stringify([fields, compat, microsecond])}`,
      record,
      memory,
      (line) => {
        line.headBefore();
        line.ifValid(microsecond, () => {
          line.literal('.');
          line.millionths(microsecond);
        });
        line.headAfter();
        for (const field of fields) line.ifValid(field.slot, () => writeField(line, field));
        line.literal('}\n');
      },
      (to, from, length) => writeJsonString(bytes, to, bytes, from, length, compat),
    );
  }

  /** Most bytes that the record's line can take, but for its head. */
  room({ valid, extra }: Record): number {
    let room = this.#fixedRoom;
    const texts = this.#texts;
    for (let i = 0; i < texts.length; i++) if (valid[texts[i]!] === 1) room += jsonStringRoom(extra[texts[i]!]!);
    return room;
  }
}

function fieldOf(key: UpstreamKey, { actionLabel, compat }: LineForm): Field | undefined {
  const form = actionLabel && key.name === 'raw.label' ? 'action' : formOf(key, compat);
  if (form === undefined) return undefined;
  const name = form === 'action' ? 'action' : (key.spec.cim ?? key.name);
  return { slot: key.slot, form, name: `, ${JSON.stringify(name)}: ` };
}

/** Addresses and raw bytes have no form in JSON: IP2STR and HWHDR make text of them. */
function formOf({ spec }: UpstreamKey, compat: boolean): Form | undefined {
  if (spec.type === 'string') return spec.plain ? 'plain text' : 'text';
  // ulogd2 hands 64-bit counters to jansson as signed numbers.
  if (spec.type === 'u64') return compat ? 'signed wide' : 'wide';
  return spec.type === 'ip' || spec.type === 'raw' || spec.type === 'rawstr' ? undefined : 'number';
}

function writeField(line: LineProgram, { slot, form, name }: Field): void {
  switch (form) {
    case 'number':
      line.literal(name);
      line.number(slot);
      break;
    case 'wide':
    case 'signed wide':
      line.literal(name);
      line.wide(slot, { signed: form === 'signed wide' });
      break;
    case 'plain text':
      line.literal(`${name}"`);
      line.bytes(slot);
      line.literal('"');
      break;
    case 'text':
      // jansson refuses a string that is not UTF-8, and ulogd2 then leaves the key out.
      line.jsonString(name, slot);
      break;
    case 'action':
      line.literal(name);
      line.match(slot, [[0, () => line.literal('"blocked"')]], () => line.literal('"allowed"'));
  }
}
