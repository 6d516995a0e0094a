import type { Memory } from '../../pipeline/memory.ts';
import type { Deliver, Slots } from '../../pipeline/plugin.ts';
import { type Record, UNREAD } from '../../pipeline/record.ts';
import { CONNTRACK_DESTROY, CONNTRACK_NEW, ConntrackEntry } from '../../wire/conntrack.ts';
import { conntrackMessage } from '../../wire/conntrack-message.ts';
import type { flowKeys } from './flow-keys.ts';
import type { FlowWriter } from './flow-record.ts';
import { ADDRESS_BYTES, type FlowTable } from './flow-table.ts';
import { Moment } from './flow-times.ts';

/** Room for a message: more than conntrackMessage makes of any entry, and for all that a dump usually shows. */
const MESSAGE_BYTES = 1024;

/** How UnseenFlows writes its records. */
interface Style {
  /** ulogd 2.0.8 gives no end for what it found gone, and knows no begins but its own. */
  readonly compat: boolean;
  /** What a poll finds gone was not missed: there is no event that could have been. */
  readonly polls: boolean;
}

/** Records of what the table tells and no event told: ends and begins of connections. */
export class UnseenFlows {
  readonly #record: Record;
  readonly #slots: Slots<typeof flowKeys>;
  readonly #flow: FlowWriter;
  readonly #deliver: Deliver;
  readonly #style: Style;
  readonly #view: DataView;
  readonly #addresses: number;
  readonly #message: number;
  /** What the last poll showed of each connection, by its index in the table. */
  readonly #shown: (Uint8Array | undefined)[] = [];
  readonly #entry = new ConntrackEntry();
  readonly #start = new Moment();
  readonly #end = new Moment();

  constructor(
    record: Record,
    slots: Slots<typeof flowKeys>,
    flow: FlowWriter,
    memory: Memory,
    deliver: Deliver,
    style: Style,
  ) {
    this.#record = record;
    this.#slots = slots;
    this.#flow = flow;
    this.#view = memory.view;
    this.#addresses = memory.reserve(ADDRESS_BYTES);
    this.#message = memory.reserve(MESSAGE_BYTES);
    this.#deliver = deliver;
    this.#style = style;
  }

  /** A dump showed the connection, in the message between `from` and `to`. A poll's is kept for those who read `ct`, as ulogd2 does. */
  shown(index: number, from: number, to: number): void {
    const size = to - from;
    if (!this.#style.polls || this.#slots.ct === UNREAD || size > MESSAGE_BYTES) return;
    const message = this.#record.bytes.subarray(from, to);
    if (this.#shown[index]?.length === size) this.#shown[index].set(message);
    else this.#shown[index] = new Uint8Array(message);
  }

  /** The connection ended after `earliest`, as far as that is known, and before `latest`. */
  reportEnd(table: FlowTable, index: number, earliest: Moment, latest: Moment): void {
    const { compat, polls } = this.#style;
    this.#restore(table, index, CONNTRACK_DESTROY);
    this.#end.set(latest.seconds, latest.microseconds);
    if (compat) this.#end.known = false;
    this.#write(this.#shown[index]);
    this.#shown[index] = undefined;
    if (!compat && !polls) {
      this.#record.setNumber(this.#slots['flow.unobserved'], 1);
      if (earliest.known) {
        this.#record.setNumber(this.#slots['flow.end.window.sec'], earliest.seconds);
        this.#record.setNumber(this.#slots['flow.end.window.usec'], earliest.microseconds);
      }
    }
    this.#deliver.event();
  }

  /** The connection is there, and its begin was not told. */
  reportBegin(table: FlowTable, index: number): void {
    if (this.#style.compat) return;
    this.#restore(table, index, CONNTRACK_NEW);
    this.#end.known = false;
    this.#write();
    this.#record.setNumber(this.#slots['flow.reconstructed'], 1);
    this.#deliver.event();
  }

  /** Writes the entry, and a message for those who read `ct`: one of it, if there is no other. It tells of no end: why it ended, nobody knows. */
  #write(shown?: Uint8Array): void {
    this.#flow.write(this.#entry, this.#start, this.#end);
    if (this.#slots.ct === UNREAD) return;
    const message = shown ?? conntrackMessage(this.#entry, this.#record.bytes);
    this.#record.bytes.set(message, this.#message);
    this.#record.setBytes(this.#slots.ct, this.#message, message.length);
  }

  #restore(table: FlowTable, index: number, event: number): void {
    table.restore(index, this.#entry, this.#view, this.#addresses);
    table.startOf(index, this.#start);
    this.#entry.event = event;
  }
}
