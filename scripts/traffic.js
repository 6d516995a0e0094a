// Real TCP and UDP traffic between two namespaces, one process an end:
//   node traffic.js listen tcp:22 udp:53     answers what it is sent; prints "ready"
//   node traffic.js tcp HOST PORT [BYTES]    connects, sends, reads the answer, closes; exit 1 when refused
//   node traffic.js udp HOST PORT [BYTES]    sends one datagram, waits for the answer
import { createSocket } from 'node:dgram';
import { connect, createServer } from 'node:net';

const [mode, ...rest] = process.argv.slice(2);
if (mode === 'listen') await Promise.all(rest.map(listen)).then(() => console.log('ready'));
else await send(mode ?? '', rest[0] ?? '', Number(rest[1]), Number(rest[2] ?? 600));

/** @param {string} where for example "tcp:22" */
function listen(where) {
  const [protocol, port] = where.split(':');
  return new Promise((resolve) => {
    if (protocol === 'udp') {
      const socket = createSocket('udp4');
      socket.on('message', (bytes, from) => socket.send(bytes, from.port, from.address));
      socket.bind(Number(port), () => resolve(undefined));
    } else {
      createServer((peer) => peer.on('error', () => {}).pipe(peer)).listen(Number(port), () => resolve(undefined));
    }
  });
}

/** @param {string} protocol @param {string} host @param {number} port @param {number} bytes */
function send(protocol, host, port, bytes) {
  return new Promise((resolve, reject) => {
    if (protocol === 'udp') {
      const socket = createSocket('udp4');
      socket.once('message', () => socket.close(() => resolve(undefined)));
      socket.send(Buffer.alloc(bytes), port, host);
    } else {
      const peer = connect(port, host).on('error', reject).on('close', resolve).resume();
      peer.end(Buffer.alloc(bytes));
    }
  }).catch((error) => {
    console.error(error.message);
    process.exitCode = 1;
  });
}
