// Spools numbered records until it is killed, and says on stdout which ones the spool has taken ("a N") and which ones it
// reads back ("r N") and has committed ("c N"). Run with the directory and the number to begin with.
import { writeSync } from 'node:fs';
import { Spool } from '../../dist/delivery/spool.js';

const [directory, first] = process.argv.slice(2);
const spool = new Spool(/** @type {string} */ (directory), 1 << 30, () => {});
const say = (/** @type {string} */ text) => writeSync(1, `${text}\n`);
say('open');
for (let i = Number(first); ; i++) {
  const bytes = Buffer.from(`${i} `.padEnd(20 + ((i * 7919) % 2000), 'x'));
  if (!spool.append({ bytes, events: 1, time: 0 })) throw new Error('the spool refused a record');
  say(`a ${i}`);
  if (i % 3 > 0) continue;
  const record = spool.read();
  if (!record) continue;
  const number = Number.parseInt(Buffer.from(record.bytes).toString(), 10);
  say(`r ${number}`);
  spool.commit(record.position);
  say(`c ${number}`);
}
