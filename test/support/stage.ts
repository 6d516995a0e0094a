// One filter, linked alone: values in by key, values out by key.
import type { OptionSpecs, OptionValues } from '../../src/config/option.ts';
import type { KeyType } from '../../src/pipeline/key.ts';
import { Memory } from '../../src/pipeline/memory.ts';
import type { FilterPlugin, Log } from '../../src/pipeline/plugin.ts';
import { ABSENT, FIRST_SLOT, UNREAD, Record as Values } from '../../src/pipeline/record.ts';
import { Clock } from '../../src/system/clock.ts';
import { IP_TEXT_LENGTH, writeIp } from '../../src/wire/ip-text.ts';
import { address } from './packets.ts';

/** A number as a number (64 bits: bigint), text and addresses as text (what is no UTF-8 as bytes), raw bytes as hexadecimal digits. */
export type Value = number | bigint | string | Buffer;
export type ValuesByKey = Readonly<Record<string, Value | undefined>>;

export interface StageSettings {
  readonly compat?: boolean;
  readonly options?: Readonly<Record<string, unknown>>;
  /** `[neutron] map=`. */
  readonly map?: string;
  /** Keys that nobody reads; all are read otherwise. */
  readonly unread?: readonly string[];
}

const silent: Log = { debug() {}, info() {}, notice() {}, error() {}, isDebug: () => false };
const INPUT_ROOM = 1 << 18;

/** A filter with slots of its own. */
export class TestStage {
  readonly memory = new Memory(1 << 20);
  readonly record: Values;
  readonly #reads: readonly (readonly [key: string, type: KeyType, slot: number])[];
  readonly #writes: readonly (readonly [key: string, type: KeyType, slot: number])[];
  readonly #run: (record: Values) => boolean;
  readonly #input: number;

  constructor(plugin: FilterPlugin, { compat = false, options = {}, unread = [], map = '' }: StageSettings = {}) {
    let next = FIRST_SLOT;
    this.#reads = Object.entries(plugin.reads).map(([key, { type }]) => [key, type, next++]);
    this.#writes = Object.entries(plugin.writes).map(([key, { type }]) => [
      key,
      type,
      unread.includes(key) ? UNREAD : next++,
    ]);
    this.record = new Values(this.memory, next);
    this.#input = this.memory.reserve(INPUT_ROOM);
    const write = Object.fromEntries(this.#writes.map(([key, , slot]) => [key, slot]));
    const defaults = Object.fromEntries(Object.entries(plugin.options).map(([key, option]) => [key, option.default]));
    const stage = plugin.link({
      id: 'test1',
      namespace: undefined,
      options: { ...defaults, ...options } as OptionValues<OptionSpecs>,
      read: Object.fromEntries(this.#reads.map(([key, , slot]) => [key, slot])),
      write,
      record: this.record,
      memory: this.memory,
      log: silent,
      clock: new Clock(),
      compat,
      neutron: { map, ovsdb: '' },
      wanted: (key) => write[key] !== UNREAD,
      shared: (make) => make(),
      hold: () => {
        throw new TypeError('one filter alone holds nothing: link a stack');
      },
    });
    this.#run = stage.run;
  }

  /**
   * Runs one event and returns what the filter wrote, or undefined when it ended the stack there. Keys that are not given
   * are not valid, and their slots hold rubbish; `around` is what stands in memory before and behind the bytes given.
   */
  run(given: ValuesByKey, around = 0): ValuesByKey | undefined {
    const { record, memory } = this;
    record.clear();
    record.value.fill(0xdeadbeef);
    record.extra.fill(0xdeadbeef);
    memory.bytes.fill(around, this.#input, this.#input + INPUT_ROOM);
    let at = this.#input + 64;
    for (const [key, type, slot] of this.#reads) {
      const value = given[key];
      if (value === undefined) continue;
      if (typeof value === 'number') record.setNumber(slot, value);
      else if (typeof value === 'bigint') record.setWide(slot, Number(value >> 32n), Number(value & 0xffffffffn));
      else {
        const bytes = bytesOf(type, value);
        memory.bytes.set(bytes, at);
        record.setBytes(slot, at, bytes.length);
        at += bytes.length + 64;
      }
    }
    if (!this.#run(record)) return undefined;
    if (record.valid[ABSENT] === 1) throw new Error('the filter wrote to the slot of keys that are absent');
    const written = this.#writes.filter(([, , slot]) => slot !== UNREAD && record.valid[slot] === 1);
    return Object.fromEntries(written.map(([key, type, slot]) => [key, this.#valueOf(type, slot)]));
  }

  #valueOf(type: KeyType, slot: number): Value {
    const value = this.record.value[slot] as number;
    const extra = this.record.extra[slot] as number;
    switch (type) {
      case 'u64':
        return (BigInt(extra) << 32n) | BigInt(value);
      case 'ip': {
        const text = new Uint8Array(IP_TEXT_LENGTH + 3);
        return Buffer.from(text.subarray(0, writeIp(text, 0, this.memory.bytes, value, extra))).toString();
      }
      case 'string':
      case 'rawstr':
        return Buffer.from(this.memory.bytes.subarray(value, value + extra)).toString();
      case 'raw':
        return Buffer.from(this.memory.bytes.subarray(value, value + extra)).toString('hex');
      default:
        return value;
    }
  }
}

function bytesOf(type: KeyType, value: string | Buffer): Buffer {
  if (Buffer.isBuffer(value)) return value;
  if (type === 'ip') return address(value);
  return Buffer.from(value, type === 'raw' ? 'hex' : 'utf8');
}
