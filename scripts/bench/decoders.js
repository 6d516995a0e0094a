import { ConntrackEntry, decodeConntrack } from '../../dist/wire/conntrack.js';
import { decodePacket, NflogPacket } from '../../dist/wire/nflog.js';
import { recording } from './stacks.js';

const EVERY_ATTRIBUTE = 0xffffffff;

/** The decoders of src/wire alone. @returns {{ name: string, run: (times: number) => void }[]} */
export function decoders() {
  const flow = decoder(new ConntrackEntry(), decodeConntrack);
  const packet = decoder(new NflogPacket(), decodePacket);
  return [
    { name: 'decode a new connection', run: flow('conntrack', 'udp with a mark: new 14') },
    { name: 'decode an ended connection', run: flow('conntrack', 'tcp: destroy 6') },
    { name: 'decode a packet', run: packet('nflog', 'marked by a rule') },
  ];
}

/** @template T @param {T} into @param {(view: DataView, start: number, end: number, into: T, wanted: number) => boolean} decode */
function decoder(into, decode) {
  return (/** @type {string} */ file, /** @type {string} */ name) => {
    const [bytes] = /** @type {[Uint8Array]} */ (recording(file, [name]));
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    return (/** @type {number} */ times) => {
      for (let i = 0; i < times; i++) if (!decode(view, 0, bytes.length, into, EVERY_ATTRIBUTE)) throw new Error(name);
    };
  };
}
