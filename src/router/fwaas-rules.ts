import { NetlinkSocket } from '../system/netlink-socket.ts';
import { align, messageEnd, NETLINK_NETFILTER } from '../wire/netlink.ts';
import { NFPROTO_IPV4, NFPROTO_IPV6 } from '../wire/nfnetlink.ts';
import { decodeLogRule, dumpTable } from '../wire/nft-log-rule.ts';

/** What a rule of neutron-fwaas says by the number that is its prefix. */
export interface FwaasRule {
  readonly action: 'ACCEPT' | 'DROP';
  /** Device of the router's port that it logs for. */
  readonly device: string | undefined;
}

/** A number of 64 bits, chosen anew whenever the agent starts (LogPrefix in neutron-fwaas's log.py). */
const NUMBER = /^\d{1,20}$/;
/** Its chains, whose names begin with that of the agent's program; what is rejected is logged as dropped there, too. */
const CHAIN = /^neutron-.*-(accepted|dropped|rejected)$/;
/** Milliseconds between two looks at the rules, at least: anybody who can make rules may log numbers. */
const INTERVAL = 1000;
/** Numbers that are remembered: two for each port that is logged. */
const MOST = 65_536;
const SLOT = 32 << 10;
const SLOTS = 4;
const RECEIVED = new DataView(new ArrayBuffer(SLOT * SLOTS));

/**
 * What the numbers mean that neutron-fwaas gives its logging rules for prefixes: the rules of the namespace tell, by the chain
 * that they stand in. They are read, over netlink, when a number comes up that is not known.
 */
export class FwaasRules {
  readonly #namespace: string | undefined;
  readonly #known = new Map<string, FwaasRule>();
  #next = Number.NEGATIVE_INFINITY;

  constructor(namespace: string | undefined) {
    this.#namespace = namespace;
  }

  /** The rule with this prefix; undefined when it is no number, or no such rule of iptables-nft has it. `now` is in ms. */
  find(prefix: string, now: number): FwaasRule | undefined {
    if (!NUMBER.test(prefix)) return undefined;
    const known = this.#known.get(prefix);
    if (known !== undefined || now < this.#next) return known;
    this.#next = now + INTERVAL;
    this.#read();
    return this.#known.get(prefix);
  }

  #read(): void {
    if (this.#known.size > MOST) this.#known.clear();
    let socket: NetlinkSocket | undefined;
    try {
      socket = NetlinkSocket.open({
        protocol: NETLINK_NETFILTER,
        namespace: this.#namespace,
        bufferSize: 1 << 20,
        memory: RECEIVED.buffer,
        offset: 0,
        slotSize: SLOT,
        slots: SLOTS,
      });
      socket.start({ onDatagram: (start, end) => this.#onDatagram(start, end), onBatchEnd() {}, onOverrun() {} });
      for (const family of [NFPROTO_IPV4, NFPROTO_IPV6]) {
        socket.send(dumpTable(family, 'filter'));
        socket.drain();
      }
    } catch {
      // The namespace is gone, or we may not enter it any more: the number stays one.
    } finally {
      socket?.close();
    }
  }

  #onDatagram(start: number, end: number): void {
    for (let at = start; at < end; ) {
      const next = messageEnd(RECEIVED, at, end);
      if (next < 0) return;
      const rule = decodeLogRule(RECEIVED, at, next);
      const chain = CHAIN.exec(rule?.chain ?? '')?.[1];
      if (rule !== undefined && chain !== undefined && NUMBER.test(rule.prefix))
        this.#known.set(rule.prefix, { action: chain === 'accepted' ? 'ACCEPT' : 'DROP', device: rule.device });
      at += align(next - at);
    }
  }
}
