import { defineFilter } from '../pipeline/plugin.ts';
import { AUDIT_PREFIX } from '../router/audit-rules.ts';
import { JoinedPackets } from './joined-packets.ts';

/** Most bytes of a rule's prefix that are kept: what the kernel takes (NF_LOG_PREFIXLEN). */
const LONGEST_PREFIX = 128;
const LONGEST_WORD = 8;

/** By verdict: where each word begins, and how long it is. */
const WORDS = 'ACCEPT DROP UNKNOWN ';
const ACTIONS = 'acceptdropunknown';
const WORD_AT = [0, 7, 12];
const WORD_LENGTH = [7, 5, 8];
const ACTION_AT = [0, 6, 10];
const ACTION_LENGTH = [6, 4, 7];
const ACCEPT = 0;
const DROP = 1;
const UNKNOWN = 2;

/** VERDICT: whether the firewall let a packet pass, by what two rules log of it, one before all others and one behind. */
export default defineFilter({
  name: 'VERDICT',
  summary:
    'Joins what the rules of "flowlogd audit install --group" log of a packet before and behind all others to one event that says accepted or dropped; what conntrack knows was accepted.',
  accepts: ['raw', 'packet', 'flow'],
  example: 'stack=log1:NFLOG,base1:BASE,ifi1:IFINDEX,ip2str1:IP2STR,verdict1:VERDICT,json1:JSON',
  options: {
    wait: {
      type: 'int',
      default: 1000,
      min: 100,
      max: 60_000,
      unit: 'ms',
      doc: 'For so long a packet has time to come out behind the rules before it counts as dropped: more than netlink_qtimeout of the input, and than programs take that get packets by NFQUEUE.',
    },
  },
  reads: {
    'raw.pkt': { type: 'raw', optional: true },
    'oob.prefix': { type: 'string', optional: true },
    'ct.event': { type: 'u32', optional: true },
  },
  writes: {
    'verdict.action': {
      type: 'string',
      plain: true,
      doc: 'What became of the packet or connection: accept or drop; unknown where records were lost, or the daemon ended, before that was certain.',
    },
    'verdict.prefix': {
      type: 'string',
      doc: 'Prefix of the last rule of the router itself that logged the packet to the same group; absent when none did.',
    },
    'oob.prefix': {
      type: 'string',
      doc: 'ACCEPT, DROP or UNKNOWN, and verdict.prefix: for outputs that show the prefix of a rule.',
    },
  },
  link({ options, read, write, record, memory, hold }) {
    const words = memory.reserve(WORDS.length + ACTIONS.length);
    memory.bytes.set(Buffer.from(WORDS + ACTIONS), words);
    const textAt = memory.reserve(LONGEST_WORD + LONGEST_PREFIX);
    const before = Buffer.from(AUDIT_PREFIX.before);
    const behind = Buffer.from(AUDIT_PREFIX.behind);
    const prefix = read['oob.prefix'];
    const packet = read['raw.pkt'];
    const event = read['ct.event'];
    const { bytes, value, extra, valid } = record;
    const held = hold(options.wait, (place, complete) => judge(place, complete ? DROP : UNKNOWN));
    const packets = new JoinedPackets(bytes, held.places, LONGEST_PREFIX);
    let notHeld = 0;

    function isPrefix(wanted: Buffer): boolean {
      if (valid[prefix] === 0 || extra[prefix] !== wanted.length) return false;
      const start = value[prefix]!;
      for (let i = 0; i < wanted.length; i++) if (bytes[start + i] !== wanted[i]) return false;
      return true;
    }

    /** Writes a verdict, with the prefix of the rule that has spoken of the packet in this place; of none where it is -1. */
    function judge(place: number, verdict: number): void {
      act(verdict);
      const word = WORD_LENGTH[verdict]!;
      for (let i = 0; i < word; i++) bytes[textAt + i] = bytes[words + WORD_AT[verdict]! + i]!;
      const length = place < 0 ? 0 : packets.copyPrefix(place, textAt + word);
      record.setBytes(write['oob.prefix'], textAt, word + length);
      if (length > 0) record.setBytes(write['verdict.prefix'], textAt + word, length);
      if (place >= 0) packets.forget(place);
    }

    function act(verdict: number): void {
      record.setBytes(write['verdict.action'], words + WORDS.length + ACTION_AT[verdict]!, ACTION_LENGTH[verdict]!);
    }

    /** Before all rules: what becomes of it is not known yet. */
    function begin(): boolean {
      const place = packets.see(value[packet]!, extra[packet]!) ? held.hold() : -1;
      if (place < 0) {
        notHeld++;
        judge(-1, UNKNOWN);
        return true;
      }
      packets.keep(place);
      return false;
    }

    return {
      run() {
        if (valid[event] === 1) {
          act(ACCEPT); // conntrack enters what has passed all rules, and nothing else
          return true;
        }
        if (valid[packet] === 1 && isPrefix(before)) return begin();
        const isKnown = held.end > 0 && valid[packet] === 1 && packets.see(value[packet]!, extra[packet]!);
        const place = isKnown ? packets.find(held.end) : -1;
        if (isPrefix(behind)) {
          judge(place, ACCEPT);
          if (place >= 0) held.forget(place);
        } else if (place >= 0) {
          packets.note(place, value[prefix]!, valid[prefix] === 1 ? extra[prefix]! : 0);
          return false;
        } else record.copy(prefix, write['oob.prefix']);
        return true;
      },
      counters: () => ({ 'packets that could not be held': notHeld }),
    };
  },
});
