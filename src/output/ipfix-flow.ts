import type { ReadSpecs } from '../pipeline/key.ts';
import type { Slots } from '../pipeline/plugin.ts';
import type { Record } from '../pipeline/record.ts';
import type { Clock } from '../system/clock.ts';
import { ConntrackEntry } from '../wire/conntrack.ts';
import { DELETED, EndReason, RESET, TCP_CLOSE, TIMED_OUT } from '../wire/conntrack-end.ts';
import { type Element, Template } from '../wire/ipfix.ts';

/** What IPFIX reads of a connection. */
export const flowReads = {
  'orig.ip.saddr': { type: 'ip' },
  'orig.ip.daddr': { type: 'ip' },
  'orig.ip.protocol': { type: 'u8' },
  'orig.l4.sport': { type: 'u16' },
  'orig.l4.dport': { type: 'u16' },
  'orig.raw.pktlen': { type: 'u64' },
  'orig.raw.pktcount': { type: 'u64' },
  'reply.ip.saddr': { type: 'ip' },
  'reply.ip.daddr': { type: 'ip' },
  'reply.l4.sport': { type: 'u16' },
  'reply.l4.dport': { type: 'u16' },
  'reply.raw.pktlen': { type: 'u64' },
  'reply.raw.pktcount': { type: 'u64' },
  'icmp.code': { type: 'u8' },
  'icmp.type': { type: 'u8' },
  'icmpv6.code': { type: 'u8', optional: true },
  'icmpv6.type': { type: 'u8', optional: true },
  'ct.mark': { type: 'u32' },
  'ct.id': { type: 'u32' },
  'ct.event': { type: 'u32' },
  'flow.start.sec': { type: 'u32' },
  'flow.start.usec': { type: 'u32' },
  'flow.end.sec': { type: 'u32' },
  'flow.end.usec': { type: 'u32' },
  ct: { type: 'raw' },
  'flow.unobserved': { type: 'bool', optional: true },
} as const satisfies ReadSpecs;

export type FlowSlots = Slots<typeof flowReads>;

/** RFC 5103: the element of the same number, of the other direction. */
const REVERSE = 29305;
const NETFILTER = 21373;

const NEW = 1;
const DESTROY = 4;

// What a connection is, as the bits of its template's number above 256. A number never changes its meaning: records that an
// earlier version left in a spool are read by the templates of this one.
const SIX = 1;
const ICMP = 2;
const NAT = 4;
const START = 8;
const LOSSES = 16;
const UNTOLD = 32;
const FLOW_TEMPLATES = 256;
/** Template of the records that say what the kernel lost. */
export const LOSS_TEMPLATE = new Template(
  FLOW_TEMPLATES + LOSSES,
  [
    { field: 149, length: 4 }, // scope: observationDomainId
    { field: 166, length: 8 }, // notSentFlowTotalCount
    { field: 323, length: 8 }, // observationTimeMilliseconds: of the first one, then of the last (RFC 7011, 4.3)
    { field: 323, length: 8 },
  ],
  1,
);

const NUMBER = 0;
const WIDE = 1;
const ADDRESS = 2;
const START_TIME = 3;
const END_TIME = 4;
const ICMP_TYPE_CODE = 5;
const END_REASON = 6;
const FIREWALL_EVENT = 7;
const NAT_EVENT = 8;

/** Values of flowEndReason (RFC 5102, 5.11.3). None for an end whose reason nobody tells. */
const IDLE = 1;
const GOES_ON = 2;
const ENDED = 3;
const FORCED = 4;
const NO_RESOURCES = 5;
const NOT_TOLD = 0;

/** A field of a record: how it is written, and from which slot. */
interface Field extends Element {
  readonly form: number;
  readonly slot: number;
}

/** The fields of a connection, in their order. */
function fieldsOf(kind: number, read: FlowSlots): Field[] {
  const six = (kind & SIX) !== 0;
  const ports = (kind & ICMP) === 0;
  const fields: Field[] = [];
  const add = (field: number, length: number, form: number, slot: number, vendor = 0) =>
    fields.push({ field, length, form, slot, vendor });
  const address = (four: number, sixteen: number, slot: number) =>
    six ? add(sixteen, 16, ADDRESS, slot) : add(four, 4, ADDRESS, slot);

  address(8, 27, read['orig.ip.saddr']);
  address(12, 28, read['orig.ip.daddr']);
  add(4, 1, NUMBER, read['orig.ip.protocol']);
  if (ports) {
    add(7, 2, NUMBER, read['orig.l4.sport']);
    add(11, 2, NUMBER, read['orig.l4.dport']);
  } else add(six ? 139 : 32, 2, ICMP_TYPE_CODE, six ? read['icmpv6.type'] : read['icmp.type']);
  if ((kind & START) !== 0) add(152, 8, START_TIME, read['flow.start.sec']);
  add(153, 8, END_TIME, read['flow.end.sec']);
  if ((kind & UNTOLD) === 0) add(136, 1, END_REASON, read['ct.event']);
  add(85, 8, WIDE, read['orig.raw.pktlen']);
  add(86, 8, WIDE, read['orig.raw.pktcount']);
  add(85, 8, WIDE, read['reply.raw.pktlen'], REVERSE);
  add(86, 8, WIDE, read['reply.raw.pktcount'], REVERSE);
  if ((kind & NAT) !== 0) {
    address(225, 281, read['reply.ip.daddr']);
    address(226, 282, read['reply.ip.saddr']);
    if (ports) {
      add(227, 2, NUMBER, read['reply.l4.dport']);
      add(228, 2, NUMBER, read['reply.l4.sport']);
    }
    // RFC 8158 names sessions of IPv4 only, and wants their time beside them.
    if (!six) {
      add(230, 1, NAT_EVENT, read['ct.event']);
      add(323, 8, END_TIME, read['flow.end.sec']);
    }
  }
  add(233, 1, FIREWALL_EVENT, read['ct.event']);
  add(148, 4, NUMBER, read['ct.id']);
  add(4, 4, NUMBER, read['ct.mark'], NETFILTER);
  return fields;
}

/** Writes connections as records of IPFIX. */
export class FlowRecords {
  readonly templates: readonly Template[];
  readonly #read: FlowSlots;
  readonly #clock: Clock;
  /** By kind; none where the number is no kind. */
  readonly #fields: readonly (readonly Field[])[];
  readonly #byKind: readonly (Template | undefined)[];
  readonly #end = new EndReason(new ConntrackEntry());
  /** flowEndReason of the connection whose kind was asked for last. */
  #reason = NOT_TOLD;

  constructor(read: FlowSlots, clock: Clock) {
    this.#read = read;
    this.#clock = clock;
    const kinds = Array.from({ length: 2 * UNTOLD }, (_, kind) => kind);
    this.#fields = kinds.map((kind) => ((kind & LOSSES) === 0 ? fieldsOf(kind, read) : []));
    this.#byKind = this.#fields.map((fields, kind) =>
      fields.length > 0 ? new Template(FLOW_TEMPLATES + kind, fields) : undefined,
    );
    this.templates = this.#byKind.filter((template) => template !== undefined);
  }

  /** Template of the records of a kind. */
  templateOf(kind: number): Template {
    return this.#byKind[kind]!;
  }

  /** What a connection is, or -1 for one that has no addresses. */
  kindOf(record: Record): number {
    const { value, extra, valid } = record;
    const read = this.#read;
    const length = valid[read['orig.ip.saddr']] === 1 ? extra[read['orig.ip.saddr']]! : 0;
    if ((length !== 4 && length !== 16) || extra[read['orig.ip.daddr']] !== length) return -1;
    let kind = length === 16 ? SIX : 0;
    if (valid[read['flow.start.sec']] === 1) kind |= START;
    if (valid[length === 16 ? read['icmpv6.type'] : read['icmp.type']] === 1) kind |= ICMP;
    if (
      !this.#sameAddress(record, read['orig.ip.saddr'], read['reply.ip.daddr']) ||
      !this.#sameAddress(record, read['orig.ip.daddr'], read['reply.ip.saddr']) ||
      (valid[read['orig.l4.sport']] === 1 &&
        (value[read['orig.l4.sport']] !== value[read['reply.l4.dport']] ||
          value[read['orig.l4.dport']] !== value[read['reply.l4.sport']]))
    )
      kind |= NAT;
    this.#reason = this.#endReason(record);
    return this.#reason === NOT_TOLD ? kind | UNTOLD : kind;
  }

  /** Writes the connection whose kind was asked for last at `at`. */
  write(to: DataView, at: number, kind: number, record: Record): void {
    const { view, value, extra, valid } = record;
    const fields = this.#fields[kind]!;
    let end = at;
    for (let i = 0; i < fields.length; i++) {
      const { form, slot, length } = fields[i]!;
      switch (form) {
        case NUMBER:
          writeNumber(to, end, length, valid[slot] === 1 ? value[slot]! | 0 : 0);
          break;
        case WIDE:
          to.setInt32(end, extra[slot]! | 0);
          to.setInt32(end + 4, value[slot]! | 0);
          break;
        case ADDRESS:
          for (let j = 0; j < length; j += 4) to.setInt32(end + j, view.getInt32(value[slot]! + j));
          break;
        case START_TIME:
          writeMilliseconds(to, end, value[slot]!, value[this.#read['flow.start.usec']]!);
          break;
        case END_TIME:
          // A connection that goes on was last seen now.
          if (valid[slot] === 1) writeMilliseconds(to, end, value[slot]!, value[this.#read['flow.end.usec']]!);
          else writeMilliseconds(to, end, this.#clock.seconds, this.#clock.microseconds);
          break;
        case ICMP_TYPE_CODE:
          to.setUint8(end, value[slot]!);
          to.setUint8(end + 1, value[slot === this.#read['icmp.type'] ? this.#read['icmp.code'] : this.#read['icmpv6.code']]!); // biome-ignore format: one value
          break;
        case END_REASON:
          to.setUint8(end, this.#reason);
          break;
        case FIREWALL_EVENT:
          to.setUint8(end, value[slot] === NEW ? 1 : value[slot] === DESTROY ? 2 : 5); // created, deleted, update
          break;
        case NAT_EVENT:
          to.setUint8(end, value[slot] === NEW ? 4 : value[slot] === DESTROY ? 5 : 0); // NAT44 session create, delete
      }
      end += length;
    }
  }

  #endReason({ view, value, extra, valid }: Record): number {
    const { 'ct.event': event, 'flow.unobserved': unobserved, ct } = this.#read;
    if (value[event] !== DESTROY) return GOES_ON;
    if (valid[unobserved] === 1 && value[unobserved] === 1) return NO_RESOURCES;
    if (valid[ct] !== 1) return NOT_TOLD;
    switch (this.#end.of(view, value[ct]!, value[ct]! + extra[ct]!)) {
      case TIMED_OUT:
        return IDLE;
      case TCP_CLOSE:
      case RESET:
        return ENDED;
      case DELETED:
        return FORCED;
      default:
        return NOT_TOLD;
    }
  }

  #sameAddress({ view, value, extra }: Record, one: number, other: number): boolean {
    const length = extra[one]!;
    if (extra[other] !== length) return true; // no address to compare with
    for (let i = 0; i < length; i += 4)
      if (view.getInt32(value[one]! + i) !== view.getInt32(value[other]! + i)) return false;
    return true;
  }
}

function writeNumber(to: DataView, at: number, length: number, value: number): void {
  if (length === 1) to.setUint8(at, value);
  else if (length === 2) to.setUint16(at, value);
  else to.setInt32(at, value);
}

const WORD = 2 ** 32;

/** Writes a time as milliseconds since 1970, in 64 bits. */
export function writeMilliseconds(to: DataView, at: number, seconds: number, microseconds: number): void {
  const milliseconds = seconds * 1000 + Math.floor(microseconds / 1000);
  const high = Math.floor(milliseconds / WORD);
  to.setInt32(at, high);
  to.setInt32(at + 4, (milliseconds - high * WORD) | 0);
}
