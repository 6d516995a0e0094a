// What a line of the demo's output files says, as facts and as a sentence.
import { ADDRESS } from './router-lab.js';

/**
 * One direction of a connection. Ports are undefined for ping.
 * @typedef {{ src: string, dst: string, sport?: number | undefined, dport?: number | undefined }} Tuple
 *
 * What one line reports: a new connection, an ended one (with counts each way and seconds), or a packet and its rule.
 * @typedef {{ kind: 'new', protocol: string, orig: Tuple, reply: Tuple }} NewConnection
 * @typedef {{ kind: 'end', protocol: string, orig: Tuple, reply: Tuple, packets: number[], bytes: number[], seconds: number }} EndedConnection
 * @typedef {{ kind: 'packet', protocol: string, orig: Tuple, prefix: string, from: string, to: string }} LoggedPacket
 * @typedef {NewConnection | EndedConnection | LoggedPacket} Fact
 */

/** @type {Record<number, string>} */
const PROTOCOLS = { 1: 'ICMP', 6: 'TCP', 17: 'UDP' };
const NAMES = {
  [ADDRESS.vm]: 'the VM',
  [ADDRESS.other]: 'the second VM',
  [ADDRESS.floating]: 'the floating IP',
  [ADDRESS.gateway]: "the router's address",
  [ADDRESS.outside]: 'the outside host',
};

/** Reads a line of a JSON file or of a LOGEMU file; throws when it is neither. @param {string} line @returns {Fact} */
export function read(line) {
  if (line.startsWith('{')) return readJson(JSON.parse(line));
  const [original = '', reply] = line.split(', REPLY: ');
  const protocol = field(original, 'PROTO');
  if (reply && line.includes(' [NEW] '))
    return { kind: 'new', protocol, orig: readTuple(original), reply: readTuple(reply) };
  // "Nov 21 09:23:58 host prefix IN=…": five words in, up to the blank that PRINTPKT puts before IN.
  const prefix = /^\S+ +\S+ \S+ \S+ (.*?) ?IN=/.exec(line)?.[1];
  if (prefix === undefined || !protocol) throw new Error(`not a line of any known kind: ${line}`);
  return {
    kind: 'packet',
    protocol,
    orig: readTuple(original),
    prefix: prefix.trim(),
    from: field(line, 'IN'),
    to: field(line, 'OUT'),
  };
}

/** @param {Record<string, any>} record @returns {Fact} */
function readJson(record) {
  const orig = { src: record.src_ip, dst: record.dest_ip };
  if ('oob.prefix' in record) {
    const ports = { sport: record.src_port, dport: record.dest_port };
    const [from, to] = [record['oob.in'], record['oob.out']];
    return {
      kind: 'packet',
      protocol: protocolName(record['ip.protocol']),
      orig: { ...orig, ...ports },
      prefix: record['oob.prefix'].trim(),
      from,
      to,
    };
  }
  const reply = { src: record['reply.ip.saddr.str'], dst: record['reply.ip.daddr.str'] };
  const end = record['flow.end.sec'] + record['flow.end.usec'] / 1e6;
  return {
    kind: 'end',
    protocol: protocolName(record['orig.ip.protocol']),
    orig: { ...orig, sport: record['orig.l4.sport'], dport: record['orig.l4.dport'] },
    reply: { ...reply, sport: record['reply.l4.sport'], dport: record['reply.l4.dport'] },
    packets: [record['orig.raw.pktcount'], record['reply.raw.pktcount']],
    bytes: [record['orig.raw.pktlen'], record['reply.raw.pktlen']],
    seconds: end - (record['flow.start.sec'] + record['flow.start.usec'] / 1e6),
  };
}

/** @param {string} text @param {string} name */
const field = (text, name) => new RegExp(`\\b${name}=(\\S*)`).exec(text)?.[1] ?? '';

/** @param {string} text @returns {Tuple} */
function readTuple(text) {
  const port = (/** @type {string} */ name) => (field(text, name) ? Number(field(text, name)) : undefined);
  return { src: field(text, 'SRC'), dst: field(text, 'DST'), sport: port('SPT'), dport: port('DPT') };
}

/** @param {number} number */
const protocolName = (number) => PROTOCOLS[number] ?? `protocol ${number}`;

/** One sentence on what a fact means in the lab. @param {Fact} fact */
export function explain(fact) {
  const { protocol, orig } = fact;
  const what = protocol === 'ICMP' ? 'ping' : `${protocol} connection`;
  const way = `from ${name(orig.src)} to ${name(orig.dst)}${orig.dport ? `, port ${orig.dport}` : ''}`;
  if (fact.kind === 'packet') {
    const out = fact.to ? `going out by ${fact.to}` : 'for the router itself';
    return `packet logged by the rule "${fact.prefix}": ${protocol} ${way}, came in by ${fact.from}, ${out}`;
  }
  if (fact.kind === 'new') return `a new ${what} ${way}${translation(fact) && `; NAT: ${translation(fact)}`}`;
  const { packets, bytes, seconds } = fact;
  const [there, back] = [0, 1].map(
    (way) => `${packets[way]} packet${packets[way] === 1 ? '' : 's'} (${bytes[way]} bytes)`,
  );
  return `the ${what} ${way} ended after ${seconds.toFixed(1)} s: ${there} there, ${back} back`;
}

/** Which addresses NAT changed, "outer is inner", or "" when none. @param {NewConnection | EndedConnection} flow */
export function translation({ orig, reply }) {
  const pairs = [];
  if (orig.dst !== reply.src || orig.dport !== reply.sport) {
    const ports = orig.dport === reply.sport ? ['', ''] : [`:${orig.dport}`, `:${reply.sport}`];
    pairs.push(`${name(orig.dst)}${ports[0]} is ${name(reply.src)}${ports[1]}`);
  }
  // The translated source port is another one each time, so it is not part of the pair.
  if (orig.src !== reply.dst) pairs.push(`${name(orig.src)} appears as ${name(reply.dst)}`);
  return pairs.join(' and ');
}

/** @param {string} address */
function name(address) {
  return NAMES[address] ? `${NAMES[address]} ${address}` : address;
}
