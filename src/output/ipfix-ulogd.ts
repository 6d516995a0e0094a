import type { Record } from '../pipeline/record.ts';
import { Template } from '../wire/ipfix.ts';
import type { FlowSlots } from './ipfix-flow.ts';

/** ulogd 2.0.8's one template: IPv4, counters of both directions in one, whole seconds, the mark as an applicationId. */
export const ULOGD_TEMPLATE = new Template(256, [
  { field: 8, length: 4 },
  { field: 12, length: 4 },
  { field: 86, length: 4 },
  { field: 85, length: 4 },
  { field: 150, length: 4 },
  { field: 151, length: 4 },
  { field: 7, length: 2 },
  { field: 11, length: 2 },
  { field: 4, length: 1 },
  { field: 95, length: 4 },
]);

/** Writes a connection of IPv4 as ulogd 2.0.8 does. What is not known is 0. */
export function writeUlogdFlow(to: DataView, at: number, record: Record, read: FlowSlots): void {
  const { view, value } = record;
  to.setInt32(at, view.getInt32(value[read['orig.ip.saddr']]!));
  to.setInt32(at + 4, view.getInt32(value[read['orig.ip.daddr']]!));
  to.setInt32(at + 8, low(record, read['orig.raw.pktcount']) + low(record, read['reply.raw.pktcount']));
  to.setInt32(at + 12, low(record, read['orig.raw.pktlen']) + low(record, read['reply.raw.pktlen']));
  to.setInt32(at + 16, low(record, read['flow.start.sec']));
  to.setInt32(at + 20, low(record, read['flow.end.sec']));
  to.setUint16(at + 24, low(record, read['orig.l4.sport']));
  to.setUint16(at + 26, low(record, read['orig.l4.dport']));
  to.setUint8(at + 28, low(record, read['orig.ip.protocol']));
  to.setInt32(at + 29, low(record, read['ct.mark']));
}

/** The lower 32 bits of a number: all that ulogd sends of a counter. */
const low = ({ value, valid }: Record, slot: number): number => (valid[slot] === 1 ? value[slot]! | 0 : 0);
