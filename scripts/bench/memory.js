// node scripts/bench/memory.js [FLOWS] [CHURNED]: what NFCT takes to remember a million connections, and whether it takes more
// while five million come and go. Recorded datagrams, with an address and an id of their own for each connection.
import { setImmediate } from 'node:timers/promises';
import { recording, startStack } from './stacks.js';

const tracked = Number(process.argv[2] ?? 1_000_000);
const churned = Number(process.argv[3] ?? 5_000_000);
/** Places in the recorded datagrams: source address, the address that answers go to, CTA_ID. */
const SOURCE = 32;
const ANSWER = 92;
const ID = 128;
/** Datagrams between two turns of the event loop. */
const TURN = 1000;

/** @param {string} name */
function template(name) {
  const bytes = /** @type {Uint8Array} */ (recording('conntrack', [name])[0]);
  const view = new DataView(bytes.buffer);
  return (/** @type {number} */ flow) => {
    view.setUint32(SOURCE, 0x0a000000 + flow);
    view.setUint32(ANSWER, 0x0a000000 + flow);
    view.setUint32(ID, flow);
    return bytes;
  };
}
const begin = template('udp with a mark: new 14');
const end = template('udp with a mark: destroy 16');

const megabytes = () => Math.round(process.memoryUsage.rss() / 1e6);
/** The daemon goes back to the event loop after each turn of the pump, and so does this. @param {(i: number) => Uint8Array} datagram @param {number} count */
async function play(datagram, count) {
  for (let done = 0; done < count; done += TURN) {
    socket.play((i) => datagram(done + i), Math.min(TURN, count - done));
    await setImmediate();
  }
}
const { source, socket } = await startStack('ct1:NFCT,ip2str1:IP2STR,json1:JSON', {
  ct1: { hash_max_entries: tracked },
  json1: { file: '/dev/null' },
});
const empty = megabytes();
await play(begin, tracked);
const full = megabytes();
process.stdout.write(`${empty} MB before, ${full} MB with ${tracked} connections\n`);

const STEPS = 5;
let most = full;
for (let step = 0, first = 0; step < STEPS; step++) {
  const many = Math.floor(churned / STEPS);
  const from = first;
  await play((i) => (i % 2 === 0 ? end(from + (i >> 1)) : begin(from + tracked + (i >> 1))), many * 2);
  first += many;
  most = Math.max(most, megabytes());
  process.stdout.write(`${megabytes()} MB after ${first} more came and went, ${source.counts.received} reported\n`);
}
const refused = source.service.counters?.()['connections found the table full'];
if (refused !== 0) throw new Error(`not all were remembered: ${refused} found the table full`);
await source.service.stop?.();
process.stdout.write(`${JSON.stringify({ empty, full, most, reported: source.counts.received })}\n`);
