import { describe, expect, test } from 'vitest';
import { TokenBucket } from '../../../src/output/token-bucket.ts';
import { bytesText, describeEthernet, describePacket } from '../../../src/wire/os-ken.ts';

const view = (hex: string) => new DataView(Uint8Array.from(Buffer.from(hex.replaceAll(' ', ''), 'hex')).buffer);

function packet(hex: string, ethertype = 0x0800): string {
  const bytes = view(hex);
  return describePacket(bytes, 0, bytes.byteLength, ethertype);
}

const IPV4 = (protocol: string, total: string, fragment = '4000') =>
  `4500 ${total} 6d41 ${fragment} 3f ${protocol} b93f 0a0a0005 0a0a0110`;
const OWN = (protocol: number, total: number, flags = 2, offset = 0) =>
  `ipv4(csum=47423,dst='10.10.1.16',flags=${flags},header_length=5,identification=27969,offset=${offset},option=None,proto=${protocol},src='10.10.0.5',tos=0,total_length=${total},ttl=63,version=4)`;

describe('a packet as os-ken writes it', () => {
  test('the example of the networking guide, but for its payload', () => {
    expect(describeEthernet(view('fa163e8f47c5 fa163e1b3e67 0800'), 0, 14)).toBe(
      "ethernet(dst='fa:16:3e:8f:47:c5',ethertype=2048,src='fa:16:3e:1b:3e:67')",
    );
    expect(packet(`${IPV4('01', '0020')} 0800 a1b0 7201 0000 61275c0a`)).toBe(
      `${OWN(1, 32)}icmp(code=0,csum=41392,data=echo(data=b"a'\\\\\\n",id=29185,seq=0),type=8)`,
    );
  });

  test('TCP with options', () => {
    const header = '1f90 0016 00000001 00000000 a002 faf0 1234 0000';
    expect(packet(`${IPV4('06', '003c')} ${header} 020405b4 0402 080a 00000001 00000002 01 030307`)).toBe(
      `${OWN(6, 60)}tcp(ack=0,bits=2,csum=4660,dst_port=22,offset=10,option=[TCPOptionMaximumSegmentSize(kind=2,length=4,max_seg_size=1460), TCPOptionSACKPermitted(kind=4,length=2), TCPOptionTimestamps(kind=8,length=10,ts_ecr=2,ts_val=1), TCPOptionNoOperation(kind=1,length=1), TCPOptionWindowScale(kind=3,length=3,shift_cnt=7)],seq=1,src_port=8080,urgent=0,window_size=64240)`,
    );
  });

  test('TCP with options that are broken shows their bytes', () => {
    expect(packet(`${IPV4('06', '002c')} 1f90 0016 00000001 00000000 6002 faf0 1234 0000 02ff05b4`)).toContain(
      "option=b'\\x02\\xff\\x05\\xb4'",
    );
  });

  test('UDP over IPv4 and IPv6', () => {
    expect(packet(`${IPV4('11', '001c')} 14e9 0035 0008 beef`)).toBe(
      `${OWN(17, 28)}udp(csum=48879,dst_port=53,src_port=5353,total_length=8)`,
    );
    const addresses = 'fd000000000000000000000000000001 20010db8000000000000000000000007';
    expect(packet(`6a012345 0008 11 40 ${addresses} 14e9 0035 0008 beef`, 0x86dd)).toBe(
      "ipv6(dst='2001:db8::7',ext_hdrs=[],flow_label=74565,hop_limit=64,nxt=17,payload_length=8,src='fd00::1',traffic_class=160,version=6)" +
        'udp(csum=48879,dst_port=53,src_port=5353,total_length=8)',
    );
    expect(packet(`60000000 0009 3a 40 ${addresses} 8000 1234 0001 0002 78`, 0x86dd)).toContain(
      "icmpv6(code=0,csum=4660,data=echo(data=b'x',id=1,seq=2),type_=128)",
    );
  });

  test('a later fragment, a packet that was cut off and other protocols show what is there', () => {
    expect(packet(`${IPV4('06', '0028', '0010')} 1f90 0016 00000001 00000000 5002 faf0 1234 0000`)).toBe(
      OWN(6, 40, 0, 16),
    );
    expect(packet(`${IPV4('06', '0028')} 1f90`)).toBe(OWN(6, 40));
    expect(packet('4500')).toBe('Does not support hw_proto: 2048');
    expect(packet('0001', 0x88cc)).toBe('Does not support hw_proto: 35020');
    for (let length = 0; length < 60; length++) {
      expect(() => packet(`4f${'ff'.repeat(length)}`)).not.toThrow();
      expect(() => packet(`6f${'ff'.repeat(length)}`, 0x86dd)).not.toThrow();
    }
  });

  test('bytes are written as Python does', () => {
    const all = Uint8Array.from({ length: 256 }, (_, i) => i);
    expect(bytesText(new DataView(all.buffer), 0, 48)).toBe(
      "b'\\x00\\x01\\x02\\x03\\x04\\x05\\x06\\x07\\x08\\t\\n\\x0b\\x0c\\r\\x0e\\x0f\\x10\\x11\\x12\\x13\\x14\\x15\\x16\\x17\\x18\\x19\\x1a\\x1b\\x1c\\x1d\\x1e\\x1f !\"#$%&\\'()*+,-./'",
    );
    expect(bytesText(new DataView(all.buffer), 126, 129)).toBe("b'~\\x7f\\x80'");
  });
});

describe('a token bucket', () => {
  test('lets a burst pass, then the rate, and counts the rest', () => {
    const bucket = new TokenBucket(100, 25);
    const pass = (count: number, now: number) =>
      Array.from({ length: count }, () => bucket.take(now)).filter(Boolean).length;
    expect(pass(100, 1000)).toBe(25);
    expect(pass(100, 1100)).toBe(10);
    expect(pass(100, 9000)).toBe(25);
    expect(bucket.suppressed).toBe(240);
  });

  test('of rate 0 lets everything pass', () => {
    const bucket = new TokenBucket(0, 1);
    expect(Array.from({ length: 1000 }, () => bucket.take(0)).every(Boolean)).toBe(true);
  });
});
