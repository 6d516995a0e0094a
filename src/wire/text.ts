import { ipText } from './ip-text.ts';
import {
  align,
  attributeEnd,
  attributeType,
  HOST_LITTLE_ENDIAN,
  messageEnd,
  messageFlags,
  messagePort,
  messageSequence,
  messageType,
  NLA_HEADER,
  NLM_F_DUMP,
  NLMSG_HEADER,
  NLMSG_MIN_TYPE,
  stringLength,
} from './netlink.ts';
import { decodeAck, NetlinkAck } from './netlink-ack.ts';
import { type Attributes, controlNames, messageKinds, type Shape } from './netlink-names.ts';

/** Most bytes of a value that are shown. */
const SHOWN = 64;

/**
 * One datagram of a NETLINK_* protocol for people: a line per message, and one per attribute, indented by its depth.
 * What is malformed ends with a line that says so. Slow: for the debug log.
 */
export function describeDatagram(view: DataView, start: number, end: number, protocol: number): string {
  const lines: string[] = [];
  for (let at = start; at < end; ) {
    const to = messageEnd(view, at, end);
    if (to < 0) {
      lines.push(`malformed message: ${end - at} bytes left`);
      break;
    }
    describeMessage(view, at, to, protocol, lines);
    at += align(to - at);
  }
  return lines.join('\n');
}

function describeMessage(view: DataView, start: number, end: number, protocol: number, lines: string[]): void {
  const type = messageType(view, start);
  const kind = messageKinds[protocol]?.[type];
  const name = type < NLMSG_MIN_TYPE ? (controlNames[type] ?? `${type}`) : (kind?.name ?? `type ${type}`);
  const header = `flags=${flagNames(messageFlags(view, start), type)} seq=${messageSequence(view, start)} port=${messagePort(view, start)}`;
  lines.push(`${name} ${header} length=${end - start}`);
  const ack = new NetlinkAck();
  if (decodeAck(view, start, end, ack)) {
    const message = text(view, ack.messageOffset, ack.messageOffset + ack.messageLength);
    const bad = ack.badAttribute < 0 ? '' : ` at=${ack.badAttribute}`;
    lines.push(`  error=${ack.error}${ack.messageLength > 0 ? ` message=${message}` : ''}${bad}`);
  } else if (kind) {
    const attributes = start + NLMSG_HEADER + kind.header;
    if (attributes > end) lines.push('  malformed: no header');
    else {
      lines.push(`  header=${hex(view, start + NLMSG_HEADER, attributes)}`);
      describeAttributes(view, attributes, end, kind.attributes, '  ', lines);
    }
  } else if (end > start + NLMSG_HEADER) lines.push(`  ${hex(view, start + NLMSG_HEADER, end)}`);
}

/** Recursion ends with the table: a nest inside an attribute that is none of its kind is shown as bytes. */
function describeAttributes(
  view: DataView,
  start: number,
  end: number,
  table: Attributes,
  indent: string,
  lines: string[],
): void {
  for (let at = start; at < end; ) {
    const to = attributeEnd(view, at, end);
    if (to < 0) {
      lines.push(`${indent}malformed attribute: ${end - at} bytes left`);
      return;
    }
    const type = attributeType(view, at);
    const [name, shape] = table[type] ?? [`attribute ${type}`, 'bytes'];
    const from = at + NLA_HEADER;
    if (typeof shape === 'string') lines.push(`${indent}${name}=${describeValue(view, from, to, shape)}`);
    else {
      lines.push(`${indent}${name}`);
      describeAttributes(view, from, to, shape, `${indent}  `, lines);
    }
    at += align(to - at);
  }
}

const sizes: Readonly<Record<string, number>> = { u8: 1, be16: 2, be32: 4, be64: 8, host32: 4 };

function describeValue(view: DataView, from: number, to: number, shape: Exclude<Shape, Attributes>): string {
  const size = to - from;
  if (shape in sizes && size !== sizes[shape]) return `${hex(view, from, to)} (malformed: ${size} bytes)`;
  switch (shape) {
    case 'u8':
      return `${view.getUint8(from)}`;
    case 'be16':
      return `${view.getUint16(from)}`;
    case 'be32':
      return `${view.getUint32(from)}`;
    case 'be64':
      return `${view.getBigUint64(from)}`;
    case 'host32':
      return `${view.getUint32(from, HOST_LITTLE_ENDIAN)}`;
    case 'string':
      return text(view, from, from + stringLength(view, from, to));
    case 'address':
      return size === 4 || size === 16
        ? ipText(bytesOf(view, from, to))
        : `${hex(view, from, to)} (malformed: ${size} bytes)`;
    case 'bytes':
      return hex(view, from, to);
  }
}

/** Text from outside, quoted: control bytes must not reach a terminal. */
function text(view: DataView, from: number, to: number): string {
  const quoted = JSON.stringify(new TextDecoder().decode(bytesOf(view, from, to)));
  return quoted.replace(/[\x7f-\x9f]/g, (control) => `\\u00${control.charCodeAt(0).toString(16)}`);
}

function hex(view: DataView, from: number, to: number): string {
  const shown = Array.from(bytesOf(view, from, Math.min(to, from + SHOWN)), (byte) =>
    byte.toString(16).padStart(2, '0'),
  );
  return `${shown.join('')}${to - from > SHOWN ? `… (${to - from} bytes)` : ''}`;
}

const bytesOf = (view: DataView, from: number, to: number): Uint8Array =>
  new Uint8Array(view.buffer, view.byteOffset + from, to - from);

function flagNames(flags: number, type: number): string {
  const names: string[] = [];
  let rest = flags;
  const take = (mask: number, name: string) => {
    if ((rest & mask) !== mask) return;
    names.push(name);
    rest &= ~mask;
  };
  take(0x01, 'REQUEST');
  take(0x02, 'MULTI');
  take(0x04, 'ACK');
  take(0x08, 'ECHO');
  take(0x10, 'DUMP_INTR');
  take(0x20, 'DUMP_FILTERED');
  if (type < NLMSG_MIN_TYPE) {
    take(0x100, 'CAPPED');
    take(0x200, 'ACK_TLVS');
  } else if ((flags & 1) !== 0) take(NLM_F_DUMP, 'DUMP');
  else {
    take(0x100, 'REPLACE');
    take(0x200, 'EXCL');
    take(0x400, 'CREATE');
    take(0x800, 'APPEND');
  }
  if (rest !== 0) names.push(`0x${rest.toString(16)}`);
  return names.length === 0 ? '0' : names.join('|');
}
