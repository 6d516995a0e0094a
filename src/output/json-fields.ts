import type { Memory } from '../pipeline/memory.ts';
import type { UpstreamKey } from '../pipeline/plugin.ts';
import type { Record } from '../pipeline/record.ts';
import { jsonStringRoom, writeJsonString } from '../wire/json-text.ts';
import { bytesCode, decimalCode, literal, signedCode, textCode } from '../wire/line-code.ts';
import { Code, compile, I32, LOAD, OP } from '../wire/wasm.ts';

/** Most bytes that a number or an action takes. */
const VALUE_ROOM = 24;

/** How a field's value is rendered. */
type Form = 'number' | 'wide' | 'signed wide' | 'text' | 'plain text' | 'action';

interface Field {
  readonly slot: number;
  readonly form: Form;
  readonly name: string;
}

/** Where a record lies and where its fields go, as addresses of the memory; returns the address behind them. */
type Render = (record: number, to: number) => number;

/** The keys of a stack as members of a JSON object, in the order of the stack, each with a comma before it and only when it is valid. */
export class JsonFields {
  /** Writes the fields; there must be `room` for them. */
  readonly render: Render;
  readonly #fixedRoom: number;
  readonly #texts: readonly number[];

  /** Throws nothing: `upstream` is what was planned. With `strict`, a text that is no UTF-8 is left out with its key. */
  constructor(upstream: readonly UpstreamKey[], actionLabel: boolean, strict: boolean, record: Record, memory: Memory) {
    const fields = upstream.flatMap((key) => {
      const form = actionLabel && key.name === 'raw.label' ? 'action' : formOf(key, strict);
      if (form === undefined) return [];
      return [{ slot: key.slot, form, name: `, ${JSON.stringify(nameOf(key, form))}: ` } satisfies Field];
    });
    this.#fixedRoom = fields.reduce((sum, { name }) => sum + Buffer.byteLength(name) + VALUE_ROOM, 0);
    this.#texts = fields.filter(({ form }) => form.endsWith('text')).map(({ slot }) => slot);
    this.render = compileFields(fields, strict, record, memory);
  }

  /** Most bytes that the record's fields can take. */
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

function compileFields(fields: readonly Field[], strict: boolean, record: Record, memory: Memory): Render {
  const { bytes } = memory;
  const escaped = {
    parameters: [I32, I32, I32],
    results: [I32],
    call: (to: number, from: number, length: number) => writeJsonString(bytes, to, bytes, from, length, strict),
  };
  const value = (slot: number): number => record.value.byteOffset - record.address + 4 * slot;
  const extra = (slot: number): number => record.extra.byteOffset - record.address + 4 * slot;
  const code = new Code([I32, I32], [I32]);
  const [from, to] = [0, 1];
  const end = code.local(I32);

  function valueOf({ slot, form }: Field): void {
    switch (form) {
      case 'number':
        code.get(to).get(from).load(LOAD.u32as64, value(slot)).call(DECIMAL).set(to);
        break;
      case 'wide':
      case 'signed wide':
        code.get(to).get(from).load(LOAD.u32as64, value(slot)).get(from).load(LOAD.u32as64, extra(slot));
        code.i64(32n).op(OP.i64Shl, OP.i64Or);
        code.call(form === 'wide' ? DECIMAL : SIGNED).set(to);
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

  for (const field of fields) {
    const { slot, name } = field;
    code.get(from).load(LOAD.u8, slot);
    code.if(() => {
      if (field.form !== 'text') {
        literal(code, to, name);
        valueOf(field);
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
  code.get(to);
  const functions = [decimalCode(DECIMAL), signedCode(DECIMAL), textCode(ESCAPED), bytesCode(), code];
  return compile(memory.linear, [escaped], functions) as Render;
}
