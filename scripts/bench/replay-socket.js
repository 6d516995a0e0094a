/**
 * A netlink socket without a kernel: it acknowledges requests, answers a dump of links with one device, and hands the
 * recorded datagrams over whenever `turn` is called.
 * @implements {Pick<import('../../dist/system/native.js').NativeSocket, 'receive'>}
 */
export class ReplaySocket {
  portId = 1;
  receiveBuffer = 8 << 20;
  /** @type {Uint8Array[]} */ #answers = [];
  /** @type {(status: number) => void} */ #callback = () => {};
  /** @type {Uint8Array | undefined} */ #memory;
  #offset = 0;
  #slotSize = 0;
  #slots = 0;
  /** @type {Uint32Array} */ #lengths = new Uint32Array(0);
  /** @type {readonly Uint8Array[]} */ #recording = [];
  #next = 0;
  #left = 0;

  join() {}
  leave() {}
  setOption() {}
  setReceiveBuffer(/** @type {number} */ bytes) {
    return bytes;
  }
  drops() {
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

  /** Every request is consented to; a dump (NLM_F_DUMP) ends at once. @param {Uint8Array} request */
  send(request) {
    const view = new DataView(request.buffer, request.byteOffset, request.byteLength);
    for (let at = 0; at < request.length; at += (view.getUint32(at, true) + 3) & ~3) {
      const dump = (view.getUint16(at + 6, true) & 0x300) === 0x300;
      const answer = new DataView(new ArrayBuffer(36));
      answer.setUint32(0, dump ? 20 : 36, true);
      answer.setUint16(4, dump ? 3 : 2, true); // NLMSG_DONE, NLMSG_ERROR
      answer.setUint16(6, dump ? 2 : 0x100, true);
      answer.setUint32(8, view.getUint32(at + 8, true), true);
      answer.setUint32(12, this.portId, true);
      this.#answers.push(new Uint8Array(answer.buffer, 0, dump ? 20 : 36));
      if (dump) setImmediate(() => this.#callback(0));
    }
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
      const datagram = /** @type {Uint8Array} */ (this.#recording[this.#next++ % this.#recording.length]);
      this.#memory?.set(datagram, this.#offset + i * this.#slotSize);
      this.#lengths[i] = datagram.length;
    }
    this.#left -= count;
    return count;
  }

  /** Hands over `count` datagrams of the recording, over and over. @param {readonly Uint8Array[]} recording @param {number} count */
  turn(recording, count) {
    this.#recording = recording;
    this.#left = count;
    while (this.#left > 0) this.#callback(0);
  }
}
