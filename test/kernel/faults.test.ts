// What goes wrong around the daemon: folders that are not writable, disks that are full, logs that vanish.
import { existsSync, mkdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { Lab, until } from '../../scripts/lab.js';
import { Daemon, killRest, logDatagrams, PACKETS, sendDatagrams } from '../support/daemon.ts';

const lab = new Lab();
const namespace = lab.namespace('faults');
logDatagrams(lab, namespace, 5);
const disk = join(lab.directory, 'disk');
mkdirSync(disk);
lab.sh(`mount -t tmpfs -o size=1m tmpfs ${disk}`);
const readOnly = join(lab.directory, 'read-only');
mkdirSync(readOnly);
lab.sh(`mount -t tmpfs -o ro tmpfs ${readOnly}`);
afterEach(killRest);
afterAll(() => {
  lab.sh(`umount -l ${disk} ${readOnly}`);
  lab.close();
});

const free = () => statfsSync(disk).bavail * statfsSync(disk).bsize;
const count = (text: string, part: string) => text.split(part).length - 1;

describe('an output that cannot be opened', () => {
  test.each([
    ['in a folder that may not be written to', `${readOnly}/packets.log`, 'EROFS'],
    ['in a folder that takes no files', '/proc/packets.log', 'ENOENT'],
    ['whose folder would need another', '/nowhere/at/all/packets.log', 'ENOENT'],
    ['that is a folder', '/tmp', 'EISDIR'],
    ['below a file', '/etc/hostname/packets.log', 'ENOTDIR'],
  ])('%s fails its stack in one clear line, and the others run', async (_, path, code) => {
    const daemon = await Daemon.start(lab, PACKETS.replace('/out/packets.log', path), { namespace });
    const errors = daemon.log.split('\n').filter((line) => line.includes('<7>'));
    expect(errors).toHaveLength(1);
    expect(errors[0]).toContain(`emu1:LOGEMU: cannot open ${path}: ${code}`);
    expect(errors[0]).toContain('this stack is not run');
    sendDatagrams(lab, namespace, 2);
    await daemon.lines('packets.json', 2);
    expect(await daemon.stop()).toBe(0);
    expect(daemon.log).toContain('emu1:LOGEMU: 0 written, 2 failed in emu1:LOGEMU');
    expect(daemon.log).toContain('json1:JSON: 2 written');
  });

  test('and is the only one ends the daemon with 1', async () => {
    const daemon = Daemon.launch(lab, PACKETS.replaceAll('/out/packets', '/nowhere/at/all/packets'), { namespace });
    expect(await daemon.ended).toBe(1);
    expect(daemon.stderr).toContain('not a single stack could be started');
  });
});

describe('a full disk', () => {
  test('drops whole lines, says so once with their number, and goes on when there is room', async () => {
    const ballast = join(disk, 'ballast');
    const daemon = await Daemon.start(lab, PACKETS.replace('/out/packets.log', `${disk}/packets.log`), { namespace });
    writeFileSync(ballast, Buffer.alloc(free() - 8192));
    // Two pages are left: the line that crosses their end is torn, and must be completed before any other.
    const sent = 400;
    for (let batch = 0; batch < 8; batch++) {
      sendDatagrams(lab, namespace, sent / 8);
      await daemon.lines('packets.json', (batch + 1) * (sent / 8));
    }
    expect(count(daemon.log, `cannot write ${disk}/packets.log: ENOSPC`)).toBe(1);
    rmSync(ballast);
    sendDatagrams(lab, namespace, 1);
    await daemon.logged('is written again');
    await daemon.lines('packets.json', sent + 1);
    expect(await daemon.stop()).toBe(0);

    const lines = lab.sh(`cat ${disk}/packets.log`).split('\n').slice(0, -1);
    for (const line of lines)
      expect(line).toMatch(/^\w{3} [ \d]\d [\d:]{8} \S+ test ?IN= OUT=lo .* SPT=\d+ DPT=9 LEN=\d+ .*MARK=0x0 $/);
    const [, dropped] = /(\d+) lines were dropped so far/.exec(daemon.log) ?? [];
    expect(Number(dropped)).toBeGreaterThan(100);
    expect(lines.length + Number(dropped)).toBe(sent + 1);
    expect(count(daemon.log, '<7>')).toBe(2);
    // The other output has every event.
    expect(new Set(daemon.folder.objects('packets.json').map((packet) => packet.src_port)).size).toBeGreaterThan(1);
    expect(daemon.folder.lines('packets.json')).toHaveLength(sent + 1);
  });

  test('also of the daemon’s own log does not stop it', async () => {
    const ballast = join(disk, 'ballast');
    const text = PACKETS.replace('[global]', `[global]\nlogfile="${disk}/daemon.log"`);
    const daemon = Daemon.launch(lab, text, { namespace });
    await until('it runs', () => lab.sh(`cat ${disk}/daemon.log || :`).includes('flowlogd runs'));
    lab.sh(`dd if=/dev/zero of=${ballast} bs=4096 2>/dev/null || :`);
    expect(free()).toBe(0);
    for (let i = 0; i < 30; i++) {
      daemon.signal('SIGUSR1');
      sendDatagrams(lab, namespace, 1);
      await daemon.lines('packets.log', i + 1);
    }
    rmSync(ballast);
    expect(await daemon.stop()).toBe(0);
    expect(lab.sh(`cat ${disk}/daemon.log`)).toContain('log1:NFLOG: 30 events received');
  });
});

test('a log folder that was deleted is no reason to stop, and is back after the next SIGHUP', async () => {
  const text = PACKETS.replaceAll('/out/packets', '/out/logs/packets').replace(
    '[global]',
    '[global]\nlogfile="/out/logs/daemon.log"',
  );
  const daemon = Daemon.launch(lab, text, { namespace });
  const { folder } = daemon;
  mkdirSync(folder.file('logs'), { recursive: true });
  await until('it runs', () => folder.read('logs/daemon.log').includes('flowlogd runs'));
  rmSync(folder.file('logs'), { recursive: true });
  sendDatagrams(lab, namespace, 3);
  daemon.signal('SIGHUP');
  await until('the outputs are there', () => existsSync(folder.file('logs/packets.json')));
  sendDatagrams(lab, namespace, 1);
  await daemon.lines('logs/packets.log', 1);
  daemon.signal('SIGHUP');
  await until('the log is there', () => folder.read('logs/daemon.log').includes('opened again'));
  expect(await daemon.stop()).toBe(0);
});
