import { describe, expect, test } from 'vitest';
import { ConntrackEntry, decodeConntrackAttributes } from '../../../src/wire/conntrack.ts';
import { MessageBuilder } from '../../../src/wire/message-builder.ts';
import * as nflog from '../../../src/wire/nflog.ts';
import * as request from '../../../src/wire/nflog-request.ts';
import { beginRequest, NFPROTO_IPV4 } from '../../../src/wire/nfnetlink.ts';
import { address, hex, messages, recordings, text } from './vectors.ts';

const ALL = 0xffffffff;
const packet = new nflog.NflogPacket();
const entry = new ConntrackEntry();

/** A packet in the form of scripts/record/nflog.js: what is there, and nothing else. */
function shown(view: DataView, likeText: string | undefined): Record<string, unknown> {
  const has = (type: number) => ((packet.present >>> type) & 1) === 1;
  const line: Record<string, unknown> = {
    group: packet.group,
    family: packet.family,
    protocol: packet.hwProtocol,
    hook: packet.hook,
  };
  if (has(nflog.NFULA_MARK)) line.mark = packet.mark;
  if (has(nflog.NFULA_IFINDEX_INDEV)) line.indev = packet.indev;
  if (has(nflog.NFULA_IFINDEX_OUTDEV)) line.outdev = packet.outdev;
  if (has(nflog.NFULA_IFINDEX_PHYSINDEV)) line.physIndev = packet.physIndev;
  if (has(nflog.NFULA_IFINDEX_PHYSOUTDEV)) line.physOutdev = packet.physOutdev;
  if (has(nflog.NFULA_PREFIX)) line.prefix = text(view, packet.prefixOffset, packet.prefixLength);
  if (has(nflog.NFULA_UID)) line.uid = packet.uid;
  if (has(nflog.NFULA_GID)) line.gid = packet.gid;
  if (has(nflog.NFULA_HWTYPE)) line.hwType = packet.hwType;
  if (has(nflog.NFULA_HWLEN)) line.hwLength = packet.hwHeaderSize;
  if (has(nflog.NFULA_HWHEADER)) line.hwHeader = hex(view, packet.hwHeaderOffset, packet.hwHeaderLength);
  if (has(nflog.NFULA_HWADDR)) line.hwAddress = hex(view, packet.hwAddressOffset, packet.hwAddressLength);
  if (has(nflog.NFULA_L2HDR)) line.l2Header = hex(view, packet.l2HeaderOffset, packet.l2HeaderLength);
  if (has(nflog.NFULA_VLAN)) line.vlan = { protocol: packet.vlanProtocol, tci: packet.vlanTci };
  if (has(nflog.NFULA_SEQ)) line.sequence = packet.sequence;
  line.payload = packet.payloadLength;
  if (likeText !== undefined) {
    const from = packet.payloadOffset + packet.payloadLength - likeText.length;
    line.text = text(view, from, likeText.length);
  }
  if (has(nflog.NFULA_SEQ_GLOBAL)) line.globalSequence = packet.globalSequence;
  return line;
}

describe('what the kernel logs is what was sent and what the rule says', () => {
  test.each(recordings<Record<string, unknown>[]>('nflog'))('$name', ({ view, expected }) => {
    const found = messages(view).filter(([start]) => view.getUint16(start + 4, true) === nflog.NFULNL_PACKET);
    expect(found.length).toBe(expected.length);
    for (const [i, [start, end]] of found.entries()) {
      expect(nflog.decodePacket(view, start, end, packet, ALL)).toBe(true);
      const line = shown(view, expected[i]!.text as string | undefined);
      expect(line).toMatchObject(expected[i]!);
      // veth hands on the sender's socket and frame: they may be there as well. Nothing else.
      const unexplained = Object.keys(line).filter((key) => !(key in expected[i]!));
      const frame = ['uid', 'gid', 'hwType', 'hwLength', 'hwHeader', 'hwAddress', 'l2Header'];
      expect([...frame, 'payload', 'sequence', 'globalSequence']).toEqual(expect.arrayContaining(unexplained));
      if (packet.present & (1 << nflog.NFULA_TIMESTAMP)) {
        expect(new Date(packet.seconds * 1000).getUTCFullYear()).toBeGreaterThanOrEqual(2026);
        expect(packet.microseconds).toBeLessThan(1_000_000);
      }
    }
  });
});

let last: Uint8Array;

function made(build: (builder: MessageBuilder) => MessageBuilder, wanted = ALL): boolean {
  const bytes = build(beginRequest(new MessageBuilder(), nflog.NFULNL_PACKET, 0, 0, NFPROTO_IPV4, 300)).finish();
  last = bytes;
  return nflog.decodePacket(new DataView(bytes.buffer), 0, bytes.length, packet, wanted);
}

describe('what is malformed or unwanted', () => {
  test.each<[string, (m: MessageBuilder) => MessageBuilder]>([
    ['a packet header of two bytes', (m) => m.be16(nflog.NFULA_PACKET_HDR, 0x800)],
    ['a mark of two bytes', (m) => m.be16(nflog.NFULA_MARK, 1)],
    ['a time of eight bytes', (m) => m.bytes(nflog.NFULA_TIMESTAMP, new Uint8Array(8))],
    [
      'a hardware address longer than its room',
      (m) => m.bytes(nflog.NFULA_HWADDR, Uint8Array.of(0, 9, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8)),
    ],
    ['a tag of four bytes', (m) => m.nest(nflog.NFULA_VLAN).be32(nflog.NFULA_VLAN_TCI, 1).end()],
    ['half an attribute in a nest', (m) => m.bytes(nflog.NFULA_VLAN, Uint8Array.of(6, 0, 1, 0))],
  ])('%s', (_, build) => expect(made(build)).toBe(false));

  test('an attribute that nobody wants is not looked into', () => {
    expect(made((m) => m.be16(nflog.NFULA_MARK, 1).be32(nflog.NFULA_SEQ, 5), 1 << nflog.NFULA_SEQ)).toBe(true);
    expect([packet.present, packet.sequence, packet.group]).toEqual([1 << nflog.NFULA_SEQ, 5, 300]);
  });

  test('unknown attributes are skipped', () => {
    expect(made((m) => m.bytes(22, new Uint8Array(5)).u8(33, 1).be32(nflog.NFULA_UID, 4))).toBe(true);
    expect([packet.present, packet.uid]).toEqual([(1 << 22) | (1 << nflog.NFULA_UID), 4]);
  });

  test('the connection of a packet is an entry like any other', () => {
    // This kernel refuses NFULNL_CFG_F_CONNTRACK (CONFIG_NETFILTER_NETLINK_GLUE_CT), so an event's attributes stand in.
    const event = recordings('conntrack').find(({ name }) => name.startsWith('icmp: update'))!;
    expect(made((m) => m.be32(nflog.NFULA_CT_INFO, 3).bytes(nflog.NFULA_CT | 0x8000, event.bytes.subarray(20)))).toBe(
      true,
    );
    expect(packet.conntrackInfo).toBe(3);
    const view = new DataView(last.buffer);
    const end = packet.conntrackOffset + packet.conntrackLength;
    expect(decodeConntrackAttributes(view, packet.conntrackOffset, end, entry, ALL)).toBe(true);
    expect(address(view, entry.orig.sourceOffset, entry.orig.sourceLength)).toBe('10.1.0.2');
    expect([entry.orig.icmpType, entry.reply.icmpType]).toEqual([8, 0]);
  });

  test('an empty prefix and a prefix without NUL', () => {
    expect(made((m) => m.string(nflog.NFULA_PREFIX, ''))).toBe(true);
    expect(packet.prefixLength).toBe(0);
    expect(made((m) => m.bytes(nflog.NFULA_PREFIX, Uint8Array.of(0x61, 0x62)))).toBe(true);
    expect(packet.prefixLength).toBe(2);
  });
});

describe('requests, as they were accepted by Linux 6.18', () => {
  test.each([
    [
      'bind',
      request.nflogCommand(77, request.NFULNL_CFG_CMD_BIND, 300),
      '1c000000010405004d000000000000000000012c0500010001000000',
    ],
    [
      'unbind',
      request.nflogCommand(77, request.NFULNL_CFG_CMD_UNBIND, 300),
      '1c000000010405004d000000000000000000012c0500010002000000',
    ],
    [
      'bind a family',
      request.nflogCommand(77, request.NFULNL_CFG_CMD_PF_BIND, 0, 2),
      '1c000000010405004d00000000000000020000000500010003000000',
    ],
    [
      'all settings',
      request.nflogSettings(77, 10, {
        copyMode: request.NFULNL_COPY_PACKET,
        copyRange: 0xffff,
        bufferSize: 150000,
        timeout: 100,
        threshold: 3,
        flags: request.NFULNL_CFG_F_SEQ | request.NFULNL_CFG_F_CONNTRACK,
      }),
      '40000000010405004d000000000000000000000a' +
        '0a0002000000ffff02000000' +
        '08000300000249f0' +
        '0800040000000064' +
        '0800050000000003' +
        '0600060000050000',
    ],
    ['no settings', request.nflogSettings(77, 10, {}), '14000000010405004d000000000000000000000a'],
  ])('%s', (_, bytes, expected) => expect(Buffer.from(bytes).toString('hex')).toBe(expected));
});
