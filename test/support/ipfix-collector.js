// A collector that keeps what it gets: node ipfix-collector.js tcp|udp PORT FOLDER. Of TCP a file for each connection, named in
// the order of time; of UDP one file. Prints "ready". What is in a file, it has really got.
import { createSocket } from 'node:dgram';
import { appendFileSync, readdirSync } from 'node:fs';
import { createServer } from 'node:net';

const [proto, port, folder] = process.argv.slice(2);
const next = () => `${folder}/${String(readdirSync(String(folder)).length).padStart(3, '0')}`;
const ready = () => console.log('ready');
if (proto === 'udp') {
  const file = next();
  createSocket('udp4')
    .on('message', (bytes) => appendFileSync(file, bytes))
    .bind(Number(port), '127.0.0.1', ready);
} else {
  createServer((socket) => {
    const file = next();
    appendFileSync(file, '');
    socket.on('error', () => {}).on('data', (bytes) => appendFileSync(file, bytes));
  }).listen(Number(port), '127.0.0.1', ready);
}
