// PCAPFILE in the daemon: from pipes, in threads, and that it ends when the files do, and not before.
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { Lab, until } from '../../scripts/lab.js';
import { LINKTYPE_RAW, pcapHeader } from '../../src/wire/pcap.ts';
import { Daemon, killRest } from '../support/daemon.ts';
import { ipv4, udp } from '../support/packets.ts';

let lab: Lab;
let capture: Buffer;
beforeAll(() => {
  lab = new Lab();
  capture = Buffer.concat([pcapHeader(LINKTYPE_RAW, 65535, 0), ...[1, 2, 3].map(record)]);
});
afterEach(killRest);
afterAll(() => lab?.close());

/** A packet of a capture in this machine's byte order. */
function record(port: number): Buffer {
  const packet = ipv4({}, udp({ sport: port, dport: 9 }));
  const header = new Uint32Array([1795254797, port, packet.length, packet.length]);
  return Buffer.concat([Buffer.from(header.buffer), packet]);
}

/** A stack for each file; each writes to /out/N.json. */
const configuration = (files: readonly string[], global = '') =>
  `[global]\n${global}\n${files.map((_, i) => `stack=f${i}:PCAPFILE,b${i}:BASE,i${i}:IP2STR,j${i}:JSON`).join('\n')}\n${files
    .map((file, i) => `[f${i}]\nfile="${file}"\n[j${i}]\nfile="/out/${i}.json"\n`)
    .join('')}`;
const ports = (daemon: Daemon, name: string) => daemon.folder.objects(name).map((packet) => packet.src_port);

test.each([
  [1, 2],
  [2, 2],
  [4, 4],
])('with workers=%i the daemon ends when %i files are read, all of them to the end', async (workers, count) => {
  // The first is read while the others have not begun: the last has most.
  const files = Array.from({ length: count }, (_, i) => {
    const file = join(lab.directory, `${workers}-${i}.pcap`);
    writeFileSync(file, Buffer.concat([capture, ...Array.from({ length: i * 2000 }, (_, n) => record(n + 4))]));
    return file;
  });
  const daemon = Daemon.launch(lab, configuration(files, `workers=${workers}`));
  expect(await daemon.ended).toBe(0);
  for (const [i] of files.entries()) expect(ports(daemon, `${i}.json`)).toHaveLength(3 + i * 2000);
});

test('a pipe is read as it comes, and waits for its writer without keeping the daemon from anything', async () => {
  const folder = join(lab.directory, 'pipe');
  mkdirSync(folder);
  const pipe = join(folder, 'fifo');
  execFileSync('mkfifo', [pipe]);
  const daemon = await Daemon.start(lab, configuration([pipe]));
  daemon.signal('SIGUSR1');
  await daemon.logged('f0:PCAPFILE: 0 events received'); // nobody writes, and it answers

  const writer = createWriteStream(pipe);
  await once(writer, 'open');
  const half = capture.length - 10;
  writer.write(capture.subarray(0, half));
  await until('two packets', () => daemon.folder.read('0.json').split('\n').length > 2);
  expect(ports(daemon, '0.json')).toEqual([1, 2]);
  daemon.signal('SIGUSR1');
  await daemon.logged('f0:PCAPFILE: 2 events received');
  writer.end(capture.subarray(half));
  expect(await daemon.ended).toBe(0);
  expect(ports(daemon, '0.json')).toEqual([1, 2, 3]);
});

test('SIGTERM ends a daemon that waits for a pipe', async () => {
  const pipe = join(lab.directory, 'fifo');
  execFileSync('mkfifo', [pipe]);
  const daemon = await Daemon.start(lab, configuration([pipe]));
  expect(await daemon.stop()).toBe(0);
});
