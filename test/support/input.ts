// One input on the sockets of a FakeKernel, its events caught with every key that it wrote.
import type { KeySpec } from '../../src/pipeline/key.ts';
import type { Gap, InputLedger } from '../../src/pipeline/ledger.ts';
import { linkSource } from '../../src/pipeline/link.ts';
import { Memory } from '../../src/pipeline/memory.ts';
import { defineOutput, type InputPlugin, type Service, type UpstreamKey } from '../../src/pipeline/plugin.ts';
import type { Record as Values } from '../../src/pipeline/record.ts';
import { Shared } from '../../src/pipeline/shared.ts';
import { Clock } from '../../src/system/clock.ts';
import { IP_TEXT_LENGTH, writeIp } from '../../src/wire/ip-text.ts';
import { plan } from './stacks.ts';

/** A number, 64 bits as bigint, text and addresses as text, raw bytes as hexadecimal digits. */
export type Event = Readonly<Record<string, number | bigint | string>>;

/** An input and what came of it. */
export class TestInput {
  readonly events: Event[] = [];
  /** Batches that ended. */
  batches = 0;
  readonly log: string[] = [];
  readonly service: Service;
  readonly ledger: InputLedger;
  /** What the output was told to be missing. */
  readonly gaps: Gap[] = [];

  constructor(
    plugin: InputPlugin,
    options: Readonly<Record<string, unknown>> = {},
    { compat = false, memory = new Memory(32 << 20) } = {},
  ) {
    const catcher = defineOutput({
      name: 'CATCHER',
      summary: 'For a test.',
      example: '',
      accepts: ['raw', 'packet', 'flow', 'sum'],
      options: {},
      reads: 'every',
      link: ({ upstream }) => ({
        run: (record) => this.events.push(eventOf(record, upstream)) > 0,
        flush: () => void this.batches++,
        gap: (gap) => void this.gaps.push(gap),
      }),
    });
    const { plans, problems } = plan([`in:${plugin.name},out:CATCHER`], [plugin, catcher], { in: options });
    if (problems.length > 0 || plans[0] === undefined) throw new Error(JSON.stringify(problems));
    const at = (level: string) => (message: string) => void this.log.push(`${level}: ${message}`);
    const log = { debug() {}, info: at('info'), notice: at('notice'), error: at('error'), isDebug: () => false };
    const source = linkSource(plans[0], {
      memory,
      log,
      clock: new Clock(),
      compat,
      shared: new Shared(),
    });
    this.service = source.service;
    this.ledger = source.counts;
  }

  /** As another one's heir, if it is given what that one handed over. */
  async start(inherited?: unknown): Promise<this> {
    await this.service.start?.(inherited);
    return this;
  }
}

function eventOf(record: Values, upstream: readonly UpstreamKey[]): Event {
  const valid = upstream.filter(({ slot }) => record.valid[slot] === 1);
  return Object.fromEntries(valid.map(({ name, slot, spec }) => [name, valueAt(record, slot, spec)]));
}

function valueAt(record: Values, slot: number, { type }: KeySpec): number | bigint | string {
  const [value, extra] = [record.value[slot] as number, record.extra[slot] as number];
  if (type === 'u64') return (BigInt(extra) << 32n) | BigInt(value);
  if (type === 'string' || type === 'rawstr' || type === 'raw')
    return Buffer.from(record.bytes.buffer as ArrayBuffer, value, extra).toString(type === 'raw' ? 'hex' : 'utf8');
  if (type !== 'ip') return value;
  const text = new Uint8Array(IP_TEXT_LENGTH + 3);
  return Buffer.from(text.subarray(0, writeIp(text, 0, record.bytes, value, extra))).toString();
}
