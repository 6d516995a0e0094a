import { defineFilter } from '../pipeline/plugin.ts';
import { CleartextLogin, findLogin } from '../wire/cleartext-login.ts';
import { IPPROTO_TCP, IPV4_HEADER, IPV6_HEADER, TCP_HEADER } from '../wire/ip.ts';
import { Ipv6Chain, walkExtensionHeaders } from '../wire/ipv6.ts';

const PORT_FTP = 21;
const PORT_POP3 = 110;
const PORT_IMAP = 143;

/** PWSNIFF: who still sends passwords in the clear. */
export default defineFilter({
  name: 'PWSNIFF',
  summary: 'Lets through only packets to FTP, POP3 and IMAP servers that show a user or a password, and writes these.',
  accepts: ['raw', 'packet'],
  example: 'stack=log1:NFLOG,base1:BASE,ip2str1:IP2STR,pw1:PWSNIFF,json1:JSON',
  options: {},
  reads: {
    'raw.pkt': { type: 'raw' },
  },
  writes: {
    'pwsniff.user': { type: 'string', doc: 'User of USER or LOGIN.' },
    'pwsniff.pass': { type: 'string', doc: 'Password of PASS or LOGIN.' },
  },
  link({ read, write, compat }) {
    const packet = read['raw.pkt'];
    const { 'pwsniff.user': user, 'pwsniff.pass': password } = write;
    const login = new CleartextLogin();
    const chain = new Ipv6Chain();

    /** Offset of the TCP header of the packet between `start` and `end`; -1 when there is none. */
    function tcpAt(view: DataView, start: number, end: number): number {
      if (end - start < IPV4_HEADER) return -1;
      const version = view.getUint8(start) >> 4;
      if (version === 4) {
        const header = (view.getUint8(start) & 15) << 2;
        const later = (view.getUint16(start + 6) & 0x1fff) !== 0;
        return view.getUint8(start + 9) === IPPROTO_TCP && header >= IPV4_HEADER && !later ? start + header : -1;
      }
      if (version !== 6 || end - start < IPV6_HEADER || !walkExtensionHeaders(view, start, end, chain)) return -1;
      return chain.protocol === IPPROTO_TCP && !chain.later ? chain.offset : -1;
    }

    return {
      run(record) {
        const { bytes, view, value, extra, valid } = record;
        // ulogd2 tests a flag of the wrong key, and so never finds anything.
        if (valid[packet] === 0 || compat) return false;
        const end = value[packet]! + extra[packet]!;
        const tcp = tcpAt(view, value[packet]!, end);
        if (tcp < 0 || end - tcp < TCP_HEADER) return false;
        const port = view.getUint16(tcp + 2);
        if (port !== PORT_FTP && port !== PORT_POP3 && port !== PORT_IMAP) return false;
        if (!findLogin(bytes, tcp + ((view.getUint8(tcp + 12) >> 4) << 2), end, login)) return false;
        if (login.userLength > 0) record.setBytes(user, login.userOffset, login.userLength);
        if (login.passwordLength > 0) record.setBytes(password, login.passwordOffset, login.passwordLength);
        return true;
      },
    };
  },
});
