import type { Memory } from '../pipeline/memory.ts';
import type { UpstreamKey } from '../pipeline/plugin.ts';
import type { Record } from '../pipeline/record.ts';
import { jsonStringRoom, writeJsonString } from '../wire/json-text.ts';
import {
  bytesCode,
  decimalCode,
  literal,
  millionthsCode,
  shortDecimal,
  signedCode,
  textCode,
} from '../wire/line-code.ts';
import { Code, type Compiled, compile, compiledOnce, I32, I64, LOAD, OP } from '../wire/wasm.ts';
import { HEAD_BEFORE } from './json-head.ts';

/** Most bytes that a number or an action takes. */
const VALUE_ROOM = 24;

/** How a field's value is rendered. */
type Form = 'number' | 'wide' | 'signed wide' | 'text' | 'plain text' | 'action';

interface Field {
  readonly slot: number;
  readonly form: Form;
  readonly name: string;
}

/** What is known of a stack's lines before its first event. */
interface LineForm {
  /** Slots of the time of the event; only the microseconds are rendered here. */
  readonly microsecond: number;
  readonly fields: readonly Field[];
  /** A text that is no UTF-8 is left out with its key. */
  readonly strict: boolean;
}

/** The lines of a stack: what stands before the keys, and the keys that are valid, in the order of the stack. */
export class JsonLine {
  /** Writes the line of the record at an address, to an address, with a head (`Head`) that lies at a third one; returns the address behind it. */
  readonly render: (record: number, to: number, head: number) => number;
  readonly #fixedRoom: number;
  readonly #texts: readonly number[];

  constructor(
    upstream: readonly UpstreamKey[],
    { actionLabel, strict, microsecond }: { actionLabel: boolean; strict: boolean; microsecond: number },
    record: Record,
    memory: Memory,
  ) {
    const fields = upstream.flatMap((key) => {
      const form = actionLabel && key.name === 'raw.label' ? 'action' : formOf(key, strict);
      if (form === undefined) return [];
      return [{ slot: key.slot, form, name: `, ${JSON.stringify(nameOf(key, form))}: ` } satisfies Field];
    });
    this.#fixedRoom = fields.reduce((sum, { name }) => sum + Buffer.byteLength(name) + VALUE_ROOM, VALUE_ROOM);
    this.#texts = fields.filter(({ form }) => form.endsWith('text')).map(({ slot }) => slot);
    const form: LineForm = { fields, strict, microsecond };
    const key = `JSON ${record.value.length} ${JSON.stringify(form)}`;
    this.render = compiledOnce(memory.linear, key, () => compileLine(form, record, memory));
  }

  /** Most bytes that the record's line can take, but for its head. */
  room({ valid, extra }: Record): number {
    let room = this.#fixedRoom;
    const texts = this.#texts;
    for (let i = 0; i < texts.length; i++) if (valid[texts[i]!] === 1) room += jsonStringRoom(extra[texts[i]!]!);
    return room;
  }
}

/** Addresses and raw bytes have no form in JSON: IP2STR and HWHDR make text of them. */
function formOf({ spec }: UpstreamKey, compat: boolean): Form | undefined {
  if (spec.type === 'string') return spec.plain ? 'plain text' : 'text';
  // ulogd2 hands 64-bit counters to jansson as signed numbers.
  if (spec.type === 'u64') return compat ? 'signed wide' : 'wide';
  return spec.type === 'ip' || spec.type === 'raw' || spec.type === 'rawstr' ? undefined : 'number';
}

const nameOf = (key: UpstreamKey, form: Form): string => (form === 'action' ? 'action' : (key.spec.cim ?? key.name));

// The functions of a module by number: imports first.
const ESCAPED = 0;
const DECIMAL = 1;
const SIGNED = 2;
const TEXT = 3;
const BYTES = 4;
const MILLIONTHS = 5;

function compileLine({ fields, strict, microsecond }: LineForm, record: Record, memory: Memory): Compiled {
  const { bytes } = memory;
  const escaped = {
    parameters: [I32, I32, I32],
    results: [I32],
    call: (to: number, from: number, length: number) => writeJsonString(bytes, to, bytes, from, length, strict),
  };
  const value = (slot: number): number => record.valueAt(slot);
  const extra = (slot: number): number => record.extraAt(slot);
  const code = new Code([I32, I32, I32], [I32]);
  const [from, to, head] = [0, 1, 2];
  const end = code.local(I32);
  const number = code.local(I64);

  function writeValue({ slot, form }: Field): void {
    switch (form) {
      case 'number':
        code.get(from).load(LOAD.u32as64, value(slot)).set(number);
        shortDecimal(code, to, number, DECIMAL);
        break;
      case 'wide':
      case 'signed wide':
        code.get(from).load(LOAD.u32as64, value(slot)).get(from).load(LOAD.u32as64, extra(slot));
        code.i64(32n).op(OP.i64Shl, OP.i64Or).set(number);
        shortDecimal(code, to, number, form === 'wide' ? DECIMAL : SIGNED);
        break;
      case 'plain text':
        literal(code, to, '"');
        code.get(to).get(from).load(LOAD.u32, value(slot)).get(from).load(LOAD.u32, extra(slot)).call(BYTES).set(to);
        literal(code, to, '"');
        break;
      case 'action':
        code.get(from).load(LOAD.u32, value(slot));
        code.if(
          () => literal(code, to, '"allowed"'),
          () => literal(code, to, '"blocked"'),
        );
        break;
      case 'text':
        break;
    }
  }

  code.get(to).get(head).i32(HEAD_BEFORE).op(OP.i32Add).get(head).load(LOAD.u32).call(BYTES).set(to);
  code.get(from).load(LOAD.u8, microsecond);
  code.if(() => {
    literal(code, to, '.');
    code.get(to).get(from).load(LOAD.u32as64, value(microsecond)).call(MILLIONTHS).set(to);
  });
  code.get(to).get(head).i32(HEAD_BEFORE).op(OP.i32Add).get(head).load(LOAD.u32).op(OP.i32Add);
  code.get(head).load(LOAD.u32, 4).call(BYTES).set(to);
  for (const field of fields) {
    const { slot, name } = field;
    code.get(from).load(LOAD.u8, slot);
    code.if(() => {
      if (field.form !== 'text') {
        literal(code, to, name);
        writeValue(field);
        return;
      }
      // jansson refuses a string that is not UTF-8, and ulogd2 then leaves the key out.
      code.get(to).set(end);
      literal(code, end, name);
      code.get(end).get(from).load(LOAD.u32, value(slot)).get(from).load(LOAD.u32, extra(slot)).call(TEXT).tee(end);
      code.i32(0).op(OP.i32LtS);
      code.if(
        () => {},
        () => code.get(end).set(to),
      );
    });
  }
  literal(code, to, '}\n');
  code.get(to);
  const functions = [decimalCode(DECIMAL), signedCode(DECIMAL), textCode(ESCAPED), bytesCode(), millionthsCode(), code];
  return compile(memory.linear, [escaped], functions);
}
