/** Messages of rtnetlink (linux/rtnetlink.h). */
const RTM_GETLINK = 18;
const DUMP = 0x300;

/**
 * A netlink socket without a kernel: it acknowledges requests, answers a dump of links with recorded ones and any other
 * with nothing, and hands datagrams over whenever `turn` or `play` is called. Nothing here is allocated for a datagram.
 * @implements {Pick<import('../../dist/system/native.js').NativeSocket, 'receive'>}
 */
export class ReplaySocket {
  portId = 1;
  receiveBuffer = 8 << 20;
  /** Datagrams that end a request. @type {Uint8Array[]} */ #answers = [];
  /** Recorded RTM_NEWLINK messages. @type {readonly Uint8Array[]} */ #links;
  /** @type {(status: number) => void} */ #callback = () => {};
  /** @type {Uint8Array | undefined} */ #memory;
  #offset = 0;
  #slotSize = 0;
  #slots = 0;
  /** @type {Uint32Array} */ #lengths = new Uint32Array(0);
  /** @type {(index: number) => Uint8Array} */ #datagram = () => new Uint8Array(0);
  #next = 0;
  #left = 0;

  /** @param {readonly Uint8Array[]} links */
  constructor(links = []) {
    this.#links = links;
  }

  join() {}
  leave() {}
  setOption() {}
  setReceiveBuffer(/** @type {number} */ bytes) {
    return bytes;
  }
  drops() {
    return 0;
  }
  queued() {
    return 0;
  }
  wait() {
    return true;
  }
  ref() {}
  unref() {}
  unwatch() {}
  close() {}

  watch(/** @type {(status: number) => void} */ callback) {
    this.#callback = callback;
  }

  attach(
    /** @type {ArrayBuffer} */ memory,
    /** @type {number} */ offset,
    /** @type {number} */ slotSize,
    /** @type {number} */ slots,
    /** @type {Uint32Array} */ lengths,
  ) {
    this.#memory = new Uint8Array(memory);
    this.#offset = offset;
    this.#slotSize = slotSize;
    this.#slots = slots;
    this.#lengths = lengths;
  }

  /** Every request is consented to; a dump ends at once, behind the links if it is they that were asked for. @param {Uint8Array} request */
  send(request) {
    const view = new DataView(request.buffer, request.byteOffset, request.byteLength);
    for (let at = 0; at < request.length; at += (view.getUint32(at, true) + 3) & ~3) {
      const dump = (view.getUint16(at + 6, true) & DUMP) === DUMP;
      if (dump && view.getUint16(at + 4, true) === RTM_GETLINK) this.#answers.push(...this.#links);
      const answer = new DataView(new ArrayBuffer(36));
      answer.setUint32(0, dump ? 20 : 36, true);
      answer.setUint16(4, dump ? 3 : 2, true); // NLMSG_DONE, NLMSG_ERROR
      answer.setUint16(6, dump ? 2 : 0x100, true);
      answer.setUint32(8, view.getUint32(at + 8, true), true);
      answer.setUint32(12, this.portId, true);
      this.#answers.push(new Uint8Array(answer.buffer, 0, dump ? 20 : 36));
      if (dump) setImmediate(() => this.#answer());
    }
  }

  #answer() {
    // As often as there are answers, and no more: whoever asked may be gone, and nobody reads them.
    for (let left = this.#answers.length; left > 0; left--) this.#callback(0);
  }

  receive() {
    const answer = this.#answers.shift();
    if (answer) {
      this.#memory?.set(answer, this.#offset);
      this.#lengths[0] = answer.length;
      return 1;
    }
    const count = Math.min(this.#slots, this.#left);
    for (let i = 0; i < count; i++) {
      const datagram = this.#datagram(this.#next++);
      this.#memory?.set(datagram, this.#offset + i * this.#slotSize);
      this.#lengths[i] = datagram.length;
    }
    this.#left -= count;
    return count;
  }

  /** Hands over `count` datagrams of the recording, over and over. @param {readonly Uint8Array[]} recording @param {number} count */
  turn(recording, count) {
    this.play((index) => /** @type {Uint8Array} */ (recording[index % recording.length]), count);
  }

  /** Hands over `count` datagrams that `datagram` makes; one that it has given may change with the next. @param {(index: number) => Uint8Array} datagram @param {number} count */
  play(datagram, count) {
    this.#datagram = datagram;
    this.#next = 0;
    this.#left = count;
    while (this.#left > 0) this.#callback(0);
  }
}
