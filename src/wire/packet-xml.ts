import { Literal, writeBytes, writeDecimal, writePaddedHex } from './ascii.ts';
import type { LineBuffer } from './line-buffer.ts';
import type { NflogPacket } from './nflog.ts';
import * as nflog from './nflog.ts';
import { writeXmlText, xmlTextRoom } from './xml-text.ts';

// Bits of NflogPacket.present.
const PACKET_HDR = 1 << nflog.NFULA_PACKET_HDR;
const MARK = 1 << nflog.NFULA_MARK;
const INDEV = 1 << nflog.NFULA_IFINDEX_INDEV;
const OUTDEV = 1 << nflog.NFULA_IFINDEX_OUTDEV;
const PHYSINDEV = 1 << nflog.NFULA_IFINDEX_PHYSINDEV;
const PHYSOUTDEV = 1 << nflog.NFULA_IFINDEX_PHYSOUTDEV;
const HWADDR = 1 << nflog.NFULA_HWADDR;
const PAYLOAD = 1 << nflog.NFULA_PAYLOAD;
const PREFIX = 1 << nflog.NFULA_PREFIX;

const LOG = new Literal('<log>');
const PREFIX_OPEN = new Literal('<prefix>');
const PREFIX_CLOSE = new Literal('</prefix>');
const HOOK = new Literal('<hook>');
const HOOK_HW = new Literal('</hook><hw><proto>');
const PROTO_CLOSE = new Literal('</proto>');
const SRC = new Literal('<src>');
const SRC_CLOSE = new Literal('</src>');
const HW_CLOSE = new Literal('</hw>');
const MARK_OPEN = new Literal('<mark>');
const MARK_CLOSE = new Literal('</mark>');
const INDEV_OPEN = new Literal('<indev>');
const INDEV_CLOSE = new Literal('</indev>');
const OUTDEV_OPEN = new Literal('<outdev>');
const OUTDEV_CLOSE = new Literal('</outdev>');
const PHYSINDEV_OPEN = new Literal('<physindev>');
const PHYSINDEV_CLOSE = new Literal('</physindev>');
const PHYSOUTDEV_OPEN = new Literal('<physoutdev>');
const PHYSOUTDEV_CLOSE = new Literal('</physoutdev>');
const PAYLOAD_OPEN = new Literal('<payload>');
const PAYLOAD_CLOSE = new Literal('</payload>');
const LOG_CLOSE = new Literal('</log>');

/** Most bytes that writePacketXml makes of a packet, without the time. */
export const packetXmlRoom = (packet: NflogPacket): number =>
  700 + 2 * packet.payloadLength + xmlTextRoom(packet.prefixLength);

/** Writes a packet as libnetfilter_log does, with `when` (an XML element of the time) before its fields. `raw` is as in writeXmlText. */
export function writePacketXml(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  packet: NflogPacket,
  from: Uint8Array,
  when: LineBuffer,
  raw: boolean,
): number {
  const { present } = packet;
  let to = writeBytes(view, LOG.writeTo(view, at), when.view, 0, when.length);
  if ((present & PREFIX) !== 0) {
    to = PREFIX_OPEN.writeTo(view, to);
    to = writeXmlText(bytes, view, to, from, packet.prefixOffset, packet.prefixLength, raw);
    to = PREFIX_CLOSE.writeTo(view, to);
  }
  if ((present & PACKET_HDR) !== 0) {
    to = writeDecimal(view, HOOK.writeTo(view, to), packet.hook);
    to = writePaddedHex(bytes, HOOK_HW.writeTo(view, to), packet.hwProtocol, 4);
    to = PROTO_CLOSE.writeTo(view, to);
    if ((present & HWADDR) !== 0) {
      to = writeHex(bytes, SRC.writeTo(view, to), from, packet.hwAddressOffset, packet.hwAddressLength);
      to = SRC_CLOSE.writeTo(view, to);
    }
    to = HW_CLOSE.writeTo(view, to);
  }
  if ((present & MARK) !== 0) to = element(view, to, MARK_OPEN, packet.mark | 0, MARK_CLOSE);
  if ((present & INDEV) !== 0) to = element(view, to, INDEV_OPEN, packet.indev, INDEV_CLOSE);
  if ((present & PHYSINDEV) !== 0) to = element(view, to, PHYSINDEV_OPEN, packet.physIndev, PHYSINDEV_CLOSE);
  if ((present & OUTDEV) !== 0) to = element(view, to, OUTDEV_OPEN, packet.outdev, OUTDEV_CLOSE);
  if ((present & PHYSOUTDEV) !== 0) to = element(view, to, PHYSOUTDEV_OPEN, packet.physOutdev, PHYSOUTDEV_CLOSE);
  if ((present & PAYLOAD) !== 0) {
    to = writeHex(bytes, PAYLOAD_OPEN.writeTo(view, to), from, packet.payloadOffset, packet.payloadLength);
    to = PAYLOAD_CLOSE.writeTo(view, to);
  }
  return LOG_CLOSE.writeTo(view, to);
}

function element(view: DataView, at: number, open: Literal, value: number, close: Literal): number {
  return close.writeTo(view, writeDecimal(view, open.writeTo(view, at), value));
}

function writeHex(bytes: Uint8Array, at: number, from: Uint8Array, start: number, length: number): number {
  let to = at;
  for (let i = start; i < start + length; i++) to = writePaddedHex(bytes, to, from[i]!, 2);
  return to;
}
