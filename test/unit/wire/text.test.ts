import { describe, expect, test } from 'vitest';
import { MessageBuilder } from '../../../src/wire/message-builder.ts';
import { describeDatagram } from '../../../src/wire/text.ts';
import { datagram, recordings } from './vectors.ts';

const describeRecording = (file: string, name: string, protocol: number) => {
  const { view } = recordings(file).find((recording) => recording.name.startsWith(name))!;
  return describeDatagram(view, 0, view.byteLength, protocol);
};

describe('a datagram for people', () => {
  test('an event has its attributes by name, indented by depth', () => {
    const text = describeRecording('conntrack', 'udp with a mark: new', 12);
    expect(text).toMatch(
      /^IPCTNL_MSG_CT_NEW flags=EXCL\|CREATE seq=0 port=0 length=\d+\n {2}header=02000000\n {2}CTA_TUPLE_ORIG\n {4}CTA_TUPLE_IP\n {6}CTA_IP_V4_SRC=10\.1\.0\.2\n/,
    );
    expect(text).toContain('\n      CTA_PROTO_NUM=17\n');
    expect(text).toContain('\n  CTA_MARK=3735928559\n');
  });

  test('an IPv6 event, a packet, a device and statistics', () => {
    expect(describeRecording('conntrack', 'icmpv6: new', 12)).toContain('CTA_IP_V6_DST=fd02::2');
    const packets = describeRecording('nflog', 'three in one datagram', 12);
    expect(packets.match(/^NFULNL_MSG_PACKET/gm)?.length).toBe(3);
    expect(packets).toContain('NFULA_PREFIX="three at once: "');
    expect(describeRecording('rtnetlink', 'a new device', 0)).toMatch(
      /^RTM_NEWLINK .*\n {2}header=\w+\n {2}IFLA_IFNAME="here"/,
    );
    expect(describeRecording('conntrack-stats', 'totals', 12)).toContain('CTA_STATS_GLOBAL_MAX_ENTRIES=');
  });

  test('a refusal has the kernel’s words', () => {
    const text = describeRecording('acks', 'an attribute of the wrong size', 0);
    expect(text).toMatch(
      /^NLMSG_ERROR flags=ACK_TLVS seq=77 port=\d+ length=\d+\n {2}error=34 message="Attribute failed policy validation" at=32$/,
    );
  });

  test('requests are readable too', () => {
    const bytes = new MessageBuilder().message(0x101, 0x300, 5).raw(new Uint8Array(4)).finish();
    expect(describeDatagram(new DataView(bytes.buffer), 0, bytes.length, 12)).toMatch(
      /^IPCTNL_MSG_CT_GET flags=REQUEST\|DUMP seq=5/,
    );
  });

  test('what is malformed says so, and what is unknown is shown as bytes', () => {
    const short = datagram('1c000000 0001 0000 00000000 00000000 02000000 0600080000010000');
    expect(describeDatagram(short.view, 0, 28, 12)).toContain('CTA_MARK=0001 (malformed: 2 bytes)');
    const broken = datagram('18000000 0001 0000 00000000 00000000 02000000 03000800');
    expect(describeDatagram(broken.view, 0, 24, 12)).toContain('malformed attribute: 4 bytes left');
    expect(describeDatagram(broken.view, 0, 9, 12)).toBe('malformed message: 9 bytes left');
    const strange = datagram('14000000 6300 0000 00000000 00000000 abcd0000');
    expect(describeDatagram(strange.view, 0, 20, 12)).toBe('type 99 flags=0 seq=0 port=0 length=20\n  abcd0000');
  });

  test('text from outside cannot reach the terminal as it is', () => {
    const bytes = new MessageBuilder()
      .message(0x400, 0, 0)
      .raw(new Uint8Array(4))
      .string(10, 'a\x1b[31m\x7f\u009b"')
      .finish();
    const text = describeDatagram(new DataView(bytes.buffer), 0, bytes.length, 12);
    expect(text).toContain('NFULA_PREFIX="a\\u001b[31m\\u007f\\u009b\\""');
  });
});
