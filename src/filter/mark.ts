import { defineFilter } from '../pipeline/plugin.ts';

/** MARK: lets through only packets and connections with a given mark. */
export default defineFilter({
  name: 'MARK',
  summary: 'Ends the stack for packets and connections that have another mark.',
  accepts: ['packet', 'flow'],
  example: 'stack=log1:NFLOG,base1:BASE,mark1:MARK,ifi1:IFINDEX,ip2str1:IP2STR,print1:PRINTPKT,emu1:LOGEMU',
  options: {
    mark: { type: 'int', default: 0, max: 0xffffffff, doc: 'Mark to let through.' },
    mask: { type: 'int', default: 0xffffffff, max: 0xffffffff, doc: 'Bits of the mark that are compared.' },
  },
  reads: {
    'ct.mark': { type: 'u32', optional: true },
    'oob.mark': { type: 'u32', optional: true },
  },
  writes: {},
  link({ options: { mark, mask }, read }) {
    const connection = read['ct.mark'];
    const packet = read['oob.mark'];
    return {
      run({ value, valid }) {
        // As in ulogd: the packet's mark counts only where there is no connection's, and no mark at all passes.
        const slot = valid[connection] === 1 ? connection : packet;
        return valid[slot] === 0 || (value[slot]! & mask) >>> 0 === mark;
      },
    };
  },
});
