import { CONNTRACK_DESTROY, CONNTRACK_NEW } from '../../wire/conntrack.ts';
import * as ct from '../../wire/ctnetlink.ts';
import { IPPROTO_TCP, IPPROTO_UDP } from '../../wire/ip.ts';
import { MessageBuilder } from '../../wire/message-builder.ts';
import { NLM_F_CREATE, NLM_F_EXCL } from '../../wire/netlink.ts';
import { beginRequest, NFPROTO_IPV4, NFPROTO_IPV6 } from '../../wire/nfnetlink.ts';

/** Beyond 31 bits, as half of the kernel's numbers are. */
const WIDE = 0xfedc_ba98;
/** 2020-01-01, in nanoseconds since 1970. */
const TIME = 1_577_836_800_000_000_000n;

const IPV4 = { family: NFPROTO_IPV4, source: ct.CTA_IP_V4_SRC, destination: ct.CTA_IP_V4_DST, size: 4 };
const IPV6 = { family: NFPROTO_IPV6, source: ct.CTA_IP_V6_SRC, destination: ct.CTA_IP_V6_DST, size: 16 };

/** Events of connections that never were: begin and end, over IPv4 and IPv6, of UDP and TCP, with all that they usually tell. */
export const specimens: readonly Uint8Array[] = [IPV4, IPV6].flatMap((version) =>
  [IPPROTO_UDP, IPPROTO_TCP].flatMap((protocol) =>
    [CONNTRACK_NEW, CONNTRACK_DESTROY].map((event) => specimen(version, protocol, event)),
  ),
);

function specimen(version: typeof IPV4, protocol: number, event: number): Uint8Array {
  const builder = new MessageBuilder();
  const ends = event === CONNTRACK_DESTROY;
  const type = ends ? ct.IPCTNL_MSG_CT_DELETE : ct.IPCTNL_MSG_CT_NEW;
  beginRequest(builder, type, ends ? 0 : NLM_F_CREATE | NLM_F_EXCL, 0, version.family);
  addTuple(builder, ct.CTA_TUPLE_ORIG, version, protocol);
  addTuple(builder, ct.CTA_TUPLE_REPLY, version, protocol);
  builder.be32(ct.CTA_ID, WIDE).be32(ct.CTA_STATUS, 0).be32(ct.CTA_MARK, WIDE);
  if (ends) {
    for (const counters of [ct.CTA_COUNTERS_ORIG, ct.CTA_COUNTERS_REPLY])
      builder.nest(counters).bytes(ct.CTA_COUNTERS_PACKETS, wide(1n)).bytes(ct.CTA_COUNTERS_BYTES, wide(1500n)).end();
    builder.nest(ct.CTA_TIMESTAMP).bytes(ct.CTA_TIMESTAMP_START, wide(TIME)).bytes(ct.CTA_TIMESTAMP_STOP, wide(TIME));
    builder.end();
  } else {
    builder.be32(ct.CTA_TIMEOUT, 30).nest(ct.CTA_TIMESTAMP).bytes(ct.CTA_TIMESTAMP_START, wide(TIME)).end();
  }
  return builder.bytes(ct.CTA_TIMESTAMP_EVENT, wide(TIME)).finish();
}

function addTuple(builder: MessageBuilder, tuple: number, version: typeof IPV4, protocol: number): void {
  builder.nest(tuple);
  builder.nest(ct.CTA_TUPLE_IP);
  for (const address of [version.source, version.destination])
    builder.bytes(address, new Uint8Array(version.size).fill(1));
  builder.end();
  builder.nest(ct.CTA_TUPLE_PROTO);
  builder.u8(ct.CTA_PROTO_NUM, protocol).be16(ct.CTA_PROTO_SRC_PORT, 1024).be16(ct.CTA_PROTO_DST_PORT, 53);
  builder.end().end();
}

function wide(value: bigint): Uint8Array {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setBigUint64(0, value);
  return bytes;
}
