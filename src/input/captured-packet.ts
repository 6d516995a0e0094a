import type { KeySpecs } from '../pipeline/key.ts';
import type { Memory } from '../pipeline/memory.ts';
import type { Slots } from '../pipeline/plugin.ts';
import type { Record } from '../pipeline/record.ts';
import type { CapturedPacket } from '../wire/capture-file.ts';
import {
  ARPHRD_ETHER,
  ETHERNET_ADDRESS,
  ETHERNET_HEADER,
  ETHERTYPE_IPV4,
  ETHERTYPE_IPV6,
  ETHERTYPE_OFFSET,
} from '../wire/ethernet.ts';
import { NFPROTO_BRIDGE, NFPROTO_IPV4, NFPROTO_IPV6 } from '../wire/ip.ts';
import { HOST_LITTLE_ENDIAN, NLMSG_HEADER } from '../wire/netlink.ts';
import * as nflog from '../wire/nflog.ts';
import { decodePacket, NflogPacket } from '../wire/nflog.ts';
import * as pcap from '../wire/pcap.ts';
import type { packetKeys } from './packet-keys.ts';

const EVERY_ATTRIBUTE = 0xffffffff;
const ETHERTYPE_VLAN = 0x8100;
const ETHERTYPE_QINQ = 0x88a8;
/** LINKTYPE_RAW as BSD once numbered it (DLT_RAW). */
const DLT_RAW = 12;
/** Bytes of a Linux cooked header, version 1 and 2 (tcpdump.org/linktypes). */
const SLL_HEADER = 16;
const SLL2_HEADER = 20;
/** Packet type of cooked headers: sent by the machine itself. */
const OUTGOING = 4;

const has = (packet: NflogPacket, attribute: number): boolean => (packet.present & (1 << attribute)) !== 0;

/** Writes captured packets as NFLOG would have written them, as far as their link type tells. */
export class CapturedPacketWriter {
  readonly #record: Record;
  readonly #write: Slots<typeof packetKeys>;
  readonly #label: number;
  readonly #prefixAt: number;
  readonly #prefixLength: number;
  readonly #nflog = new NflogPacket();

  constructor(
    record: Record,
    write: Slots<typeof packetKeys & KeySpecs>,
    memory: Memory,
    options: { readonly prefix: string; readonly numeric_label: number },
  ) {
    this.#record = record;
    this.#write = write;
    this.#label = options.numeric_label;
    const prefix = Buffer.from(options.prefix);
    this.#prefixAt = memory.reserve(prefix.length);
    this.#prefixLength = prefix.length;
    memory.bytes.set(prefix, this.#prefixAt);
  }

  /** Fills the record; false when the link type is not known or the packet is too short for it. */
  write(packet: CapturedPacket, littleEndian: boolean): boolean {
    const { linkType, offset, length } = packet;
    const end = offset + length;
    const record = this.#record;
    const write = this.#write;
    record.setNumber(write['raw.pktcount'], 1);
    record.setNumber(write['raw.label'], this.#label);
    record.setNumber(write['oob.mark'], 0);
    record.setNumber(write['oob.time.sec'], packet.seconds);
    record.setNumber(write['oob.time.usec'], packet.microseconds);
    record.setBytes(write['oob.prefix'], this.#prefixAt, this.#prefixLength);
    switch (linkType) {
      case pcap.LINKTYPE_NFLOG:
        return this.#writeNflog(offset, end, littleEndian);
      case pcap.LINKTYPE_ETHERNET:
        return this.#writeEthernet(offset, end);
      case pcap.LINKTYPE_RAW:
      case pcap.LINKTYPE_IPV4:
      case pcap.LINKTYPE_IPV6:
      case DLT_RAW:
        return this.#writeRaw(offset, end);
      case pcap.LINKTYPE_LINUX_SLL:
        return this.#writeCooked(offset, end);
      case pcap.LINKTYPE_LINUX_SLL2:
        return this.#writeCooked2(offset, end);
    }
    return false;
  }

  /** struct nfgenmsg and its attributes, which are in the byte order of the machine that captured them. */
  #writeNflog(start: number, end: number, littleEndian: boolean): boolean {
    const record = this.#record;
    const write = this.#write;
    const packet = this.#nflog;
    // decodePacket looks behind a netlink header; the header of the capture lies in its place.
    if (littleEndian !== HOST_LITTLE_ENDIAN) return false;
    if (!decodePacket(record.view, start - NLMSG_HEADER, end, packet, EVERY_ATTRIBUTE)) return false;
    record.setNumber(write['oob.family'], packet.family);
    if (has(packet, nflog.NFULA_PACKET_HDR)) {
      record.setNumber(write['oob.hook'], packet.hook);
      record.setNumber(write['oob.protocol'], packet.hwProtocol);
    }
    if (has(packet, nflog.NFULA_PAYLOAD)) this.#setPacket(packet.payloadOffset, packet.payloadLength);
    if (has(packet, nflog.NFULA_PREFIX)) {
      record.setBytes(write['oob.prefix'], packet.prefixOffset, packet.prefixLength);
    }
    if (has(packet, nflog.NFULA_TIMESTAMP)) {
      record.setNumber(write['oob.time.sec'], packet.seconds);
      record.setNumber(write['oob.time.usec'], packet.microseconds);
    }
    if (has(packet, nflog.NFULA_MARK)) record.setNumber(write['oob.mark'], packet.mark);
    if (has(packet, nflog.NFULA_IFINDEX_INDEV)) record.setNumber(write['oob.ifindex_in'], packet.indev);
    if (has(packet, nflog.NFULA_IFINDEX_OUTDEV)) record.setNumber(write['oob.ifindex_out'], packet.outdev);
    if (has(packet, nflog.NFULA_SEQ)) record.setNumber(write['oob.seq.local'], packet.sequence);
    if (has(packet, nflog.NFULA_SEQ_GLOBAL)) record.setNumber(write['oob.seq.global'], packet.globalSequence);
    if (has(packet, nflog.NFULA_UID)) record.setNumber(write['oob.uid'], packet.uid);
    if (has(packet, nflog.NFULA_GID)) record.setNumber(write['oob.gid'], packet.gid);
    if (has(packet, nflog.NFULA_HWTYPE)) record.setNumber(write['raw.type'], packet.hwType);
    if (has(packet, nflog.NFULA_HWHEADER) && packet.hwHeaderLength > 0) {
      record.setBytes(write['raw.mac'], packet.hwHeaderOffset, packet.hwHeaderLength);
      record.setNumber(write['raw.mac_len'], packet.hwHeaderLength);
    }
    if (has(packet, nflog.NFULA_HWADDR)) this.#setSender(packet.hwAddressOffset, packet.hwAddressLength);
    return true;
  }

  #writeEthernet(start: number, end: number): boolean {
    if (end - start < ETHERNET_HEADER) return false;
    const record = this.#record;
    let at = start + ETHERTYPE_OFFSET;
    let ethertype = record.view.getUint16(at);
    while ((ethertype === ETHERTYPE_VLAN || ethertype === ETHERTYPE_QINQ) && end - at >= 6) {
      at += 4;
      ethertype = record.view.getUint16(at);
    }
    record.setBytes(this.#write['raw.mac'], start, ETHERNET_HEADER);
    record.setNumber(this.#write['raw.mac_len'], ETHERNET_HEADER);
    record.setNumber(this.#write['raw.type'], ARPHRD_ETHER);
    this.#setSender(start + ETHERNET_ADDRESS, ETHERNET_ADDRESS);
    this.#setProtocol(ethertype);
    this.#setPacket(at + 2, end - at - 2);
    return true;
  }

  #writeRaw(start: number, end: number): boolean {
    if (end === start) return false;
    const version = this.#record.view.getUint8(start) >> 4;
    if (version !== 4 && version !== 6) return false;
    this.#setProtocol(version === 4 ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6);
    this.#setPacket(start, end - start);
    return true;
  }

  /** Packet type be16, ARPHRD be16, length of the address be16, address (8 bytes), ethertype be16. */
  #writeCooked(start: number, end: number): boolean {
    if (end - start < SLL_HEADER) return false;
    const record = this.#record;
    record.setNumber(this.#write['raw.type'], record.view.getUint16(start + 2));
    this.#setSender(start + 6, Math.min(record.view.getUint16(start + 4), 8));
    this.#setProtocol(record.view.getUint16(start + 14));
    this.#setPacket(start + SLL_HEADER, end - start - SLL_HEADER);
    return true;
  }

  /** Ethertype be16, zero, interface be32, ARPHRD be16, packet type, length of the address, address (8 bytes). */
  #writeCooked2(start: number, end: number): boolean {
    if (end - start < SLL2_HEADER) return false;
    const record = this.#record;
    const { view } = record;
    const outgoing = view.getUint8(start + 10) === OUTGOING;
    record.setNumber(this.#write[outgoing ? 'oob.ifindex_out' : 'oob.ifindex_in'], view.getUint32(start + 4));
    record.setNumber(this.#write['raw.type'], view.getUint16(start + 8));
    this.#setSender(start + 12, Math.min(view.getUint8(start + 11), 8));
    this.#setProtocol(view.getUint16(start));
    this.#setPacket(start + SLL2_HEADER, end - start - SLL2_HEADER);
    return true;
  }

  #setPacket(offset: number, length: number): void {
    this.#record.setBytes(this.#write['raw.pkt'], offset, length);
    this.#record.setNumber(this.#write['raw.pktlen'], length);
  }

  #setSender(offset: number, length: number): void {
    if (length === 0) return;
    this.#record.setBytes(this.#write['raw.mac.saddr'], offset, length);
    this.#record.setNumber(this.#write['raw.mac.addrlen'], length);
  }

  /** What is neither IPv4 nor IPv6 comes as from a bridge: BASE then goes by the ethertype. */
  #setProtocol(ethertype: number): void {
    const family =
      ethertype === ETHERTYPE_IPV4 ? NFPROTO_IPV4 : ethertype === ETHERTYPE_IPV6 ? NFPROTO_IPV6 : NFPROTO_BRIDGE;
    this.#record.setNumber(this.#write['oob.family'], family);
    this.#record.setNumber(this.#write['oob.protocol'], ethertype);
  }
}
