// What the recordings share: a netlink socket whose datagrams come as lines of hex, and the files they go to.
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { until } from '../lab.js';

/** @typedef {import('../lab.js').Lab} Lab */
/** @typedef {{ name: string, hex: string, expected: object }} Vector a datagram and what another program or the set-up says of it */

const vectors = new URL('../../test/unit/wire/vectors/', import.meta.url);

// Prints every datagram of a netlink socket as a line of hex. Arguments: protocol, groups, option=value…, requests in hex.
const LISTENER = `
import socket, sys
protocol, groups, options, requests = sys.argv[1:5]
s = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, int(protocol))
s.bind((0, 0))
for option in filter(None, options.split(',')):
    s.setsockopt(270, *map(int, option.split('=')))
for group in filter(None, groups.split(',')):
    s.setsockopt(270, 1, int(group))
for request in filter(None, requests.split(',')):
    s.send(bytes.fromhex(request))
print('ready', flush=True)
while True:
    print(s.recv(1 << 16).hex(), flush=True)
`;

/** Runs Python in a namespace. @param {Lab} lab @param {string} script @param {string} namespace */
export const python = (lab, script, namespace) => lab.sh(`exec python3 - <<'PYTHON'\n${script}\nPYTHON`, namespace);

/** Starts a program and collects its lines. @param {Lab} lab @param {string[]} command @param {string} namespace */
export async function collect(lab, command, namespace) {
  const child = lab.start(command, namespace, { stdio: ['ignore', 'pipe', 'inherit'] });
  /** @type {string[]} */ const lines = [];
  const input = createInterface({ input: /** @type {import('node:stream').Readable} */ (child.stdout) });
  input.on('line', (line) => lines.push(line));
  const stop = () => {
    child.kill('SIGKILL');
    return once(child, 'close');
  };
  return { lines, stop };
}

/**
 * Opens a netlink socket and sends the requests.
 * @param {Lab} lab @param {string} namespace @param {number} protocol @param {{ groups?: number[], options?: string[], requests?: string[] }} [what]
 */
export async function listen(lab, namespace, protocol, { groups = [], options = [], requests = [] } = {}) {
  const listener = await collect(
    lab,
    ['python3', '-c', LISTENER, `${protocol}`, groups.join(), options.join(), requests.join()],
    namespace,
  );
  await until('the listener to be ready', () => listener.lines[0] === 'ready');
  listener.lines.shift();
  return listener;
}

/** A request in hex; the sequence number is 77, the machine little-endian. @param {number} type @param {number} flags @param {string} body */
export function request(type, flags, body) {
  const header = Buffer.alloc(16);
  header.writeUInt32LE(16 + body.length / 2, 0);
  header.writeUInt16LE(type, 4);
  header.writeUInt16LE(flags | 1, 6);
  header.writeUInt32LE(77, 8);
  return header.toString('hex') + body;
}

/** Writes test/unit/wire/vectors/NAME.json. @param {string} name @param {Vector[]} list */
export function save(name, list) {
  writeFileSync(
    new URL(`${name}.json`, vectors),
    `[\n${list.map((vector) => `  ${JSON.stringify(vector)}`).join(',\n')}\n]\n`,
  );
  console.log(`${name}: ${list.length} vectors`);
}
